/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_VAE_H
#define USP_VAE_H

#include "model.h"

USP_BEGIN_DECLARATIONS

/* ---- vae: images to latents and back ------------------------------------------------------ */

/* usp_vae_options: written by make abi */
typedef struct usp_vae_options {
    uint32_t struct_size; /* what the INIT macro wrote */
    uint32_t reserved;
    /* Latents are (z - shift) * scale; off gives and takes z itself. Default: yes. */
    int64_t scaled;
    /* Side of a tile in latent pixels; 0 takes the whole image at once. 0 or more. Default: 0. */
    int64_t tile;
    /* Latent pixels that neighbouring tiles share at least, fewer than a tile has; without it
     * 16, and a quarter of smaller tiles. 0 or more. -1: absent. */
    int64_t overlap;
    /* Plain sums in 3x3 convolutions: twice the time. Without it Winograd's method, within 1e-5
     * of the largest value of exact arithmetic. Default: no. */
    int64_t exact;
} usp_vae_options;

#define USP_VAE_OPTIONS_INIT \
    {USP_OPTIONS_SIZE(usp_vae_options), 0, 1, 0, -1, 0}
/* end of usp_vae_options */

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
