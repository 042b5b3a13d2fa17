/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_AUGMENT_H
#define USP_AUGMENT_H

#include "base.h"

USP_BEGIN_DECLARATIONS

/* ---- augment: changes to images on their way into training --------------------------------- */

/* One of RandAugment's operations, as Pillow computes it, to the bit; what comes from outside of
 * the image is grey 128, found bicubically.
 *   name      timm's:                                         argument
 *             AutoContrast, Equalize, Invert                  none
 *             Rotate                                          degrees, counter-clockwise
 *             Posterize                                       bits kept, 0 to 8
 *             Solarize                                        values from it on are inverted
 *             SolarizeAdd                                     added to values below 128
 *             Color, Contrast, Brightness, Sharpness          factor; 1 changes nothing
 *             ShearX, ShearY                                  pixels per pixel
 *             TranslateX, TranslateY                          share of the side
 *             names that timm gives them in its increasing set (PosterizeIncreasing,
 *             TranslateXRel, ...) mean the same
 *   argument  USP_ABSENT: none
 *   image     [H, W, 3]  u8   RGB, at least one pixel
 *   out       the same
 * Source: timm data/auto_augment.py. Posterize to 0 bits is black, as in Pillow before version 13.
 * Errors: SHAPE, DTYPE; ARGUMENT for an unknown name or an argument that it does not take. */
USP_API USP_CHECK usp_status usp_augment_operation(
    const char *name, double argument, const usp_tensor *image, usp_tensor *out);

/* The argument that timm gives an operation at a magnitude of 0 to 10: its size, the sign is drawn
 * (of Rotate, shears and translations; for ColorIncreasing and its like 1 + x stands for 1 - x).
 *   name  Rotate, PosterizeIncreasing, SolarizeIncreasing, SolarizeAdd, ColorIncreasing,
 *         ContrastIncreasing, BrightnessIncreasing, SharpnessIncreasing, ShearX, ShearY,
 *         TranslateXRel, TranslateYRel, and the plain forms Posterize, Solarize, Color, ...
 *   out   USP_ABSENT for AutoContrast, Equalize and Invert, which take no argument
 * Errors: ARGUMENT. */
USP_API USP_CHECK usp_status usp_augment_level(const char *name, double magnitude, double *out);

/* usp_rand_augment_options: written by make abi */
typedef struct usp_rand_augment_options {
    uint32_t struct_size; /* what the INIT macro wrote */
    uint32_t reserved;
    /* Operations drawn for an image. 0 to 100. Default: 2. */
    int64_t layers;
    /* Chance of each drawn operation to be applied. 0 to 1. Default: 0.5. */
    double probability;
    /* Mean magnitude of the operations. 0 to 10. Default: 9. */
    double magnitude;
    /* Deviation of the magnitude, which is cut to 0 to 10; above 100 it is uniform from 0 to
     * `magnitude`. 0 or more. Default: 0.5. */
    double magnitude_std;
    /* All operations are stronger the greater the magnitude. Default: yes. */
    int64_t increasing;
    /* Operations to draw from, by timm's names with commas between them; none: its 15. Default:
     * none. */
    const char *operations;
} usp_rand_augment_options;

#define USP_RAND_AUGMENT_OPTIONS_INIT \
    {USP_OPTIONS_SIZE(usp_rand_augment_options), 0, 2, 0.5, 9, 0.5, 1, NULL}
/* end of usp_rand_augment_options */

/* An image after what RandAugment (Cubuk et al. 2019, in timm's form) draws for it. The defaults
 * are timm's rand-m9-mstd0.5-inc1.
 *   image   [H, W, 3]  u8      sample  which image of a set: each has a stream of its own
 *   out     the same
 * Errors: SHAPE, DTYPE, ARGUMENT. */
USP_API USP_CHECK usp_status usp_augment_random(
    const usp_tensor *image, const usp_rand_augment_options *options, uint64_t seed,
    int64_t sample, usp_tensor *out);

/* What classifiers are evaluated on: the shorter side to size * 256 / 224, bicubically and
 * antialiased, then the middle square; the bytes of Pillow's `resize` before version 13, which
 * begins with the other axis where the height shrinks by more than twice what the width does.
 *   image  [H, W, C]  u8   C of 1 to 4: grey is repeated, alpha is dropped
 *   out    [size, size, 3]  u8, size of 1 to 14336
 * Errors: SHAPE, DTYPE. */
USP_API USP_CHECK usp_status usp_augment_evaluation(const usp_tensor *image, usp_tensor *out);

/* usp_erasing_options: written by make abi */
typedef struct usp_erasing_options {
    uint32_t struct_size; /* what the INIT macro wrote */
    uint32_t reserved;
    /* Chance of an image to have a box of it erased. 0 to 1. Default: 0.25. */
    double erasing;
    /* What is in the box: noise for each value, one random number for each channel, or 0. One of
     * pixel, color, constant. Default: pixel. */
    const char *erasing_fill;
    /* Boxes in such an image. 1 to 100. Default: 1. */
    int64_t erasing_count;
} usp_erasing_options;

#define USP_ERASING_OPTIONS_INIT \
    {USP_OPTIONS_SIZE(usp_erasing_options), 0, 0.25, "pixel", 1}
/* end of usp_erasing_options */

/* Random erasing (Zhong et al. 2017, in timm's form): boxes of normalised images become noise; 2 %
 * to a third of the area.
 *   images  [B, C, H, W]  f32      out  the same
 * Errors: SHAPE, DTYPE, ARGUMENT. */
USP_API USP_CHECK usp_status usp_augment_erase(
    const usp_tensor *images, const usp_erasing_options *options, uint64_t seed, usp_tensor *out);

/* usp_mixing_options: written by make abi */
typedef struct usp_mixing_options {
    uint32_t struct_size; /* what the INIT macro wrote */
    uint32_t reserved;
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
} usp_mixing_options;

#define USP_MIXING_OPTIONS_INIT \
    {USP_OPTIONS_SIZE(usp_mixing_options), 0, 0, 0, 1, 0.5, "batch", 0.1}
/* end of usp_mixing_options */

/* Mixup (Zhang et al. 2017) and CutMix (Yun et al. 2019, in timm's form): sample i is mixed with
 * sample B - 1 - i, and its label's share follows. The defaults mix nothing, and smooth labels.
 *   samples      [B, C, H, W]  f32   pixels or latents
 *   labels       [B]           i64   0 ... K - 1
 *   out_samples  [B, C, H, W]  f32
 *   out_targets  [B, K]        f32   the share of each class; rows sum to 1
 * Errors: SHAPE, DTYPE, ARGUMENT. */
USP_API USP_CHECK usp_status usp_augment_mix(
    const usp_tensor *samples, const usp_tensor *labels, const usp_mixing_options *options,
    uint64_t seed, usp_tensor *out_samples, usp_tensor *out_targets);

USP_END_DECLARATIONS

#endif /* USP_AUGMENT_H */
