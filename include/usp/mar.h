/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_MAR_H
#define USP_MAR_H

#include "model.h"

USP_BEGIN_DECLARATIONS

/* ---- mar: masked autoregressive generation ------------------------------------------------ */

/* Tokens are patches of latents, row by row, of E = C*P*P values, channel slowest. A token of a
 * mask is hidden (1) or visible (0); each row of a mask hides equally many. Labels are 0 ... K - 1,
 * and K for no label. */

/* usp_mar_options: written by make abi */
typedef struct usp_mar_options {
    uint32_t struct_size; /* what the INIT macro wrote */
    uint32_t reserved;
    /* [B, T] f32: 1 for hidden tokens, equally many in each row; NULL: drawn from seed. */
    const usp_tensor *mask;
    /* [M, B, T] i64: the step of each token, 0 to 999; NULL: drawn from seed. */
    const usp_tensor *times;
    /* [M, B, C, H, W] f32; NULL: drawn from seed. */
    const usp_tensor *noise;
    /* Share of hidden tokens, rounded up; absent: one for the batch from a normal of mean 1 and
     * deviation 0.25, truncated to 0.7 to 1. More than 0 to 1. USP_ABSENT: absent. */
    double mask_ratio;
    /* How often each token is denoised, M, where neither times nor noise tell. 1 to 4096.
     * Default: 4. */
    int64_t copies;
    /* Of what is drawn. Default: 0. */
    uint64_t seed;
} usp_mar_options;

#define USP_MAR_OPTIONS_INIT \
    {USP_OPTIONS_SIZE(usp_mar_options), 0, NULL, NULL, NULL, USP_ABSENT, 4, 0}
/* end of usp_mar_options */

/* Hide tokens, condition the diffusion head by the others, and compare what it makes of noised
 * tokens, each M times.
 *   latents         [B, C, H, W]  f32
 *   y               [B]           i64  NULL = no label for all
 *   out_loss                      mean over hidden tokens and copies
 *   out_token_loss  [M, B, T]     f32  of all tokens; may be NULL
 *   out_mask        [B, T]        f32  may be NULL
 * Errors: ARGUMENT if nothing is hidden, rows of a mask hide different numbers of tokens, a label is
 * above K, or a time is no step. */
USP_API USP_CHECK usp_status usp_mar_forward(
    const usp_model *mar, const usp_tensor *latents, const usp_tensor *y,
    const usp_mar_options *options, float *out_loss, usp_tensor *out_token_loss,
    usp_tensor *out_mask);

/* The same loss and its gradient for every parameter, in the names of the file that the model came
 * from. out_gradients: owned. */
USP_API USP_CHECK usp_status usp_mar_gradients(
    const usp_model *mar, const usp_tensor *latents, const usp_tensor *y,
    const usp_mar_options *options, float *out_loss, usp_checkpoint **out_gradients);

/* What conditions the head at each token: the decoder's output with the head's positions.
 *   latents  [B, C, H, W]  f32  hidden tokens are not read
 *   y        [B]           i64  NULL = no label for all
 *   mask     [B, T]        f32
 *   out      [B, T, D]     f32  D the decoder's width */
USP_API USP_CHECK usp_status usp_mar_condition(
    const usp_model *mar, const usp_tensor *latents, const usp_tensor *y, const usp_tensor *mask,
    usp_tensor *out);

/* The head: the noise in single tokens, and what its variance is made of.
 *   x          [N, E]   f32
 *   t          [N]      f32  whole steps 0 ... 999
 *   condition  [N, D]   f32
 *   out        [N, 2E]  f32 */
USP_API USP_CHECK usp_status usp_mar_denoise(
    const usp_model *mar, const usp_tensor *x, const usp_tensor *t, const usp_tensor *condition,
    usp_tensor *out);

