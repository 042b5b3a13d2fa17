/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_MAE_H
#define USP_MAE_H

#include "model.h"

USP_BEGIN_DECLARATIONS

/* ---- mae: masked modelling of latents or pixels ------------------------------------------- */

typedef struct usp_mae_config {
    uint32_t struct_size;
    int32_t grid_height;     /* rows of patches; 0 = 14 */
    int32_t grid_width;      /* 0 = 14 */
    int32_t channels;        /* 0 = 4 */
    int32_t patch;           /* side; 0 = 2 */
    int32_t width;           /* D; 0 = 384 */
    int32_t depth;           /* 0 = 12 */
    int32_t heads;           /* 0 = 6 */
    int32_t decoder_width;   /* 0 = 512 */
    int32_t decoder_depth;   /* 0 = 8 */
    int32_t decoder_heads;   /* 0 = 16 */
    int32_t without_decoder; /* 1 = features only */
} usp_mae_config;

#define USP_MAE_CONFIG_INIT {USP_OPTIONS_SIZE(usp_mae_config), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

typedef struct usp_mae_options {
    uint32_t struct_size;
    float mask_ratio;         /* share of tokens that are masked, to below 1; 0 = 0.75 */
    const usp_tensor *noise;  /* [B, T] f32: the tokens of least noise are kept; NULL = from seed */
    const usp_tensor *target; /* [B, C, H, W] f32 to compare with; NULL = the input */
    uint64_t seed;
    int32_t norm_pix_loss;    /* 1 = normalise each patch of the target */
    int32_t norm_image;       /* 1 = normalise each target over all its patches */
    int32_t keep_all;         /* 1 = mask nothing (mask_ratio 0): there is no loss then */
    int32_t add_noise;        /* 1 = the input becomes sqrt(t) x + sqrt(1 - t) e, t in 0.5 ... 1 and
                                 normal e from seed; the target stays clean */
} usp_mae_options;

#define USP_MAE_OPTIONS_INIT {USP_OPTIONS_SIZE(usp_mae_options), 0, NULL, NULL, 0, 0, 0, 0, 0}

/* A new model with parameters drawn from seed. out: owned. Errors: ARGUMENT for sizes that do not
 * go together, MEMORY. */
USP_API USP_CHECK usp_status usp_mae_create(
    const usp_mae_config *config, uint64_t seed, usp_model **out);
/* The sizes of a model; set out->struct_size first (the INIT macro does), as in all _describe. */
USP_API USP_CHECK usp_status usp_mae_describe(const usp_model *mae, usp_mae_config *out);

/* Mask, encode, decode, compare.
 *   images    [B, C, H, W]  f32
 *   out_loss                mean over the masked patches; NULL = only predict
 *   out_pred  [B, T, E]     f32  E = P*P*C, channel fastest; may be NULL
 *   out_mask  [B, T]        f32  1 for masked tokens; may be NULL
 * Errors: UNSUPPORTED for a model without a decoder; ARGUMENT for a loss where nothing is masked
 * (keep_all). */
USP_API USP_CHECK usp_status usp_mae_forward(
    const usp_model *mae, const usp_tensor *images, const usp_mae_options *options, float *out_loss,
    usp_tensor *out_pred, usp_tensor *out_mask);

/* The same loss and its gradient for every trainable parameter, in the names of the file that the
 * model came from. out_gradients: owned. Errors: NOT_FINITE naming what is, as all _gradients. */
USP_API USP_CHECK usp_status usp_mae_gradients(
    const usp_model *mae, const usp_tensor *images, const usp_mae_options *options, float *out_loss,
    usp_checkpoint **out_gradients);

/* Features of all tokens after the encoder's norm.
 *   images  [B, C, H, W]  f32      out  [B, 1 + T, D]  f32, class token first */
USP_API USP_CHECK usp_status usp_mae_features(
    const usp_model *mae, const usp_tensor *images, usp_tensor *out);

/* Predicted patches as images.
 *   pred  [B, T, E]  f32      out  [B, C, H, W]  f32 */
USP_API USP_CHECK usp_status usp_mae_image(
    const usp_model *mae, const usp_tensor *pred, usp_tensor *out);

USP_END_DECLARATIONS

#endif /* USP_MAE_H */
