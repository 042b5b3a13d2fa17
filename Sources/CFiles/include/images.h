/* Image libraries behind functions that return instead of jumping. libjpeg is linked; libwebp,
 * libtiff and giflib are opened where they are installed, when their first image comes.
 *
 * All: 0, or -1 with the reason in `message` (200 bytes). A header's sizes are passed to the
 * decoder, which refuses a file that has others by then. */
#ifndef USPI_IMAGES_H
#define USPI_IMAGES_H

#include <stddef.h>
#include <stdint.h>

/* Size and components (1 grey, 3 colour, 4 CMYK) of a JPEG. */
int uspi_jpeg_header(const uint8_t *bytes, size_t count, int *width, int *height, int *components,
                     char *message);

/* Decodes a JPEG into `pixels` (width * height * channels bytes, channels 1 or 3). Damaged data
 * gives grey areas as in every viewer, missing data is an error. */
int uspi_jpeg_decode(const uint8_t *bytes, size_t count, uint8_t *pixels, int width, int height,
                     int channels, char *message);

/* Whether the library is here. */
int uspi_webp_is_here(void);
int uspi_tiff_is_here(void);
int uspi_gif_is_here(void);

/* Size of a WebP image; of an animation its canvas. */
int uspi_webp_header(const uint8_t *bytes, size_t count, int *width, int *height, char *message);

/* Decodes a still WebP image into `pixels` (width * height * 3 bytes). */
int uspi_webp_decode(const uint8_t *bytes, size_t count, uint8_t *pixels, int width, int height,
                     char *message);

/* The canvas of a GIF and the place of its first image on it. */
typedef struct uspi_gif {
    int width, height;
    int left, top, frame_width, frame_height;
    int transparent;       /* index of the colour that is none, -1 without one */
    int colours;           /* entries of the palette; 0 without one */
    uint8_t palette[768];
} uspi_gif;

int uspi_gif_header(const uint8_t *bytes, size_t count, uspi_gif *gif, char *message);

/* Decodes the first image into `indices` (frame_width * frame_height bytes). */
int uspi_gif_decode(const uint8_t *bytes, size_t count, const uspi_gif *gif, uint8_t *indices,
                    char *message);

/* The first page of a TIFF file. */
typedef struct uspi_tiff {
    int width, height;
    int samples;           /* of a pixel, 1 to 5; 4 (RGBA) if `is_rendered` */
    int bits;              /* of a sample in the file: 1, 2, 4, 8, 16 */
    int photometric;       /* 0 white is 0, 1 black is 0, 2 RGB, 3 palette, 5 CMYK */
    int orientation;       /* as Exif numbers them */
    int alpha;             /* 0 no meaning, 1 colours are multiplied by it, 2 they are not */
    int is_rendered;       /* by libtiff itself: colour spaces and layouts that are rare */
    uint8_t palette[768];
} uspi_tiff;

int uspi_tiff_header(const uint8_t *bytes, size_t count, uspi_tiff *tiff, char *message);

/* Decodes into `pixels` (width * height * samples bytes): samples of 16 bits keep their upper 8,
 * those of fewer than 8 are as they are. */
int uspi_tiff_decode(const uint8_t *bytes, size_t count, const uspi_tiff *tiff, uint8_t *pixels,
                     char *message);

#endif
