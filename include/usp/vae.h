/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_VAE_H
#define USP_VAE_H

#include "model.h"

USP_BEGIN_DECLARATIONS

/* ---- vae: images to latents and back ------------------------------------------------------ */

typedef struct usp_vae_config {
    uint32_t struct_size;
    int32_t image_channels;    /* 0 = 3 */
    int32_t base_width;        /* channels at full resolution; 0 = 128 */
    int32_t levels;            /* used entries of multipliers; 0 = 4 of 1, 2, 4, 4 */
    int32_t multipliers[8];    /* channels of each level over base_width; each level but the first
                                  halves the resolution */
    int32_t blocks_per_level;  /* 0 = 2 */
    int32_t latent_channels;   /* 0 = 4 */
    int32_t groups;            /* of every group norm; 0 = 32 */
    uint32_t encoder_attention; /* bit l: attention at level l */
    uint32_t decoder_attention;
    float scale;               /* latents are (z - shift) * scale; 0 = 1 */
    float shift;
    uint32_t reserved;
} usp_vae_config;

#define USP_VAE_CONFIG_INIT \
    {USP_OPTIONS_SIZE(usp_vae_config), 0, 0, 0, {0, 0, 0, 0, 0, 0, 0, 0}, 0, 0, 0, 0, 0, 0, 0, 0}

typedef struct usp_vae_options {
    uint32_t struct_size;
    int32_t raw;      /* 1 = latents are z itself, not (z - shift) * scale */
    int32_t tile;     /* side of a tile in latent pixels; 0 = the whole image at once */
    int32_t overlap;  /* latent pixels that neighbouring tiles share; 0 = 16 */
    int32_t exact;    /* 1 = plain sums in 3x3 convolutions: twice the time. The default, Winograd's
                         method, is within 1e-5 of the largest value of exact arithmetic */
} usp_vae_options;

#define USP_VAE_OPTIONS_INIT {USP_OPTIONS_SIZE(usp_vae_options), 0, 0, 0, 0}

/* A new model with parameters drawn from seed. out: owned. */
USP_API USP_CHECK usp_status usp_vae_create(
    const usp_vae_config *config, uint64_t seed, usp_model **out);
/* The sizes of a model; set out->struct_size first (the INIT macro does). */
USP_API USP_CHECK usp_status usp_vae_describe(const usp_model *vae, usp_vae_config *out);

/* Scale and shift of each latent channel: latents are (z - shift) * scale.
 *   out_scale, out_shift  [z]  f32; either may be NULL */
USP_API USP_CHECK usp_status usp_vae_normalization(
    const usp_model *vae, usp_tensor *out_scale, usp_tensor *out_shift);

/* Images to the posterior of their latents.
 *   images      [B, C, H, W]      f32  -1 ... 1; H and W multiples of f
 *   out_mean    [B, z, H/f, W/f]  f32  (mean - shift) * scale, unless options.raw
 *   out_logvar  [B, z, H/f, W/f]  f32  log variance of z itself, -30 ... 20; or NULL */
USP_API USP_CHECK usp_status usp_vae_encode(
    const usp_model *vae, const usp_tensor *images, const usp_vae_options *options,
    usp_tensor *out_mean, usp_tensor *out_logvar);

/* A sample of a posterior that usp_vae_encode gave with the same options.
 *   mean, logvar, noise  [B, z, h, w]  f32      out  the same */
USP_API USP_CHECK usp_status usp_vae_sample(
    const usp_model *vae, const usp_tensor *mean, const usp_tensor *logvar, const usp_tensor *noise,
    const usp_vae_options *options, usp_tensor *out);

/* Latents to images.
 *   latents     [B, z, h, w]      f32  (z - shift) * scale, unless options.raw
 *   out_images  [B, C, f*h, f*w]  f32  about -1 ... 1 */
USP_API USP_CHECK usp_status usp_vae_decode(
    const usp_model *vae, const usp_tensor *latents, const usp_vae_options *options,
    usp_tensor *out_images);

USP_END_DECLARATIONS

#endif /* USP_VAE_H */
