/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_INCEPTION_H
#define USP_INCEPTION_H

#include "model.h"

USP_BEGIN_DECLARATIONS

/* ---- inception: features of images, as published scores are measured with ------------------ */

/* TensorFlow's Inception of 2015-12-05, 1008 outputs (Szegedy et al. 2015). usp_model_open reads
 * its PyTorch ports pt_inception-2015-12-05-6726825d.pth (pytorch-fid) and
 * weights-inception-2015-12-05-6726825d.pth (torch-fidelity), which hold the same weights. It
 * refuses torchvision's own Inception (UNSUPPORTED), whose features give other numbers. */

/* usp_inception_options: written by make abi */
typedef struct usp_inception_options {
    uint32_t struct_size; /* what the INIT macro wrote */
    uint32_t reserved;
    /* tensorflow: TensorFlow 1's bilinear resizing to 299x299 and (x - 128) / 128, as ADM's
     * evaluator, TTUR and torch-fidelity; pytorch-fid: half-pixel resizing and x / 127.5 - 1,
     * the numbers of that package, which differ a little. One of tensorflow, pytorch-fid.
     * Default: tensorflow. */
    const char *preprocessing;
} usp_inception_options;

#define USP_INCEPTION_OPTIONS_INIT \
    {USP_OPTIONS_SIZE(usp_inception_options), 0, "tensorflow"}
/* end of usp_inception_options */

/* Features of images of any size; those of one do not depend on the others.
 *   images       [N, H, W, 3]  u8   RGB; N of at least 1
 *   out_pool     [N, 2048]     f32  pool_3: FID (usp_evaluate_frechet), precision and recall; >= 0
 *   out_spatial  [N, 2023]     f32  the first 7 channels of mixed_6/conv, 17x17, in the order row,
 *                                   column, channel: sFID, the same distance; >= 0
 *   out_logits   [N, 1008]     f32  before softmax and without the bias: usp_evaluate_inception
 * Outputs may be NULL. Within 1e-5 of the largest value of exact arithmetic (usp_model_options).
 * Source: guided-diffusion's evaluations/evaluator.py.
 * Errors: SHAPE, DTYPE, MEMORY; ARGUMENT for another family or an unknown preprocessing. */
USP_API USP_CHECK usp_status usp_inception_features(
    const usp_model *inception, const usp_tensor *images, const usp_inception_options *options,
    usp_tensor *out_pool, usp_tensor *out_spatial, usp_tensor *out_logits);

USP_END_DECLARATIONS

#endif /* USP_INCEPTION_H */
