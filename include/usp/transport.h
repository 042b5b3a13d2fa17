/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_TRANSPORT_H
#define USP_TRANSPORT_H

#include "sampler.h"

USP_BEGIN_DECLARATIONS

/* ---- transport: SiT's interpolants -------------------------------------------------------- */

/* Paths between noise (t = 0) and data (t = 1; with noise_at 1 the other way), losses and solvers.
 * Immutable: any thread. */
typedef struct usp_transport usp_transport;

/* usp_transport_options: written by make abi */
typedef struct usp_transport_options {
    uint32_t struct_size; /* what the INIT macro wrote */
    uint32_t reserved;
    /* The path from noise to data. One of Linear, GVP, VP. Default: Linear. */
    const char *path;
    /* What the model predicts. One of velocity, score, noise. Default: velocity. */
    const char *prediction;
    /* How training weighs the squared error of score and noise models. One of none, velocity,
     * likelihood. Default: none. */
    const char *loss_weight;
    /* How far training stays away from singular ends; absent: the original's rule, 1e-5 for VP,
     * 1e-3 for score and noise, 0 for velocity on Linear and GVP. 0 to below 0.5. USP_ABSENT:
     * absent. */
    double train_epsilon;
    /* The same for sampling; absent: 1e-3, and 0 for velocity on Linear and GVP. 0 to below 0.5.
     * USP_ABSENT: absent. */
    double sample_epsilon;
    /* The model's time of pure noise: 0 as SiT, 1 as REPA, with times and velocities that go the
     * other way; absent: the model's own, 0 for functions. 0 to 1. -1: absent. */
    int64_t noise_at;
    /* How training draws its times; lognormal is the logit-normal distribution of LightningDiT
     * and REPA. One of uniform, lognormal. Default: uniform. */
    const char *times;
    /* Velocity: training also turns the predicted velocity of each latent pixel towards the true
     * one, by 1 - cosine along the channels (LightningDiT). Default: no. */
    int64_t cosine_loss;
} usp_transport_options;

#define USP_TRANSPORT_OPTIONS_INIT \
    {USP_OPTIONS_SIZE(usp_transport_options), 0, "Linear", "velocity", "none", USP_ABSENT, \
     USP_ABSENT, -1, "uniform", 0}
/* end of usp_transport_options */

/* out: owned. Errors: ARGUMENT naming the choices for an unknown one. */
USP_API USP_CHECK usp_status usp_transport_create(
    const usp_transport_options *options, usp_transport **out);
USP_API void usp_transport_free(usp_transport *transport);

/* Where a run starts and ends, by the original's rule for path and prediction; an end at which the
 * field would be infinite is moved by 0.001.
 *   stochastic  0: usp_transport_sample_ode; 1: usp_transport_sample_sde with these options
 *   note        a sentence for each moved end, "" if none; cut to the capacity. out_length: without
 *               the NUL, may be NULL. */
USP_API USP_CHECK usp_status usp_transport_interval(
    const usp_transport *transport, int32_t stochastic, const usp_sample_options *options,
    double *out_start, double *out_end, char *note, size_t capacity, size_t *out_length);

/* Latents from noise along the probability-flow ODE.
 *   z    [B, C, H, W]  f32  standard normal
 *   y    [B]           i64  labels, or NULL
 *   out  [B, C, H, W]  f32
 * options.method: one of the ODE's, the first by default; options.steps: points of time.
 * Errors: ARGUMENT for an option that has no part in the method. */
USP_API USP_CHECK usp_status usp_transport_sample_ode(
    const usp_transport *transport, const usp_denoiser *denoiser, const usp_tensor *z,
    const usp_tensor *y, const usp_sample_options *options, usp_tensor *out);

/* Noise from latents: the same ODE, run backwards. */
USP_API USP_CHECK usp_status usp_transport_invert_ode(
    const usp_transport *transport, const usp_denoiser *denoiser, const usp_tensor *x,
    const usp_tensor *y, const usp_sample_options *options, usp_tensor *out);

/* Latents from noise along an SDE with the same marginals.
 * options.method: one of the SDE's, the first by default. */
USP_API USP_CHECK usp_status usp_transport_sample_sde(
    const usp_transport *transport, const usp_denoiser *denoiser, const usp_tensor *z,
    const usp_tensor *y, const usp_sample_options *options, usp_tensor *out);

/* Training losses of a denoiser, per sample.
 *   data        [B, C, H, W]  f32  clean latents
 *   t           [B]           f32  times; NULL draws them from seed
 *   y           [B]           i64  labels, or NULL
 *   noise       [B, C, H, W]  f32  NULL draws it from seed
 *   features    feature_count arrays, [B, T, Z] f32: a teacher's tokens for each projector of the
 *               model (REPA); or 0 and NULL
 *   out_losses  [B]           f32
 *   out_mse, out_cos_loss  [B]  f32  the parts of a cosine_loss, or NULL
 *   out_alignment          [B]  f32  minus the mean cosine of projected tokens with the features,
 *               which is no part of the losses; or NULL
 * Errors: SHAPE for features that do not fit, with images of which size would. */
USP_API USP_CHECK usp_status usp_transport_losses(
    const usp_transport *transport, const usp_denoiser *denoiser, const usp_tensor *data,
    const usp_tensor *t, const usp_tensor *y, const usp_tensor *noise, int32_t feature_count,
    const usp_tensor *features, uint64_t seed, usp_tensor *out_losses, usp_tensor *out_mse,
    usp_tensor *out_cos_loss, usp_tensor *out_alignment);

/* Times as training draws them, on the model's scale.
 *   out  [N]  f32; the first times of a longer vector are those of a shorter one */
USP_API USP_CHECK usp_status usp_transport_draw_times(
    const usp_transport *transport, uint64_t seed, usp_tensor *out);

/* Log-likelihood of latents, by the instantaneous change of variables with Hutchinson's estimator.
 * The divergence along the probe is exact for a model of the library (one pass forwards and back);
 * for a function, and with guidance, a central difference: three evaluations, and an error of about
 * 1e-4 where the network bends.
 *   x         [B, C, H, W]  f32
 *   y         [B]           i64  labels, or NULL
 *   out_logp  [B]           f32  nats
 *   out_z     [B, C, H, W]  f32  the noise that x came from, or NULL
 * options.method: one of the ODE's; options.noise: [1, B, C, H, W] the probe, NULL = signs from
 * seed. */
USP_API USP_CHECK usp_status usp_transport_likelihood(
    const usp_transport *transport, const usp_denoiser *denoiser, const usp_tensor *x,
    const usp_tensor *y, const usp_sample_options *options, usp_tensor *out_logp,
    usp_tensor *out_z);

USP_END_DECLARATIONS

#endif /* USP_TRANSPORT_H */
