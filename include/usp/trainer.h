/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_TRAINER_H
#define USP_TRAINER_H

#include "diffusion.h"
#include "ranks.h"
#include "transport.h"

USP_BEGIN_DECLARATIONS

/* ---- trainer: one update at a time, from your own batches --------------------------------- */

/* A private copy of a model's parameters with optimiser state and moving average. What is minimised
 * goes by the family: reconstruction and divergence (VAE), masked patches (MAE), cross entropy
 * (ViT), the Gaussian process's loss (DiT), the transport's (SiT), that of each hidden token (MAR).
 * One thread at a time, except for usp_trainer_cancel. */
typedef struct usp_trainer usp_trainer;

/* usp_trainer_options: written by make abi */
typedef struct usp_trainer_options {
    uint32_t struct_size; /* what the INIT macro wrote */
    uint32_t reserved;
    /* The rule that updates parameters: AdamW or LARS. One of adamw, lars. Default: adamw. */
    const char *optimizer;
    /* Peak learning rate. 0 or more. Default: 0.0001. */
    double rate;
    /* The learning rate at which the schedule ends. 0 or more. Default: 0. */
    double minimum_rate;
    /* Steps of linear warm-up from 0. 0 or more. Default: 0. */
    int64_t warmup;
    /* Steps in all, over which the rate falls; 0 keeps it constant after the warm-up. 0 or more.
     * Default: 0. */
    int64_t steps;
    /* Decay of matrices; vectors, biases, a classifier's class token and its positions do not
     * decay. 0 or more. Default: 0. */
    double weight_decay;
    /* AdamW's first decay; the momentum of LARS. 0 to below 1. Default: 0.9. */
    double beta1;
    /* AdamW's second decay. 0 to below 1. Default: 0.999. */
    double beta2;
    /* Decay of the exponential moving average of the parameters; 0 keeps none. 0 to below 1.
     * Default: 0. */
    double average_decay;
    /* Let that decay grow with the steps n, min(average_decay, (1 + n)/(10 + n)), so that the
     * average of a short run looks back over its last tenth. Default: no. */
    int64_t average_warms_up;
    /* Largest norm of all gradients together; 0 does not clip. 0 or more. Default: 0. */
    double clip_norm;
    /* Factor of the rate for each layer away from the head. 0 or more. Default: 1. Part in: MAE,
     * ViT, Segmenter, LightningDiT, DiT, SiT. */
    double layer_decay;
    /* Equal parts that a batch is cut into; their gradients are averaged. 1 or more. Default: 1. */
    int64_t accumulation;
    /* Type of the products' inputs; sums and parameters stay f32. One of f32, bf16. Default:
     * f32. */
    const char *dtype;
    /* Sum every product plainly, as a model that is loaded so. Default: no. */
    int64_t exact;
    /* Seed of all that is drawn: noise, times, masks, dropped labels. Default: 0. */
    uint64_t seed;
    /* What a transformer's step computes again for its gradients instead of keeping it, to the
     * same bits: the hidden layer of each block (MAE-B, batch 16: 0.86 of the memory in 1.09 of
     * the time; bf16 0.92 in 1.08), or whole blocks (0.69 in 1.20; bf16 0.81 in 1.18). One of
     * nothing, hidden, blocks. Default: nothing. */
    const char *recompute;
    /* Share of masked tokens. 0 to below 1. Default: 0.75. Part in: MAE. */
    double mask_ratio;
    /* Normalise each patch of the target. Default: yes. Part in: MAE. */
    int64_t norm_pix_loss;
    /* Normalise each target over all of its patches, in place of each patch. Default: no. Part
     * in: MAE. */
    int64_t norm_image;
    /* Noise the input, sqrt(t) x + sqrt(1 - t) e with t in 0.5 to 1; the target stays clean.
     * Default: no. Part in: MAE. */
    int64_t add_noise;
    /* Weight of the divergence. 0 or more. Default: 1e-06. Part in: VAE. */
    double kl_weight;
    /* How a reconstruction is compared with its image: squared or absolute error. One of
     * squared, absolute. Default: squared. Part in: VAE. */
    const char *reconstruction;
    /* Share of the label that is spread over all classes. 0 to 1. Default: 0. Part in: ViT. */
    double label_smoothing;
    /* Rate of drop path in the last block; it grows linearly from 0. 0 to below 1. Default: 0.
     * Part in: ViT, Segmenter. */
    double drop_path;
    /* Train the head alone: a linear probe. Default: no. Part in: ViT, Segmenter. */
    int64_t head_only;
    /* Share of labels that become the null class. 0 to 1. Default: 0. Part in: LightningDiT,
     * DiT, SiT, MAR. */
    double label_dropout;
    /* The Gaussian process, kept; absent: 1000 steps, a DiT's linear, a MAR's cosine. Part in:
     * DiT, MAR. NULL: absent. */
    const usp_diffusion *diffusion;
    /* The transport, kept; absent: Linear, velocity. Part in: LightningDiT, SiT. NULL: absent. */
    const usp_transport *transport;
    /* This process among those that train together, kept; absent: it trains alone. NULL: absent. */
    const usp_ranks *ranks;
    /* How the rate falls behind the warm-up: half a cosine, or a line as mmengine's PolyLR of
     * power 1, whose warm-up starts at 1e-6 of the rate. One of cosine, poly. Default: cosine. */
    const char *schedule;
    /* Rate at which a Segmenter's head's channels are zeroed, and a MAR's values behind
     * attention's projection and both layers of the MLPs. 0 to below 1. Default: 0. Part in:
     * Segmenter, MAR. */
    double dropout;
    /* The pixels' losses are divided by the number of all, ignored ones too, or of the valid
     * ones. One of all, valid. Default: all. Part in: Segmenter. */
    const char *average;
    /* The label that is no class. -32768 to 65535. Default: 255. Part in: Segmenter. */
    int64_t ignored;
    /* How often each hidden token is denoised in a step, each time at another step and with
     * other noise. 1 to 4096. Default: 4. Part in: MAR. */
    int64_t copies;
    /* Share of attention's probabilities that are dropped: not built, so 0. 0 to below 1.
     * Default: 0. Part in: MAR. */
    double attention_dropout;
    /* Weight of the alignment with a teacher's features: of a flow minus the mean cosine of its
     * projected tokens with them (REPA, 0.5); of an autoencoder how its latents' cosines differ
     * from theirs (VA-VAE, 0.1 to 0.5), balanced with the reconstruction. 0 or more. Default: 0.
     * Part in: LightningDiT, SiT, VAE. */
    double align;
    /* What a batch of all ranks is cut into, a power of two that divides it: gradients are
     * summed over parts in pairs, so the number of ranks changes no bit. Absent: with ranks that
     * have collectives the largest one up to 64, else the batch is not cut. 1 to 1024. -1:
     * absent. */
    int64_t parts;
    /* Width of the features that an autoencoder aligns with, to which a 1x1 convolution of the
     * training's own takes its latents; needed by align. 0 to 65536. Default: 0. Part in: VAE. */
    int64_t teacher_width;
    /* Difference of two latents' cosine from their features' that costs nothing (VA-VAE: 0, in
     * the end 0.25). 0 or more. Default: 0. Part in: VAE. */
    double distmat_margin;
    /* Distance 1 - cosine of a latent from its feature that costs nothing (VA-VAE: 0, in the end
     * 0.5). 0 or more. Default: 0. Part in: VAE. */
    double cos_margin;
    /* Keep moments and average in shares, one on each rank: the same bits, files and traffic,
     * and the memory of weights, gradients and a share. All ranks save, and ask for the averaged
     * model, together; of one rank nothing changes. Default: no. */
    int64_t shard;
    /* Sum gradients over ranks while the backward pass goes on, each as soon as it is complete,
     * on a thread beside; else behind it, to the same bits. Default: yes. */
    int64_t overlap;
    /* Type in which parts' gradients are handed on where they are added in pairs, in f32: bf16
     * halves the traffic of ranks and rounds at every pair, on any number of ranks to the same
     * bits. One of f32, bf16. Default: f32. */
    const char *reduction;
} usp_trainer_options;

