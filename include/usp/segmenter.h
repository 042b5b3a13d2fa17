/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_SEGMENTER_H
#define USP_SEGMENTER_H

#include "model.h"

USP_BEGIN_DECLARATIONS

/* ---- segmenter: a class for every pixel ---------------------------------------------------- */

/* Class scores of what the network reads: latents or pixels, of any sides that are multiples of the
 * patch; for another grid than the model's its position table is resampled (bicubic, no
 * antialiasing).
 *   images  [B, C, H, W]    f32
 *   out     [B, K, H', W']  f32   bilinear; UperNet's own size is 4 times the tokens' rows and
 *                                 columns, a linear head's is theirs
 * Errors: SHAPE; UNSUPPORTED for another grid where positions are relative. */
USP_API USP_CHECK usp_status usp_segmenter_logits(
    const usp_model *segmenter, const usp_tensor *images, usp_tensor *out);

/* Pyramid and head alone, of an encoder's maps.
 *   features  count x [B, D, h, w]  f32   one for each of the configuration's out_indices; normed
 *                                         ones for a linear head
 *   out       [B, K, h', w']        f32   at the head's own size
 * Errors: SHAPE, ARGUMENT. */
USP_API USP_CHECK usp_status usp_segmenter_decode(
    const usp_model *segmenter, const usp_tensor *features, int64_t count, usp_tensor *out);

/* usp_segmenter_options: written by make abi */
typedef struct usp_segmenter_options {
    uint32_t struct_size; /* what the INIT macro wrote */
    uint32_t reserved;
    /* Batch norms use the batch instead of their running statistics. Default: no. */
    int64_t batch_statistics;
    /* The pixels' losses are divided by the number of all, ignored ones too, or of the valid
     * ones. One of all, valid. Default: all. */
    const char *average;
    /* The label that is no class. -32768 to 65535. Default: 255. */
    int64_t ignored;
} usp_segmenter_options;

#define USP_SEGMENTER_OPTIONS_INIT \
    {USP_OPTIONS_SIZE(usp_segmenter_options), 0, 0, "all", 255}
/* end of usp_segmenter_options */

/* Cross entropy of every pixel, the scores bilinear at the labels' size, plus 0.4 times that of the
 * auxiliary head; and its gradient for every trainable parameter, in the names of the file that the
 * model came from, which stays as it is. No dropout.
 *   images  [B, C, H, W]  f32        of the model's grid
 *   labels  [B, H', W']   u8 or i64
 *   out_loss              may be NULL     out_gradients  owned
 * Errors: ARGUMENT for a label that is neither a class nor the ignored one, and for one image with
 * batch statistics; NOT_FINITE naming what is.
 * Source: mmsegmentation, whose mean counts ignored pixels too. */
USP_API USP_CHECK usp_status usp_segmenter_gradients(
    const usp_model *segmenter, const usp_tensor *images, const usp_tensor *labels,
    const usp_segmenter_options *options, float *out_loss, usp_checkpoint **out_gradients);

/* usp_window_options: written by make abi */
typedef struct usp_window_options {
    uint32_t struct_size; /* what the INIT macro wrote */
    uint32_t reserved;
    /* Rows and columns of a window of the image; without it the whole image. 0: absent. */
    int64_t crop_height;
    int64_t crop_width;
    /* Rows and columns from one window to the next; without it two thirds of the crop. 0:
     * absent. */
    int64_t stride_height;
    int64_t stride_width;
} usp_window_options;

#define USP_WINDOW_OPTIONS_INIT \
    {USP_OPTIONS_SIZE(usp_window_options), 0, 0, 0, 0, 0}
/* end of usp_window_options */

/* Class scores of whole images: the mean over windows of what the network says of each pixel. A
 * window whose sides are no multiples of a patch gets zeros at its right and bottom.
 *   vae     NULL: images are what the network reads; else each window is encoded (the mean)
 *   images  [B, C, H, W]    f32   in -1 ... 1 with a vae
 *   out     [B, K, H', W']  f32   bilinear where that is not the images' size
 * Errors: SHAPE; ARGUMENT; UNSUPPORTED for a window larger than the grid of relative positions.
 * Source: mmsegmentation's slide_inference. */
USP_API USP_CHECK usp_status usp_segmenter_scores(
    const usp_model *segmenter, const usp_model *vae, const usp_tensor *images,
    const usp_window_options *options, usp_tensor *out);

/* The class of the largest of these scores.
 *   out  [B, H', W']  u8 for 256 classes or fewer, else i64 */
USP_API USP_CHECK usp_status usp_segmenter_predict(
    const usp_model *segmenter, const usp_model *vae, const usp_tensor *images,
    const usp_window_options *options, usp_tensor *out);

USP_END_DECLARATIONS

#endif /* USP_SEGMENTER_H */
