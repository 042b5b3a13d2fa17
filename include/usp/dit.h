/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_DIT_H
#define USP_DIT_H

#include "model.h"

USP_BEGIN_DECLARATIONS

/* ---- dit: diffusion transformers, DiT and SiT --------------------------------------------- */

typedef struct usp_dit_config {
    uint32_t struct_size;
    int32_t grid_height;     /* rows of patches; 0 = 16 */
    int32_t grid_width;      /* 0 = 16 */
    int32_t channels;        /* C; 0 = 4 */
    int32_t patch;           /* side; 0 = 2 */
    int32_t width;           /* D; 0 = 384 */
    int32_t depth;           /* 0 = 12 */
    int32_t heads;           /* 0 = 6 */
    int32_t classes;         /* K; 0 = 1000; label K is the null class */
    int32_t affine;          /* 1 = norms have gamma and beta, which can take a ViT's (USP) */
    usp_choice learn_sigma;  /* a second set of channels is predicted; default yes */
    uint32_t reserved;
    const char *family;      /* "DiT" (NULL), or "SiT", which does not give the second set out */
} usp_dit_config;

#define USP_DIT_CONFIG_INIT \
    {USP_OPTIONS_SIZE(usp_dit_config), 0, 0, 0, 0, 0, 0, 0, 0, 0, USP_DEFAULT, 0, NULL}

/* A new model, as usp_mae_create. */
USP_API USP_CHECK usp_status usp_dit_create(
    const usp_dit_config *config, uint64_t seed, usp_model **out);
/* The sizes; family is a static string in *out. */
USP_API USP_CHECK usp_status usp_dit_describe(const usp_model *dit, usp_dit_config *out);

/* Channels of the prediction, O: C, or 2C with variances. */
USP_API int64_t usp_dit_out_channels(const usp_model *dit);

/* The prediction.
 *   x    [B, C, H, W]  f32
 *   t    [B]           f32  0 ... 999 (DiT), 0 ... 1 (SiT)
 *   y    [B]           i64  0 ... K, K being the null class; NULL = the null class for all
 *   out  [B, O, H, W]  f32 */
USP_API USP_CHECK usp_status usp_dit_forward(
    const usp_model *dit, const usp_tensor *x, const usp_tensor *t, const usp_tensor *y,
    usp_tensor *out);

/* The originals' guided pass over n samples given twice, first with their labels, then with null
 * labels; both halves see the first half's latents, and both get the guided channels.
 *   x         [2n, C, H, W]  f32      t, y  [2n]      out  [2n, O, H, W]  f32
 *   scale     null + scale * (labelled - null)
 *   channels  leading channels that are guided; 0 = 3, as the originals; C or more = all */
USP_API USP_CHECK usp_status usp_dit_forward_guided(
    const usp_model *dit, const usp_tensor *x, const usp_tensor *t, const usp_tensor *y,
    float scale, int32_t channels, usp_tensor *out);

/* Mean of the squared prediction, and its gradient for every trainable parameter in the names of
 * the file that the model came from. Inputs as usp_dit_forward. out_gradients: owned. */
USP_API USP_CHECK usp_status usp_dit_gradients(
    const usp_model *dit, const usp_tensor *x, const usp_tensor *t, const usp_tensor *y,
    float *out_loss, usp_checkpoint **out_gradients);

/* Tokens after the first `depth` blocks (0 = all), averaged.
 *   out  [B, D]  f32; inputs as usp_dit_forward */
USP_API USP_CHECK usp_status usp_dit_features(
    const usp_model *dit, const usp_tensor *x, const usp_tensor *t, const usp_tensor *y,
    int32_t depth, usp_tensor *out);

USP_END_DECLARATIONS

#endif /* USP_DIT_H */