#define USP_TRAINER_OPTIONS_INIT \
    {USP_OPTIONS_SIZE(usp_trainer_options), 0, "adamw", 0.0001, 0, 0, 0, 0, 0.9, 0.999, 0, 0, 0, \
     1, 1, "f32", 0, 0, "nothing", 0.75, 1, 0, 0, 1e-06, "squared", 0, 0, 0, 0, NULL, NULL, NULL, \
     "cosine", 0, "all", 255, 4, 0, 0, -1, 0, 0, 0, 0, 1, "f32"}
/* end of usp_trainer_options */

/* Start from a copy of the model's parameters, at step 0. out: owned. Errors: ARGUMENT for numbers
 * out of range and options that have no part in the family. */
USP_API USP_CHECK usp_status usp_trainer_create(
    const usp_model *model, const usp_trainer_options *options, usp_trainer **out);
USP_API void usp_trainer_free(usp_trainer *trainer);

/* Samples of one step with what belongs to them. Every tensor is borrowed; NULL is absent. */
typedef struct usp_batch {
    uint32_t struct_size;
    int32_t feature_count;      /* of `features` */
    const usp_tensor *inputs;   /* [B, C, H, W] f32 images (VAE, ViT on pixels) or latents;
                                   [B, D] with head_only also features (usp_vit_features),
                                   computed once */
    const usp_tensor *labels;   /* [B] i64  ViT; DiT and SiT, where NULL is the null class.
                                   [B, K] f32  ViT: shares of the classes, as mixup makes them.
                                   [B, H, W] u8 or i64  Segmenter: of each pixel, 255 for none */
    const usp_tensor *times;    /* [B] f32  DiT whole, 0 ... steps - 1; SiT 0 ... 1; NULL draws.
                                   [M, B, T] f32  MAR: whole, of each token in M copies */
    const usp_tensor *noise;    /* f32 of the inputs' shape (DiT, SiT), the latents' (VAE),
                                   [B, T] of masking (MAE), or [M, B, C, H, W] (MAR); NULL draws */
    const usp_tensor *target;   /* f32 of the inputs' shape: what the reconstruction is compared
                                   with (MAE); NULL = inputs */
    const usp_tensor *features; /* feature_count of them, [B, T, Z] f32: of frozen teachers */
    const usp_tensor *mask;     /* [B, T] f32  MAR: 1 for hidden tokens; NULL draws it */
} usp_batch;

