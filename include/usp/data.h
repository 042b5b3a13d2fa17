/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_DATA_H
#define USP_DATA_H

#include "model.h"
#include "ranks.h"

USP_BEGIN_DECLARATIONS

/* ---- data: folders of images and files of latents, batch by batch ------------------------- */

/* What a step sees depends on seed and step alone, so a run that is restored goes on with the data
 * that it would have seen. Immutable once created: any thread. */
typedef struct usp_data usp_data;

/* usp_data_options: written by make abi */
typedef struct usp_data_options {
    uint32_t struct_size; /* what the INIT macro wrote */
    uint32_t reserved;
    /* Told while a cache is made; NULL tells nobody. */
    usp_progress_fn progress;
    /* Given to progress. */
    void *progress_user;
    /* Samples of a step, over all ranks; those that do not fill one wait for another epoch. 1 or
     * more. Default: 64. */
    int64_t batch;
    /* Side of the square that images are cut to. 1 to 16384. Default: 256. Part in: folder of
     * images. */
    int64_t size;
    /* 1 makes images grey, 3 RGB; absent: what the autoencoder takes, else 3. 1 to 3. Part in:
     * folder of images. -1: absent. */
    int64_t channels;
    /* Random crops, mirrored half of the time, of 20 to 100 % of the area (pretraining) or 8 to
     * 100 % (classification; probe by TensorFlow's rule); ADM's crop of the middle, likewise
     * mirrored (generation); to measure, the middle 224 of 256 pixels (evaluation) or ADM's crop
     * (middle). Latents of a file were cut before: they are mirrored where it has both. One of
     * pretraining, classification, probe, generation, evaluation, middle. Default: generation. */
    const char *augmentation;
    /* Share of images that are mirrored; absent: the augmentation's own. 0 to 1. Part in: folder
     * of images. USP_ABSENT: absent. */
    double mirror;
    /* Smallest and largest share of the area of random crops, such as 0.2,1; empty: the
     * augmentation's own. 0 to 1. Default: none. Part in: folder of images. */
    const char *crop_area;
    /* Draw latents from the posterior, where it is known; else they are its mean. Default: no. */
    int64_t sample_posterior;
    /* File of latents: every image is encoded once, cut in the middle, and the posterior of both
     * orientations is kept there, or taken from there. Part in: folder of images. NULL: absent. */
    const char *cache;
    /* Shuffled anew in every epoch from the seed, or as they are found. One of shuffled,
     * sequential. Default: shuffled. */
    const char *order;
    /* Seed of the order, of crops, mirror images and drawn latents. Default: 0. */
    uint64_t seed;
    /* This process among those that train together, kept; absent: it sees whole batches. NULL:
     * absent. */
    const usp_ranks *ranks;
    /* Read images as PIL gives them to the originals; else they are turned upright by the
     * camera's note (Exif, XMP). Default: no. Part in: folder of images. */
    int64_t as_stored;
    /* Another image of its class takes the place of one that cannot be read, or that is gone
     * since an earlier run; else such an image is an error. Default: no. Part in: folder of
     * images. */
    int64_t skip_unreadable;
    /* A folder with a label map for each image, 8-bit indices of classes (255: none) under the
     * same path but for the ending. Samples are then crops of images rescaled by 0.5 to 2,
     * flipped, with other colours (evaluation, middle: the middle), and their maps. Part in:
     * folder of images. NULL: absent. */
    const char *masks;
    /* Label 0 is no class and the others move down by one, as in ADE20K. Default: no. Part in:
     * folder of images. */
    int64_t reduce_zero_label;
    /* A frozen ViT, kept, whose tokens of each image are the features that training with align
     * compares with (REPA); a cache keeps them beside the latents, of one orientation. Part in:
     * folder of images. NULL: absent. */
    const usp_model *teacher;
    /* How the teacher's images are prepared; absent: as its file tells (DINOv2's does). One of
     * dinov2, jepa, clip, mae, mocov3, dinov1. Part in: folder of images. NULL: absent. */
    const char *teacher_encoder;
    /* Side of the square that the teacher is shown; absent: of its patches as many as the image
     * has pixels over 16, 224 for patches of 14 and images of 256. 1 to 16384. Part in: folder
     * of images. -1: absent. */
    int64_t teacher_size;
    /* Type of features in a cache. One of f32, f16, bf16. Default: f16. Part in: folder of
     * images. */
    const char *feature_type;
    /* RandAugment of each image, behind its crop and mirror image, in timm's words:
     * rand-m9-mstd0.5-inc1 is what MAE and USP fine-tune with; absent: none. Part in: folder of
     * images. NULL: absent. */
    const char *rand_augment;
    /* Chance of an image to have a box of it erased. 0 to 1. Default: 0. Part in: folder of
     * images. */
    double erasing;
    /* What is in the box: noise for each value, one random number for each channel, or 0. One of
     * pixel, color, constant. Default: pixel. Part in: folder of images. */
    const char *erasing_fill;
    /* Boxes in such an image. 1 to 100. Default: 1. Part in: folder of images. */
    int64_t erasing_count;
    /* Parameter of mixup's beta distribution (published: 0.8); 0: no mixup. 0 or more. Default:
     * 0. */
    double mixup;
    /* Parameter of CutMix's beta distribution (published: 1); 0: no CutMix. 0 or more. Default:
     * 0. */
    double cutmix;
    /* Chance that anything is mixed. 0 to 1. Default: 1. */
    double mixing_probability;
    /* Chance of CutMix, not mixup, where both are on. 0 to 1. Default: 0.5. */
    double switch_probability;
    /* What has a draw of its own. One of batch, pair, sample. Default: batch. */
    const char *mixing_unit;
    /* What of each label, where labels are shares, is spread evenly over all classes. 0 to 1.
     * Default: 0.1. */
    double label_smoothing;
    /* Mix images before they are encoded, not their latents. Default: no. Part in: folder of
     * images. */
    int64_t mix_pixels;
    /* What pixels of images with masks become where no autoencoder takes them: half, -1 to 1;
     * imagenet, by ImageNet's mean and deviation, as networks of mmsegmentation, BEiT and MAE
     * have learned to see. One of half, imagenet. Default: half. Part in: folder of images. */
    const char *normalization;
} usp_data_options;

