/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_SEGMENTATION_H
#define USP_SEGMENTATION_H

#include "base.h"

USP_BEGIN_DECLARATIONS

/* ---- segmentation: images, label maps and windows ------------------------------------------ */

/* The largest size of the same shape whose shorter side is at most `short_side` and whose longer is
 * at most `long_side`, rounded: 480 x 640 in 512 and 2048 is 512 x 683. All of 1 to 65536.
 * Errors: ARGUMENT. */
USP_API USP_CHECK usp_status usp_segmentation_rescaled_size(
    int64_t height, int64_t width, int64_t short_side, int64_t long_side, int64_t *out_height,
    int64_t *out_width);

/* An image of another size: the bytes of OpenCV's bilinear `resize`, without antialiasing.
 *   image  [H, W, C]    u8   C of 1 to 4
 *   out    [H', W', C]  u8
 * Errors: SHAPE, DTYPE, ARGUMENT. */
USP_API USP_CHECK usp_status usp_segmentation_resize(const usp_tensor *image, usp_tensor *out);

/* A label map of another size: out[i, j] = labels[floor(i H / H'), floor(j W / W')].
 *   labels  [H, W]    u8
 *   out     [H', W']  u8
 * Errors: SHAPE, DTYPE, ARGUMENT. */
USP_API USP_CHECK usp_status usp_segmentation_resize_labels(
    const usp_tensor *labels, usp_tensor *out);

/* ADE20K's rule: 0 becomes 255, the rest moves down by one, 255 stays.
 *   labels  [H, W]  u8      out  the same */
USP_API USP_CHECK usp_status usp_segmentation_reduce_zero_label(
    const usp_tensor *labels, usp_tensor *out);

/* usp_distortion_options: written by make abi */
typedef struct usp_distortion_options {
    uint32_t struct_size; /* what the INIT macro wrote */
    uint32_t reserved;
    /* Added to every value. -1000000 to 1000000. USP_ABSENT: absent. */
    double brightness;
    /* Every value is multiplied by it. -1000000 to 1000000. USP_ABSENT: absent. */
    double contrast;
    /* The saturation (of HSV) is multiplied by it. -1000000 to 1000000. USP_ABSENT: absent. */
    double saturation;
    /* Added to the hue, whose circle is 180; a whole number. -180 to 180. USP_ABSENT: absent. */
    double hue;
    /* Contrast comes before saturation and hue, else after them. Default: yes. */
    int64_t contrast_first;
} usp_distortion_options;

#define USP_DISTORTION_OPTIONS_INIT \
    {USP_OPTIONS_SIZE(usp_distortion_options), 0, USP_ABSENT, USP_ABSENT, USP_ABSENT, USP_ABSENT, \
     1}
/* end of usp_distortion_options */

/* An RGB image with other colours; each step is cut to 0 ... 255 and rounded towards zero. NULL or
 * the defaults change nothing.
 *   image  [H, W, 3]  u8      out  the same
 * Source: mmsegmentation's PhotoMetricDistortion over OpenCV's HSV of bytes, whose own variants
 * differ by 1. Errors: SHAPE, DTYPE, ARGUMENT. */
USP_API USP_CHECK usp_status usp_segmentation_distort(
    const usp_tensor *image, const usp_distortion_options *options, usp_tensor *out);

/* usp_segmentation_options: written by make abi */
typedef struct usp_segmentation_options {
    uint32_t struct_size; /* what the INIT macro wrote */
    uint32_t reserved;
    /* Side of the square samples. 1 to 65536. Default: 512. */
    int64_t crop;
    /* Shorter side that an image is rescaled into. 1 to 65536. Default: 512. */
    int64_t short_side;
    /* Longer side that an image is rescaled into. 1 to 65536. Default: 2048. */
    int64_t long_side;
    /* Least of the random factors of both sides. 0.01 to 100. Default: 0.5. */
    double least_scale;
    /* Largest of these factors. 0.01 to 100. Default: 2. */
    double most_scale;
    /* A crop in which one class has this share of the labelled pixels is drawn anew, up to ten
     * times; 1: any crop will do. 0 to 1. Default: 0.75. */
    double category_share;
    /* Chance of left and right being exchanged. 0 to 1. Default: 0.5. */
    double flip;
    /* Brightness, contrast, saturation and hue change, each with a chance of a half. Default:
     * yes. */
    int64_t distort;
    /* The label that is no class. 0 to 255. Default: 255. */
    int64_t ignored;
    /* Label 0 is no class and the others move down by one, as in ADE20K. Default: no. */
    int64_t reduce_zero_label;
} usp_segmentation_options;

#define USP_SEGMENTATION_OPTIONS_INIT \
    {USP_OPTIONS_SIZE(usp_segmentation_options), 0, 512, 512, 2048, 0.5, 2, 0.75, 0.5, 1, 255, 0}
/* end of usp_segmentation_options */

/* A training sample: rescaled by a random factor, cut, flipped, with other colours. It is smaller
 * than the crop where the rescaled image is; the sizes are the same for the same arguments.
 *   image       [H, W, C]  u8      labels  [H, W]  u8
 *   sample      which image of a set: each has a stream of its own
 *   out_height, out_width   of the sample, may be NULL
 *   out_image   [h, w, 3]  u8, may be NULL      out_labels  [h, w]  u8, may be NULL
 * Errors: SHAPE, DTYPE, ARGUMENT. */
USP_API USP_CHECK usp_status usp_segmentation_sample(
    const usp_tensor *image, const usp_tensor *labels, const usp_segmentation_options *options,
    uint64_t seed, int64_t sample, int64_t *out_height, int64_t *out_width, usp_tensor *out_image,
    usp_tensor *out_labels);

/* How many windows of a crop lie at a stride over an image: row by row, the last of each axis ends
 * with the image, one that is larger than the image is cut to it. All of 1 to 65536; the stride is
 * at most the crop. Errors: ARGUMENT. */
USP_API USP_CHECK usp_status usp_segmentation_window_count(
    int64_t height, int64_t width, int64_t crop_height, int64_t crop_width, int64_t stride_height,
    int64_t stride_width, int64_t *out_count);

/* Where these windows lie.
 *   out  [N, 4]  i64   first row, first column, row after the last, column after the last */
USP_API USP_CHECK usp_status usp_segmentation_windows(
    int64_t height, int64_t width, int64_t crop_height, int64_t crop_width, int64_t stride_height,
    int64_t stride_width, usp_tensor *out);

/* The mean over windows of what they say of each place.
 *   windows  [N, .., h, w]  f32
 *   boxes    [N, 4]         i64   as above, all of h x w
 *   out      [.., H, W]     f32
 * Errors: SHAPE; ARGUMENT if a place is in no window. */
USP_API USP_CHECK usp_status usp_segmentation_stitch(
    const usp_tensor *windows, const usp_tensor *boxes, usp_tensor *out);

USP_END_DECLARATIONS

#endif /* USP_SEGMENTATION_H */
