/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_SAMPLER_H
#define USP_SAMPLER_H

#include "denoiser.h"

USP_BEGIN_DECLARATIONS

/* ---- sampler: how a run goes, whatever the process --------------------------------------- */

/* Change predicted clean latents [B, C, H, W] in place, before they are clipped and used. Return 0;
 * anything else ends the run with USP_ERROR_CALLBACK. */
typedef int32_t (*usp_start_fn)(usp_tensor *start, void *user);

/* How a sampler runs; shared by all of them. */
typedef struct usp_sample_options {
    uint32_t struct_size;
    int32_t steps;             /* 0 = the sampler's own number; see each sampler */
    const char *method;        /* NULL = the sampler's own; see each sampler */
    uint64_t seed;             /* of the noise that is drawn between steps, without `noise` */
    const char *generator;     /* NULL = one counter-based stream a sample; "torch", "torch-cuda" =
                                  the numbers and the order of the original scripts, whose
                                  first draw after the seed is z */
    const usp_tensor *noise;   /* [S, B, C, H, W] f32: consumed in order, one entry a draw. S:
                                  steps of ddpm, and of ddim with eta; steps - 1 of dpm++sde and of
                                  SDEs */
    usp_progress_fn progress;  /* after each step; NULL = none */
    void *progress_user;
    usp_progress_fn preview;   /* every preview_interval steps, with usp_progress.latents set */
    void *preview_user;
    int32_t preview_interval;  /* 0 = 10 */
    int32_t clip;              /* 1 = clip predicted clean latents to [-1, 1] (diffusion) */
    float eta;                 /* DDIM: 0 is deterministic, 1 as noisy as ancestral sampling */
    float atol;                /* adaptive solvers; 0 = 1e-6 */
    float rtol;                /* adaptive solvers; 0 = 1e-3 */
    float timestep_shift;      /* 0 or 1 = none; LightningDiT uses 0.3 (transport) */
    const char *form;          /* SDE diffusion form (transport); NULL = "sigma" */
    float norm;                /* SDE diffusion norm; 0 = 1 */
    const char *last_step;     /* SDE: "Mean", "Tweedie", "Euler", "None"; NULL = "Mean" */
    float last_step_size;      /* SDE; 0 = 0.04 */
    int32_t first_sample;      /* number of the batch's first sample, for runs in parts: drawn noise
                                  goes by a sample's number */
    usp_start_fn adjust_start; /* at each step (diffusion); NULL = none */
    void *adjust_user;
    int64_t total_samples;     /* of all parts, which "torch" and "torch-cuda" draw at once; 0 = the
                                  batch's */
} usp_sample_options;

#define USP_SAMPLE_OPTIONS_INIT                                                              \
    {USP_OPTIONS_SIZE(usp_sample_options), 0, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, \
     0, 0, 0, 0, NULL, 0, NULL, 0, 0, NULL, NULL, 0}

USP_END_DECLARATIONS

#endif /* USP_SAMPLER_H */
