/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_ALIGNMENT_H
#define USP_ALIGNMENT_H

#include "base.h"

USP_BEGIN_DECLARATIONS

/* ---- alignment: what teachers of representation alignment (REPA) are shown ------------------ */

/* Rows and columns that a teacher is shown of an image.
 *   encoder        "dinov2", "jepa", "clip", "mae", "mocov3" or "dinov1"
 *   height, width  of the image
 *   size           side of the square that the image becomes; 0 = REPA's rule: 224 for each whole
 *                  256 columns (dinov2, jepa, clip), or the image as it is (mae, mocov3, dinov1)
 * Errors: ARGUMENT for an unknown encoder, with those there are, and for images of less than 256
 * columns where that rule needs them. */
USP_API USP_CHECK usp_status usp_alignment_size(
    const char *encoder, int64_t height, int64_t width, int64_t size, int64_t *out_height,
    int64_t *out_width);

/* Images as a teacher takes them, by REPA's preprocessing: x/255, bicubic (a = -0.75, no
 * antialiasing), less ImageNet's mean (CLIP's for clip), over the deviation.
 *   images  [B, 3, H, W]    u8
 *   out     [B, 3, H', W']  f32; see usp_alignment_size */
USP_API USP_CHECK usp_status usp_alignment_prepare(
    const usp_tensor *images, const char *encoder, int64_t size, usp_tensor *out);

USP_END_DECLARATIONS

#endif /* USP_ALIGNMENT_H */
