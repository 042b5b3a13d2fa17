/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_TRAINER_H
#define USP_TRAINER_H

#include "diffusion.h"
#include "transport.h"

USP_BEGIN_DECLARATIONS

/* ---- trainer: one update at a time, from your own batches --------------------------------- */

/* A private copy of a model's parameters with optimiser state and moving average. What is minimised
 * goes by the family: reconstruction and divergence (VAE), masked patches (MAE), cross entropy
 * (ViT), the Gaussian process's loss (DiT), the transport's (SiT).
 * One thread at a time, except for usp_trainer_cancel. */
typedef struct usp_trainer usp_trainer;

/* Sum `data` over all ranks, in place: the flat gradient slab, called in the same order on all
 * ranks; the library divides. Return 0; anything else ends the step with USP_ERROR_CALLBACK. */
typedef int32_t (*usp_allreduce_fn)(float *data, size_t count, void *user);

/* What a transformer's training step computes again for its gradients instead of keeping it: the
 * same bits from less memory in more time. Figures: MAE-B, batch 16, AdamW, f32 (bf16). */
typedef enum usp_recompute {
    USP_RECOMPUTE_NOTHING = 0,
    USP_RECOMPUTE_BLOCKS = 1, /* each block, of which only the input is kept: 0.69 (0.81) of the
                                 memory in 1.20 (1.18) of the time */
    USP_RECOMPUTE_HIDDEN = 2  /* the hidden layer of each block: 0.86 (0.92) of the memory in 1.09
                                 (1.08) of the time */
} usp_recompute;

typedef struct usp_trainer_options {
    uint32_t struct_size;
    int32_t accumulation;     /* equal parts that a batch is cut into; 0 = 1 */
    const char *optimizer;    /* "adamw" (NULL) or "lars" */
    float rate;               /* peak learning rate; 0 = 1e-4 */
    float minimum_rate;       /* where the half cosine ends */
    int64_t warmup;           /* steps of linear warm-up */
    int64_t steps;            /* steps in all; 0 = constant rate after the warm-up */
    float weight_decay;       /* of matrices, but not a ViT's cls_token and pos_embed */
    float beta1;              /* 0 = 0.9 (the momentum of lars) */
    float beta2;              /* 0 = 0.999 */
    float average_decay;      /* of the exponential moving average; 0 = no average */
    float clip_norm;          /* largest norm of all gradients together; 0 = no clipping */
    float layer_decay;        /* factor of the rate a layer away from the head; 0 = 1 */
    const char *compute;      /* "f32" (NULL) or "bf16" */
    uint64_t seed;            /* of everything that is drawn: noise, times, masks, dropped labels */
    float mask_ratio;         /* MAE; 0 = 0.75 */
    usp_choice norm_pix_loss; /* MAE: normalise target patches; default yes */
    float kl_weight;          /* VAE; 0 = 1e-6 */
    float label_smoothing;    /* ViT */
    float label_dropout;      /* DiT, SiT: share of labels that become the null class */
    int32_t head_only;        /* ViT: 1 = a linear probe */
    const char *reconstruction;     /* VAE: "squared" (NULL) or "absolute" */
    const usp_diffusion *diffusion; /* DiT: the process, kept; NULL = 1000 linear steps */
    const usp_transport *transport; /* SiT: the transport, kept; NULL = Linear, velocity */
    usp_allreduce_fn allreduce;     /* NULL = trains alone */
    void *allreduce_user;
    int32_t world_size;             /* ranks, with allreduce */
    float drop_path;                /* ViT: rate in the last block; it grows linearly from 0 */
    int32_t average_warms_up;       /* 1 = decay min(average_decay, (1 + n)/(10 + n)) at step n */
    int32_t recompute;              /* a usp_recompute; 0 = nothing (all that a VAE can do) */
    int32_t exact;                  /* 1 = plain sums everywhere, as in usp_model_options */
} usp_trainer_options;

#define USP_TRAINER_OPTIONS_INIT                                                             \
    {USP_OPTIONS_SIZE(usp_trainer_options), 0, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, 0, 0, \
     USP_DEFAULT, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0, 0}

/* Start from a copy of the model's parameters, at step 0. out: owned. Errors: ARGUMENT for numbers
 * out of range and options that have no part in the family. */
USP_API USP_CHECK usp_status usp_trainer_create(
    const usp_model *model, const usp_trainer_options *options, usp_trainer **out);
USP_API void usp_trainer_free(usp_trainer *trainer);

/* One update.
 *   inputs    [B, C, H, W]  f32  images (VAE, ViT on pixels) or latents;
 *             [B, D]        f32  with head_only also features (usp_vit_features), computed once
 *   labels    [B]           i64  ViT; DiT and SiT, where NULL is the null class. ViT also takes
 *             [B, K]        f32  shares of the classes, as mixup makes them
 *   times     [B]           f32  DiT whole, 0 ... steps - 1; SiT 0 ... 1; NULL draws them
 *   noise                   f32  of the inputs' shape (DiT, SiT), the latents' (VAE), or [B, T]
 *                                (MAE's masking); NULL draws it
 *   out_loss                mean over the batch; may be NULL
 * Errors: CANCELLED; NOT_FINITE naming the step if the loss or what ranks sum is; ARGUMENT for
 * times or noise that the family has no use for (labels are then not read). Parameters are then as
 * before the step. */
USP_API USP_CHECK usp_status usp_trainer_step(
    usp_trainer *trainer, const usp_tensor *inputs, const usp_tensor *labels,
    const usp_tensor *times, const usp_tensor *noise, float *out_loss);

/* The loss that the next step would have on this batch, in one part and without clipping, and its
 * gradient for every parameter that it would train, in the names of the file that the model came
 * from. Nothing changes. Inputs as usp_trainer_step. out_gradients: owned. */
USP_API USP_CHECK usp_status usp_trainer_gradients(
    usp_trainer *trainer, const usp_tensor *inputs, const usp_tensor *labels,
    const usp_tensor *times, const usp_tensor *noise, float *out_loss,
    usp_checkpoint **out_gradients);

/* Steps done; learning rate and gradient norm (0 without clipping) of the last one: any
 * thread, also during a step. */
USP_API int64_t usp_trainer_steps(const usp_trainer *trainer);
USP_API float usp_trainer_rate(const usp_trainer *trainer);
USP_API float usp_trainer_gradient_norm(const usp_trainer *trainer);

/* A copy of the model as it is now; averaged = 1 takes the moving average. out: owned. */
USP_API USP_CHECK usp_status usp_trainer_model(
    usp_trainer *trainer, int32_t averaged, usp_model **out);

/* Write and read everything that training needs to go on as if it had never stopped: parameters,
 * moments, average, counts; not the options, which the new trainer has to be given again. The file
 * appears complete or not at all.
 * Errors: IO, FORMAT; MISSING_WEIGHT, SHAPE or DTYPE naming what does not fit: nothing has changed
 * then. */
USP_API USP_CHECK usp_status usp_trainer_save(usp_trainer *trainer, const char *path);
USP_API USP_CHECK usp_status usp_trainer_restore(usp_trainer *trainer, const char *path);

/* Stop the step under way, unless it has begun to change parameters, or else the next one; any
 * thread. */
USP_API void usp_trainer_cancel(usp_trainer *trainer);

USP_END_DECLARATIONS

#endif /* USP_TRAINER_H */