#define USP_DATA_OPTIONS_INIT \
    {USP_OPTIONS_SIZE(usp_data_options), 0, NULL, NULL, 64, 256, -1, "generation", USP_ABSENT, \
     NULL, 0, NULL, "shuffled", 0, NULL, 0, 0, NULL, 0, NULL, NULL, -1, "f16", NULL, 0, "pixel", \
     1, 0, 0, 1, 0.5, "batch", 0.1, 0, "half"}
/* end of usp_data_options */

/* Open a folder of PNG and JPEG images, with one subfolder for each class or without any; a file of
 * latents (what a cache is; or an array `latents` [N, C, h, w], normalised, with `labels`); a
 * folder of the original's npz files; or one of LightningDiT's safetensors with raw `latents`,
 * `latents_flip` and `labels`, which stay in their mapped files: mean and std of their channels are
 * latents_stats.pt beside them, else the vae's, else they are measured and written there.
 *   vae  images become its latents; NULL leaves them images, -1 ... 1. Latents take from it the
 *        scale that their file does not tell. Kept.
 * out: owned. Errors: IO, FORMAT; ARGUMENT for a size that the autoencoder cannot halve so often and
 * for options without a part; SHAPE for another autoencoder's latents; CANCELLED. */
USP_API USP_CHECK usp_status usp_data_open(
    const char *path, const usp_model *vae, const usp_data_options *options, usp_data **out);
USP_API void usp_data_free(usp_data *data);

/* Samples; classes, 0 without labels; steps of an epoch; samples of a step on this rank. */
USP_API int64_t usp_data_count(const usp_data *data);
USP_API int64_t usp_data_classes(const usp_data *data);
USP_API int64_t usp_data_steps_per_epoch(const usp_data *data);
USP_API int64_t usp_data_batch_size(const usp_data *data);

/* Name of a class, a view; NULL where classes have none, and past the end. */
USP_API const char *usp_data_class_name(const usp_data *data, size_t index);

/* What there is to know: what in a folder is none of the images, one line for each kind of thing,
 * and images that could not be read so far, others of whose class took their places
 * (skip_unreadable). A view; NULL past the end. */
USP_API const char *usp_data_remark(const usp_data *data, size_t index);

/* Describes one sample, [C, h, w] f32, without data. */
USP_API USP_CHECK usp_status usp_data_sample(const usp_data *data, usp_tensor *out);

/* The label of one sample of a step: shape and dtype, data NULL. A class of a sample is a scalar i64,
 * masks are [H, W] u8 (255: no class), shares of the K classes [K] f32 (mixup, cutmix), and [0] means
 * that there are none. */
USP_API USP_CHECK usp_status usp_data_label(const usp_data *data, usp_tensor *out);

/* Mean and unbiased deviation of each channel of encoded latents as they are, not normalised: what
 * an autoencoder's statistics are. Where log variances are known, of samples of the posterior.
 *   out_mean, out_std  [C]  f32      Errors: ARGUMENT for images that are not encoded */
USP_API USP_CHECK usp_status usp_data_latent_statistics(
    const usp_data *data, usp_tensor *out_mean, usp_tensor *out_std);

/* The samples of one step, 0 the first of all.
 *   out_inputs  [B, C, h, w]  f32  B = usp_data_batch_size
 *   out_labels  [B]           i64  NULL where they are not wanted; ARGUMENT where there are none
 *               [B, K]        f32  where samples are mixed: shares of the classes, smoothed
 *               [B, H, W]     u8   of masks */
USP_API USP_CHECK usp_status usp_data_batch(
    const usp_data *data, int64_t step, usp_tensor *out_inputs, usp_tensor *out_labels);

/* Consecutive samples from `first` on, as many as the arrays hold, neither mirrored, mixed nor drawn:
 * to measure on. Arrays as for usp_data_batch, labels that are no masks [B] i64. */
USP_API USP_CHECK usp_status usp_data_samples(
    const usp_data *data, int64_t first, usp_tensor *out_inputs, usp_tensor *out_labels);

/* [T, Z] of a teacher's features of a sample, without data; rank 0 where there are none. */
USP_API USP_CHECK usp_status usp_data_feature(const usp_data *data, usp_tensor *out);

/* The teacher's features of the samples that usp_data_batch gives for this step.
 *   out  [B, T, Z]  f32
 * Errors: ARGUMENT for data without a teacher. */
USP_API USP_CHECK usp_status usp_data_features(
    const usp_data *data, int64_t step, usp_tensor *out);

USP_END_DECLARATIONS

#endif /* USP_DATA_H */
