/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_DIFFUSION_H
#define USP_DIFFUSION_H

#include "sampler.h"

USP_BEGIN_DECLARATIONS

/* ---- diffusion: DiT's Gaussian process ---------------------------------------------------- */

/* Schedules, losses and samplers of one process. Immutable: any thread. */
typedef struct usp_diffusion usp_diffusion;

/* usp_diffusion_options: written by make abi */
typedef struct usp_diffusion_options {
    uint32_t struct_size; /* what the INIT macro wrote */
    uint32_t reserved;
    /* Steps of the whole process: what the model was trained with. 1 to 1000000. Default: 1000. */
    int64_t training_steps;
    /* How the noise grows over the process. One of linear, cosine. Default: linear. */
    const char *schedule;
    /* Which of the steps a run uses: "250", "10,10,20" in equal sections, "ddim50" by an integer
     * stride; empty: every step. Default: none. */
    const char *respacing;
    /* What the model predicts. One of epsilon, start, previous. Default: epsilon. */
    const char *prediction;
    /* Where the variance of a step comes from; learned ones take a second set of channels. One
     * of learned-range, learned, fixed-small, fixed-large. Default: learned-range. */
    const char *variance;
    /* What training minimises. One of mse, rescaled-mse, kl, rescaled-kl. Default: mse. */
    const char *loss;
} usp_diffusion_options;

#define USP_DIFFUSION_OPTIONS_INIT \
    {USP_OPTIONS_SIZE(usp_diffusion_options), 0, 1000, "linear", NULL, "epsilon", \
     "learned-range", "mse"}
/* end of usp_diffusion_options */

/* out: owned. Errors: ARGUMENT naming the choices for an unknown one. */
USP_API USP_CHECK usp_status usp_diffusion_create(
    const usp_diffusion_options *options, usp_diffusion **out);
USP_API void usp_diffusion_free(usp_diffusion *diffusion);

/* Steps of a run, after respacing. */
USP_API int64_t usp_diffusion_steps(const usp_diffusion *diffusion);

/* One of the process's tables.
 *   name  "betas", "alphas_cumprod", "alphas_cumprod_prev", "alphas_cumprod_next",
 *         "posterior_variance", "posterior_log_variance_clipped", "posterior_mean_coef1",
 *         "posterior_mean_coef2", "timestep_map"
 *   out   [steps]  f64 */
USP_API USP_CHECK usp_status usp_diffusion_table(
    const usp_diffusion *diffusion, const char *name, usp_tensor *out);

/* Noise clean latents to the level of a step.
 *   start, noise  [B, C, H, W]  f32      out  the same
 *   t             [B]           i64      0 ... steps - 1 */
USP_API USP_CHECK usp_status usp_diffusion_noise(
    const usp_diffusion *diffusion, const usp_tensor *start, const usp_tensor *t,
    const usp_tensor *noise, usp_tensor *out);

/* Latents from noise.
 *   z    [B, C, H, W]  f32  standard normal
 *   y    [B]           i64  labels, or NULL
 *   out  [B, C, H, W]  f32
 * options.method: one of the diffusion's, the first by default; options.steps must be absent or
 * usp_diffusion_steps: the respacing says how many.
 * Errors: ARGUMENT for an option that has no part in the method; NOT_FINITE naming the step at which the model returned such a value. */
USP_API USP_CHECK usp_status usp_diffusion_sample(
    const usp_diffusion *diffusion, const usp_denoiser *denoiser, const usp_tensor *z,
    const usp_tensor *y, const usp_sample_options *options, usp_tensor *out);

/* Noise from latents: DDIM (eta 0) run backwards. Arguments as usp_diffusion_sample. */
USP_API USP_CHECK usp_status usp_diffusion_invert(
    const usp_diffusion *diffusion, const usp_denoiser *denoiser, const usp_tensor *x,
    const usp_tensor *y, const usp_sample_options *options, usp_tensor *out);

/* Training losses of a denoiser, per sample.
 *   start       [B, C, H, W]  f32  clean latents
 *   t           [B]           i64  0 ... steps - 1; NULL draws them from seed
 *   y           [B]           i64  labels, or NULL
 *   noise       [B, C, H, W]  f32  NULL draws it from seed
 *   out_losses  [B]           f32
 *   out_mse, out_vb  [B]      f32  the loss's parts, or NULL */
USP_API USP_CHECK usp_status usp_diffusion_losses(
    const usp_diffusion *diffusion, const usp_denoiser *denoiser, const usp_tensor *start,
    const usp_tensor *t, const usp_tensor *y, const usp_tensor *noise, uint64_t seed,
    usp_tensor *out_losses, usp_tensor *out_mse, usp_tensor *out_vb);

/* The whole variational bound of clean latents in bits per dimension: each step evaluated once.
 *   start      [B, C, H, W]  f32  clean latents, of the range [-1, 1]
 *   y          [B]           i64  labels, or NULL
 *   out_total  [B]           f32  the prior's term and the steps' together
 *   out_prior  [B]           f32  the prior's term, or NULL
 *   out_vb, out_start_mse, out_noise_mse  [B, steps]  f32  the steps' terms and the squared errors
 *              of the predicted latents and noise, the noisiest step first; or NULL
 * options: clip (the original clips), noise [steps, B, C, H, W], seed, progress, preview have a
 * part. */
USP_API USP_CHECK usp_status usp_diffusion_bits_per_dimension(
    const usp_diffusion *diffusion, const usp_denoiser *denoiser, const usp_tensor *start,
    const usp_tensor *y, const usp_sample_options *options, usp_tensor *out_total,
    usp_tensor *out_prior, usp_tensor *out_vb, usp_tensor *out_start_mse,
    usp_tensor *out_noise_mse);

USP_END_DECLARATIONS

#endif /* USP_DIFFUSION_H */
