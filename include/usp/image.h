/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_IMAGE_H
#define USP_IMAGE_H

#include "base.h"

USP_BEGIN_DECLARATIONS

/* ---- image: files of pixels ---------------------------------------------------------------- */

/* An image in memory, immutable: any thread. */
typedef struct usp_image usp_image;

/* Read a PNG, JPEG, BMP, PNM, or a WebP, TIFF or GIF where Debian's library for it is installed;
 * the content decides.
 *   as_stored  1: as PIL gives it; 0: turned upright by its camera's note (Exif, XMP)
 * out: owned. Errors: IO, FORMAT, UNSUPPORTED naming what is missing. */
USP_API USP_CHECK usp_status usp_image_open(const char *path, int32_t as_stored, usp_image **out);
USP_API void usp_image_free(usp_image *image);

/* out: [H, W, C] u8, C 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha); view. */
USP_API USP_CHECK usp_status usp_image_pixels(const usp_image *image, usp_tensor *out);

/* Write a PNG: pixels [H, W, C] u8, C 1 to 4. The file appears complete or not at all. */
USP_API USP_CHECK usp_status usp_image_write(const char *path, const usp_tensor *pixels);

USP_END_DECLARATIONS

#endif /* USP_IMAGE_H */
