/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_UNDERSTAND_H
#define USP_UNDERSTAND_H

#include "data.h"

USP_BEGIN_DECLARATIONS

/* ---- understand: how robust networks are, and where in them the classes are ---------------- */

/* What a measurement has found: numbers, a table, pictures. Immutable: any thread. */
typedef struct usp_measurement usp_measurement;

USP_API void usp_measurement_free(usp_measurement *measurement);

/* The numbers as JSON, and a table in a few lines: views; NULL for a bad handle. */
USP_API const char *usp_measurement_json(const usp_measurement *measurement);
USP_API const char *usp_measurement_table(const usp_measurement *measurement);

/* A picture's name ("linear", "map"), and the picture as SVG: views; NULL past the end. */
USP_API const char *usp_measurement_picture_name(
    const usp_measurement *measurement, size_t index);
USP_API const char *usp_measurement_picture(
    const usp_measurement *measurement, size_t index);

/* usp_robustness_options: written by make abi */
typedef struct usp_robustness_options {
    uint32_t struct_size; /* what the INIT macro wrote */
    uint32_t reserved;
    /* Told how far it is; NULL tells nobody. */
    usp_progress_fn progress;
    /* Given to progress. */
    void *progress_user;
    /* Deviations of noise in pixels of 0 to 1, in ImageNet-C's steps (0.08 to 0.38); images are
     * then cut to 256 levels; none: without. Latents have no pixels. 0 to 10. Default:
     * 0.08,0.12,0.18,0.26,0.38. */
    const char *sigmas;
    /* Steps of DDPM's 1,000 after which a model's inputs, latents or pixels, are shown; none:
     * without. 1 to 1000. Default: 50,100,200,300,400,500,600. */
    const char *steps;
    /* Shares s of noise on SiT's path, (1 - s) x + s e; none: without. 0 to 1. Default:
     * 0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8. */
    const char *shares;
    /* Samples, evenly over the data; absent: all of them. 1 or more. -1: absent. */
    int64_t samples;
    /* Seed of the noise, which is the same at all levels and for all models. Default: 0. */
    uint64_t seed;
} usp_robustness_options;

#define USP_ROBUSTNESS_OPTIONS_INIT \
    {USP_OPTIONS_SIZE(usp_robustness_options), 0, NULL, NULL, "0.08,0.12,0.18,0.26,0.38", \
     "50,100,200,300,400,500,600", "0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8", -1, 0}
/* end of usp_robustness_options */

/* The accuracy of classifiers, side by side, on the same samples with the same noise: of pixels (USP's
 * add_noise, ImageNet-C's scale), of DDPM's process and of SiT's path on what a network sees (USP's
 * add_t_noise).
 *   models  count ViTs with a head, named by `names`, which differ; each takes the data's samples, or
 *           the latents of vae
 *   data    with labels. Images, cut as to measure on them; latents have no noise of pixels, which the
 *           measurement tells
 *   vae     NULL: what the data has
 * The measurement's JSON has, under "pixels", "ddpm" and "linear", the levels ("sigma", "t", "share", 0
 * first) and "accuracy": a list for each name. Its pictures are curves of these names.
 *   progress  told how many samples are done
 * out: owned. Errors: ARGUMENT for data of other classes or a model without a head; SHAPE; CANCELLED. */
USP_API USP_CHECK usp_status usp_robustness(
    const usp_model *const *models, const char *const *names, size_t count, const usp_data *data,
    const usp_model *vae, const usp_robustness_options *options, usp_measurement **out);

/* usp_probe_options: written by make abi */
typedef struct usp_probe_options {
    uint32_t struct_size; /* what the INIT macro wrote */
    uint32_t reserved;
    /* Told how far it is; NULL tells nobody. */
    usp_progress_fn progress;
    /* Given to progress. */
    void *progress_user;
    /* Times on the model's scale: steps 0 to 999 of a DiT; 0 to 1 of a flow, where 1 is data
     * (SiT) or noise (REPA, its file tells). Empty: eight steps up to 700, or seven shares of
     * noise up to 0.7. 0 to 999. Default: none. */
    const char *times;
    /* Blocks, from 1. Empty: all. 1 to 65536. Default: none. */
    const char *blocks;
    /* Samples to learn from, evenly over the data; absent: all. 2 or more. Default: 5000. -1:
     * absent. */
    int64_t samples;
    /* Samples to measure on; absent: all. 1 or more. -1: absent. */
    int64_t test_samples;
    /* Steps of the probe of a cell. 1 to 1000000. Default: 200. */
    int64_t steps;
    /* Passes over the samples by which the best cell is trained to the end; 0: it is not. 0 to
     * 100000. Default: 90. */
    double final_epochs;
    /* Features of a step. 1 or more. Default: 500. */
    int64_t batch;
    /* LARS's rate for a batch of 256, in proportion for others; absent: the best of 0.3, 1, 3,
     * 10 and 30 on a tenth of the samples, on the middle block at the first time. 0 or more.
     * USP_ABSENT: absent. */
    double rate;
    /* Seed of the noise, of the probes and of their order. Default: 0. */
    uint64_t seed;
} usp_probe_options;

#define USP_PROBE_OPTIONS_INIT \
    {USP_OPTIONS_SIZE(usp_probe_options), 0, NULL, NULL, NULL, NULL, 5000, -1, 200, 90, 500, \
     USP_ABSENT, 0}
/* end of usp_probe_options */

/* Linear probes of a diffusion transformer (DiT, SiT, LightningDiT; a REPA file too) after its blocks
 * and at times of its process: batch norm and a linear layer, LARS, on the mean of the tokens for the
 * null class. The features of a time are made once, for all blocks; the best cell is probed to the end.
 *   data        latents with labels, or images with their autoencoder, cut in the middle
 *   validation  of the same classes; NULL: every fifth sample of the data. The best cell is chosen on it
 *               as well
 * The measurement's JSON has "blocks", "times", "accuracy" (a row for each block), "rate" and "best" (block,
 * time, accuracy, trained); its picture "map" is the heat map.
 *   progress    told what is done, `stage` naming it: encode, features, probes, best cell
 * out: owned. Errors: ARGUMENT for a block or time that the model does not have, and for a model without
 * a null class; SHAPE for other latents; CANCELLED. */
USP_API USP_CHECK usp_status usp_probe_diffusion(
    const usp_model *model, const usp_data *data, const usp_data *validation,
    const usp_probe_options *options, usp_measurement **out);

/* Tokens as colours, as people look at DINOv2: the first three principal components of all tokens
 * together, each from its 1st to its 99th percentile as 0 to 255 of red, green and blue.
 *   tokens  [N, T, D]  f32   T and D 1 or more, more than one token in all
 *   out     [N, T, 3]  u8 */
USP_API USP_CHECK usp_status usp_principal_colours(const usp_tensor *tokens, usp_tensor *out);

USP_END_DECLARATIONS

#endif /* USP_UNDERSTAND_H */
