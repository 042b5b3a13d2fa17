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
/* usp_sample_options: written by make abi */
typedef struct usp_sample_options {
    uint32_t struct_size; /* what the INIT macro wrote */
    uint32_t reserved;
    /* [S, B, C, H, W] f32: consumed in order, one entry a draw, in place of drawn noise; or
     * NULL. S: steps of ddpm, and of ddim with eta; steps - 1 of dpm++sde and of SDEs. Part in:
     * ddpm, ddim, dpm++sde, sde, sde-heun. */
    const usp_tensor *noise;
    /* After each step; NULL = none. */
    usp_progress_fn progress;
    /* Handed to progress. */
    void *progress_user;
    /* Every preview_interval steps, with usp_progress.latents set; NULL = none. */
    usp_progress_fn preview;
    /* Handed to preview. */
    void *preview_user;
    /* At each step of a diffusion; NULL = none. Part in: ddpm, ddim, dpm++, dpm++sde. */
    usp_start_fn adjust_start;
    /* Handed to adjust_start. */
    void *adjust_user;
    /* The solver. Diffusion: ddpm, ddim, dpm++, dpm++sde. ODE: dopri5, bosh3, euler, midpoint,
     * heun, heun3, rk4, adams-bashforth, adams-bashforth3. SDE: Euler (sde), Heun (sde-heun).
     * Absent: the first of its kind. NULL: absent. */
    const char *method;
    /* Steps of a run; of an ODE its points of time. Absent: all of a diffusion's, 50 points, 250
     * steps of an SDE. 1 to 1000000. -1: absent. */
    int64_t steps;
    /* Of the noise that is drawn between steps. Default: 0. */
    uint64_t seed;
    /* The numbers and the order of the original scripts, whose first draw after the seed is the
     * start; absent: one counter-based stream a sample. One of torch, torch-cuda. NULL: absent. */
    const char *generator;
    /* Number of the batch's first sample, for runs in parts: drawn noise goes by a sample's
     * number. 0 to 281474976710656. Default: 0. */
    int64_t first_sample;
    /* Samples of all parts together, which torch's generators draw at once; absent: the batch's.
     * 1 to 281474976710656. -1: absent. */
    int64_t total_samples;
    /* Clip predicted clean latents to [-1, 1]. Default: no. Part in: ddpm, ddim, dpm++,
     * dpm++sde, bits per dimension. */
    int64_t clip;
    /* 0 is deterministic, 1 as noisy as ancestral sampling. 0 to 1. Default: 0. Part in: ddim. */
    double eta;
    /* Absolute tolerance of a step. 0 or more. Default: 1e-06. Part in: dopri5, bosh3. */
    double atol;
    /* Relative tolerance of a step. 0 or more. Default: 0.001. Part in: dopri5, bosh3. */
    double rtol;
    /* Below 1 takes shorter steps at the start, 0.3 in LightningDiT; 0 or 1: none. 0 or more.
     * Default: 1. Part in: dopri5, bosh3, euler, midpoint, heun, heun3, rk4, adams-bashforth,
     * adams-bashforth3. */
    double timestep_shift;
    /* Diffusion of the SDE. One of constant, SBDM, sigma, linear, decreasing,
     * increasing-decreasing. Default: sigma. Part in: sde, sde-heun. */
    const char *form;
    /* Factor of the SDE's diffusion. 0 or more. Default: 1. Part in: sde, sde-heun. */
    double norm;
    /* What follows the SDE's last noisy step; absent: Mean. Of an ODE Euler takes the last
     * interval as Euler's method does, which makes heun REPA's; absent: as the others. One of
     * None, Mean, Tweedie, Euler. Part in: euler, midpoint, heun, heun3, rk4, adams-bashforth,
     * adams-bashforth3, sde, sde-heun. NULL: absent. */
    const char *last_step;
    /* Size of that step. 0 to below 1. Default: 0.04. Part in: sde, sde-heun. */
    double last_step_size;
    /* Steps from one preview to the next; the last step always has one. 1 or more. Default: 10. */
    int64_t preview_interval;
    /* Guidance's null half is integrated too and has a part in the choice of steps, as in the
     * originals' batches: their numbers, at no evaluation more. Default: no. Part in: dopri5,
     * bosh3. */
    int64_t null_half;
    /* The blocks of a DiT or SiT are computed at every so many evaluations; between, what they
     * added to the tokens is used again (as FORA does). 1: always computed. 1 to 1000000.
     * Default: 1. Part in: ddpm, ddim, dpm++, dpm++sde, euler, midpoint, heun, heun3, rk4,
     * adams-bashforth, adams-bashforth3, sde, sde-heun. */
    int64_t reuse_interval;
    /* In place of an interval: blocks are computed again when the relative change of the first
     * block's input, summed since then, reaches this (as TeaCache does); chosen for a batch
     * together. Absent: always computed. 0 or more. Part in: ddpm, ddim, dpm++, dpm++sde, euler,
     * midpoint, heun, heun3, rk4, adams-bashforth, adams-bashforth3, sde, sde-heun. USP_ABSENT:
     * absent. */
    double reuse_threshold;
    /* 0: what blocks added is used as it was; 1: as the line through the last two times goes on
     * (as TaylorSeer does). 0 to 1. Default: 0. Part in: ddpm, ddim, dpm++, dpm++sde, euler,
     * midpoint, heun, heun3, rk4, adams-bashforth, adams-bashforth3, sde, sde-heun. */
    int64_t reuse_order;
    /* Guidance's null half is computed at every so many guided evaluations; between, its
     * distance from the labelled half is used again. 1: always computed. 1 to 1000000. Default:
     * 1. Part in: ddpm, ddim, dpm++, dpm++sde, euler, midpoint, heun, heun3, rk4,
     * adams-bashforth, adams-bashforth3, sde, sde-heun. */
    int64_t null_interval;
} usp_sample_options;

#define USP_SAMPLE_OPTIONS_INIT \
    {USP_OPTIONS_SIZE(usp_sample_options), 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, -1, \
     0, NULL, 0, -1, 0, 0, 1e-06, 0.001, 1, "sigma", 1, NULL, 0.04, 10, 0, 1, USP_ABSENT, 0, 1}
/* end of usp_sample_options */

USP_END_DECLARATIONS

#endif /* USP_SAMPLER_H */
