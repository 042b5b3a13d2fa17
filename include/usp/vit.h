/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_VIT_H
#define USP_VIT_H

#include "model.h"

USP_BEGIN_DECLARATIONS

/* ---- vit: classifier and feature extractor ------------------------------------------------ */

typedef struct usp_vit_config {
    uint32_t struct_size;
    int32_t grid_height;  /* rows of patches; 0 = 14 */
    int32_t grid_width;   /* 0 = 14 */
    int32_t channels;     /* 0 = 4 */
    int32_t patch;        /* side; 0 = 2 */
    int32_t width;        /* D; 0 = 384 */
    int32_t depth;        /* 0 = 12 */
    int32_t heads;        /* 0 = 6 */
    int32_t classes;      /* K; 0 = 1000 */
    uint32_t reserved;
    const char *pool;     /* "token" (NULL) or "avg" */
    const char *head;     /* "linear" (NULL), "probe" (batch norm, then linear), "none" */
} usp_vit_config;

#define USP_VIT_CONFIG_INIT \
    {USP_OPTIONS_SIZE(usp_vit_config), 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL}

/* A new model, as usp_mae_create. */
USP_API USP_CHECK usp_status usp_vit_create(
    const usp_vit_config *config, uint64_t seed, usp_model **out);
/* The sizes; pool and head are static strings in *out. */
USP_API USP_CHECK usp_status usp_vit_describe(const usp_model *vit, usp_vit_config *out);

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
