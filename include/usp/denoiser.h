/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_DENOISER_H
#define USP_DENOISER_H

#include "model.h"

USP_BEGIN_DECLARATIONS

/* ---- denoiser: what a sampler or a loss asks; a model of the library, or your function ---- */

/* Predict from noisy latents.
 *   x    [B, C, H, W]  f32  view
 *   t    [B]           f32  one time a sample, on the model's scale: 0 ... 999 or 0 ... 1
 *   y    [B]           i64  labels; NULL if the run has none
 *   out  [B, O, H, W]  f32  to be filled; O = out_channels: first the C of the prediction; of 2C
 *                           the rest are the variances, -1 ... 1 between the least and the largest
 *                           ("learned-range") or their logarithms ("learned")
 * With guidance B is twice the run's: conditional samples first, then the same with the null class.
 * Return 0; anything else ends the run with USP_ERROR_CALLBACK. */
typedef int32_t (*usp_denoise_fn)(const usp_tensor *x, const usp_tensor *t, const usp_tensor *y,
                                  usp_tensor *out, void *user);

/* usp_denoiser: written by make abi */
typedef struct usp_denoiser {
    uint32_t struct_size; /* what the INIT macro wrote */
    uint32_t reserved;
    /* A DiT or SiT, borrowed for the call; or NULL, and: */
    const usp_model *model;
    /* Your own. */
    usp_denoise_fn function;
    /* Handed to the function. */
    void *user;
    /* [B] f32: a scale for each sample, in place of cfg_scale; or NULL. */
    const usp_tensor *cfg_scales;
    /* Classifier-free guidance: null + scale * (labelled - null). 1 is off; else the run needs
     * labels. Default: 1. */
    double cfg_scale;
    /* Leading latent channels that guidance moves, all where there are fewer; absent: the
     * model's own rule, which is 3 for the originals. 1 or more. -1: absent. */
    int64_t cfg_channels;
    /* First time, on the model's scale, at which guidance applies; absent: no bound. USP_ABSENT:
     * absent. */
    double cfg_begin;
    /* Last time, on the model's scale, at which guidance applies; absent: no bound. USP_ABSENT:
     * absent. */
    double cfg_end;
    /* The label that stands for none, which guidance of a function needs; a model knows its own.
     * 0 to 16777216. -1: absent. */
    int64_t null_class;
    /* Channels of a function's output; absent: what the process needs, C or 2C where variances
     * are learned. 1 to 65536. -1: absent. */
    int64_t out_channels;
} usp_denoiser;

#define USP_DENOISER_INIT \
    {USP_OPTIONS_SIZE(usp_denoiser), 0, NULL, NULL, NULL, NULL, 1, -1, USP_ABSENT, USP_ABSENT, \
     -1, -1}
/* end of usp_denoiser */

USP_END_DECLARATIONS

#endif /* USP_DENOISER_H */
