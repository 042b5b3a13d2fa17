/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_MAE_H
#define USP_MAE_H

#include "model.h"

USP_BEGIN_DECLARATIONS

/* ---- mae: masked modelling of latents or pixels ------------------------------------------- */

/* usp_mae_options: written by make abi */
typedef struct usp_mae_options {
    uint32_t struct_size; /* what the INIT macro wrote */
    uint32_t reserved;
    /* [B, T] f32: the tokens of least noise are kept; NULL: drawn from seed. */
    const usp_tensor *noise;
    /* [B, C, H, W] f32 to compare with; NULL: the input. */
    const usp_tensor *target;
    /* Share of tokens that are masked; of none there is no loss. 0 to below 1. Default: 0.75. */
    double mask_ratio;
    /* Of the masking and of what add_noise adds. Default: 0. */
    uint64_t seed;
    /* Normalise each patch of the target. Default: no. */
    int64_t norm_pix_loss;
    /* Normalise each target over all of its patches. Default: no. */
    int64_t norm_image;
    /* The input becomes sqrt(t) x + sqrt(1 - t) e with t in 0.5 ... 1 and normal e; the target
     * stays clean. Default: no. */
    int64_t add_noise;
} usp_mae_options;

#define USP_MAE_OPTIONS_INIT \
    {USP_OPTIONS_SIZE(usp_mae_options), 0, NULL, NULL, 0.75, 0, 0, 0, 0}
/* end of usp_mae_options */

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

/* Features of all tokens after the encoder's norm: T, and a class token first if the configuration
 * has one (class_token).
 *   images  [B, C, H, W]  f32      out  [B, 1 + T, D] or [B, T, D]  f32 */
USP_API USP_CHECK usp_status usp_mae_features(
    const usp_model *mae, const usp_tensor *images, usp_tensor *out);

/* The patches' tokens after blocks of the encoder, and attention in one: as usp_vit_layers and
 * usp_vit_attention; nothing is masked. */
USP_API USP_CHECK usp_status usp_mae_layers(
    const usp_model *mae, const usp_tensor *images, const int64_t *layers, size_t count,
    int32_t tokens, usp_tensor *outs);
USP_API USP_CHECK usp_status usp_mae_attention(
    const usp_model *mae, const usp_tensor *images, int64_t layer, usp_tensor *out);

/* Predicted patches as images.
 *   pred  [B, T, E]  f32      out  [B, C, H, W]  f32 */
USP_API USP_CHECK usp_status usp_mae_image(
    const usp_model *mae, const usp_tensor *pred, usp_tensor *out);

USP_END_DECLARATIONS

#endif /* USP_MAE_H */