/* The original's guided pass over n tokens given twice, first with their conditions, then with those
 * of no label; both halves see the first half's x, both get the guided noise, and each its own
 * variance. N = 2n; scale as usp_dit_forward_guided. */
USP_API USP_CHECK usp_status usp_mar_denoise_guided(
    const usp_model *mar, const usp_tensor *x, const usp_tensor *t, const usp_tensor *condition,
    float scale, usp_tensor *out);

/* usp_mar_sample_options: written by make abi */
typedef struct usp_mar_sample_options {
    uint32_t struct_size; /* what the INIT macro wrote */
    uint32_t reserved;
    /* [B, T] i64: a permutation of the tokens for each sample, of which the first stay hidden
     * longest; NULL: drawn from seed. */
    const usp_tensor *orders;
    /* [B, C, H, W] f32: what the diffusion of each token starts from; NULL: drawn. */
    const usp_tensor *z;
    /* [S, B, C, H, W] f32: the noise of each reverse step, the noisiest first, used at a token's
     * place in the iteration that predicts it; NULL: drawn. */
    const usp_tensor *noise;
    /* After each iteration; NULL = none. */
    usp_progress_fn progress;
    /* Handed to progress. */
    void *progress_user;
    /* Every preview_interval iterations, with usp_progress.latents set; NULL = none. */
    usp_progress_fn preview;
    /* Handed to preview. */
    void *preview_user;
    /* Passes of encoder and decoder, 1 to T; each predicts more tokens than the one before. 1 to
     * 1000000. Default: 64. */
    int64_t iterations;
    /* Guidance between the prediction with and without label; 1 is none. Default: 1. */
    double cfg_scale;
    /* linear: 1 + (cfg_scale - 1) times the share of tokens that are then predicted. One of
     * linear, constant. Default: linear. */
    const char *cfg_schedule;
    /* Factor of the noise between the reverse steps of a token. 0 or more. Default: 1. */
    double temperature;
    /* Which of the 1000 steps a token's diffusion uses, as usp_diffusion_options.respacing.
     * Default: 100. */
    const char *respacing;
    /* Reverse steps of the last iteration; the number falls to it evenly from respacing's, then
     * a plain number (DiSA: later tokens need fewer). Absent: it stays. 1 to 1000. -1: absent. */
    int64_t last_steps;
    /* Of orders and noise that are drawn. Default: 0. */
    uint64_t seed;
    /* torch: the noise that the original draws on a CPU after this seed; absent: one
     * counter-based stream for each sample, token and step. One of torch. NULL: absent. */
    const char *generator;
    /* Number of the batch's first sample, for runs in parts: what is drawn goes by a sample's
     * number. 0 to 281474976710656. Default: 0. */
    int64_t first_sample;
    /* Samples of all parts together, which torch's generator draws at once; absent: the batch's.
     * 1 to 281474976710656. -1: absent. */
    int64_t total_samples;
    /* Iterations from preview to preview. 1 or more. Default: 10. */
    int64_t preview_interval;
} usp_mar_sample_options;

#define USP_MAR_SAMPLE_OPTIONS_INIT \
    {USP_OPTIONS_SIZE(usp_mar_sample_options), 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 64, \
     1, "linear", 1, "100", -1, 0, NULL, 0, -1, 10}
/* end of usp_mar_sample_options */

/* Draw latents: all tokens are hidden at first, and each iteration predicts a few of them from the
 * others, by a diffusion of their own.
 *   y    [B]           i64  NULL = no label for all
 *   out  [B, C, H, W]  f32
 * Errors: ARGUMENT for a label above K, iterations outside of 1 ... T, orders that are no
 * permutations; NOT_FINITE naming the iteration; CANCELLED. */
USP_API USP_CHECK usp_status usp_mar_sample(
    const usp_model *mar, const usp_tensor *y, const usp_mar_sample_options *options,
    usp_tensor *out);

USP_END_DECLARATIONS

#endif /* USP_MAR_H */
