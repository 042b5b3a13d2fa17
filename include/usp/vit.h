/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_VIT_H
#define USP_VIT_H

#include "model.h"

USP_BEGIN_DECLARATIONS

/* ---- vit: classifier and feature extractor ------------------------------------------------ */

/* Pooled and normed features.
 *   images  [B, C, H, W]  f32      out  [B, D]  f32 */
USP_API USP_CHECK usp_status usp_vit_features(
    const usp_model *vit, const usp_tensor *images, usp_tensor *out);

/* Class scores.
 *   images  [B, C, H, W]  f32      out  [B, K]  f32
 * Errors: UNSUPPORTED for a model without a head. */
USP_API USP_CHECK usp_status usp_vit_logits(
    const usp_model *vit, const usp_tensor *images, usp_tensor *out);

USP_END_DECLARATIONS

#endif /* USP_VIT_H */
