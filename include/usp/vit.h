/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_VIT_H
#define USP_VIT_H

#include "model.h"

USP_BEGIN_DECLARATIONS

/* ---- vit: classifier and feature extractor ------------------------------------------------ */

/* The patches' tokens, row by row: DINOv2's x_norm_patchtokens.
 *   images   [B, C, H, W]  f32; H and W are any multiples of the patch: for another size than the
 *            model's own the position table is resampled by usp_model_options.positions
 *   norm     1 = after the last norm, 0 = before it
 *   leading  1 = the class token and the registers (usp_vit_leading of them) stand in front
 *   out      [B, H/P * W/P, D] or [B, leading + H/P * W/P, D]  f32
 * Errors: UNSUPPORTED for normed tokens of a model that norms averages alone, and for another size
 * where tokens turn by their place. */
USP_API USP_CHECK usp_status usp_vit_tokens(
    const usp_model *vit, const usp_tensor *images, int32_t norm, int32_t leading, usp_tensor *out);

/* Tokens in front of the patches': of the class, then registers. */
USP_API int64_t usp_vit_leading(const usp_model *vit);

/* Pooled and normed features; images as for usp_vit_tokens.
 *   images  [B, C, H, W]  f32      out  [B, D]  f32 */
USP_API USP_CHECK usp_status usp_vit_features(
    const usp_model *vit, const usp_tensor *images, usp_tensor *out);

/* The patches' tokens after blocks (1 is the first), before any norm, or their means; images as for
 * usp_vit_tokens.
 *   layers  count of them
 *   tokens  not 0: outs are [B, T, D], else [B, D]
 *   outs    count arrays, f32
 * Errors: ARGUMENT for a block that the model does not have. */
USP_API USP_CHECK usp_status usp_vit_layers(
    const usp_model *vit, const usp_tensor *images, const int64_t *layers, size_t count,
    int32_t tokens, usp_tensor *outs);

/* Attention's probabilities in a block (1 is the first): row t is what token t takes from each, class
 * token and registers in front.
 *   out  [B, N, L + T, L + T]  f32   L = usp_vit_leading */
USP_API USP_CHECK usp_status usp_vit_attention(
    const usp_model *vit, const usp_tensor *images, int64_t layer, usp_tensor *out);

/* Class scores; images as for usp_vit_tokens.
 *   images  [B, C, H, W]  f32      out  [B, K]  f32
 * Errors: UNSUPPORTED for a model without a head. */
USP_API USP_CHECK usp_status usp_vit_logits(
    const usp_model *vit, const usp_tensor *images, usp_tensor *out);

USP_END_DECLARATIONS

#endif /* USP_VIT_H */