#define USP_BATCH_INIT \
    {USP_OPTIONS_SIZE(usp_batch), 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL}

/* One update from this rank's share of a batch. out_loss: mean over the batch; may be NULL.
 * Errors: CANCELLED; NOT_FINITE naming the step if the loss or what ranks sum is; ARGUMENT for what
 * the family has no use for (one label a sample is then not read). Parameters are then as before
 * the step. */
USP_API USP_CHECK usp_status usp_trainer_step(
    usp_trainer *trainer, const usp_batch *batch, float *out_loss);

/* The loss that the next step would have on this batch, in one part and without clipping, and its
 * gradient for every parameter that it would train, in the names of the file that the model came
 * from. Nothing changes. out_gradients: owned. */
USP_API USP_CHECK usp_status usp_trainer_gradients(
    usp_trainer *trainer, const usp_batch *batch, float *out_loss, usp_checkpoint **out_gradients);

/* The learning rate of the steps from now on, in place of the schedule's; NaN goes back to it. Not
 * part of what is saved. Errors: ARGUMENT for a negative one. */
USP_API USP_CHECK usp_status usp_trainer_set_rate(usp_trainer *trainer, double rate);

/* Steps done; learning rate, that of the last one, of the first to come where there was none, or what
 * was set; gradient norm of the last one (0 without clipping): any thread, also during a step. */
USP_API int64_t usp_trainer_steps(const usp_trainer *trainer);
USP_API float usp_trainer_rate(const usp_trainer *trainer);
USP_API float usp_trainer_gradient_norm(const usp_trainer *trainer);

/* A copy of the model as it is now; averaged = 1 takes the moving average. out: owned. */
USP_API USP_CHECK usp_status usp_trainer_model(
    usp_trainer *trainer, int32_t averaged, usp_model **out);

/* Write and read everything that training needs to go on as if it had never stopped: parameters,
 * moments, average, counts; not the options, which the new trainer has to be given again. The file
 * appears complete or not at all; only rank 0 writes.
 * Errors: IO, FORMAT; MISSING_WEIGHT, SHAPE or DTYPE naming what does not fit: nothing has changed
 * then. */
USP_API USP_CHECK usp_status usp_trainer_save(usp_trainer *trainer, const char *path);
USP_API USP_CHECK usp_status usp_trainer_restore(usp_trainer *trainer, const char *path);

/* Stop the step under way, unless it has begun to change parameters, or else the next one; any
 * thread. */
USP_API void usp_trainer_cancel(usp_trainer *trainer);

USP_END_DECLARATIONS

#endif /* USP_TRAINER_H */
