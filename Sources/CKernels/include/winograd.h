/* 3x3 convolutions at stride 1 by Winograd's F(4x4, 3x3) (Lavin and Gray 2016): tiles of 6x6 pixels
 * become 36 values whose products with 36 transformed kernels give 4x4 pixels, with a quarter of
 * the multiplications. Images are channels-last f32.
 *
 * A chunk is a rectangle of tiles of one or more images. Its three steps are cut freely over
 * threads: the arithmetic of a pixel does not depend on the cuts, nor on the chunk. */
#ifndef USPI_WINOGRAD_H
#define USPI_WINOGRAD_H
#include <stddef.h>
#include <stdint.h>

enum {
    USPI_WINOGRAD_POINTS = 36,
    USPI_WINOGRAD_BLOCK = 16, /* channels transformed together: divides the channels */
};

typedef struct uspi_winograd {
    const float *x;                 /* [images, height, width, channels] */
    ptrdiff_t height, width, channels;
    ptrdiff_t upsample;             /* 1, or 2: doubled first by nearest neighbour */
    ptrdiff_t pad_top, pad_left;    /* zeros before the (doubled) image */
    const float *scale, *shift;     /* [images, map_row ..]: x becomes x * scale[c] + shift[c]; or
                                       NULL */
    ptrdiff_t map_row;              /* elements from one image's map to the next's */
    int32_t silu;                   /* then x * sigmoid(x) */
    float *y;                       /* [images, out_height, out_width, outputs] (read by the
                                       adjoint) */
    ptrdiff_t out_height, out_width, outputs;
    ptrdiff_t y_row;                /* elements from one pixel of y to the next, to be written */
    const float *bias;              /* [outputs] or NULL */
    const float *residual;          /* contiguous, or NULL */
    int32_t relu;                   /* y is max(.., 0) of all this */
    const float *kernels;           /* of step 0 */
    ptrdiff_t kernel_row;
    /* the chunk */
    ptrdiff_t image, images;        /* first and count */
    ptrdiff_t tile_y, tile_x;       /* first tile */
    ptrdiff_t tiles_y, tiles_x;
    float *v;                       /* [36][channels / 16][tiles][16], a point's rows v_row apart */
    float *m;                       /* [36][panels][tiles][32], m_row apart */
    ptrdiff_t v_row, m_row;
} uspi_winograd;

/* Floats of v_row and m_row for a chunk of `tiles`, of kernel_row, and of the stage of one
 * thread. */
ptrdiff_t uspi_winograd_v_row(ptrdiff_t channels, ptrdiff_t tiles);
ptrdiff_t uspi_winograd_m_row(ptrdiff_t outputs, ptrdiff_t tiles);
ptrdiff_t uspi_winograd_kernel_row(ptrdiff_t channels, ptrdiff_t outputs);
ptrdiff_t uspi_winograd_stage(ptrdiff_t tiles_y, ptrdiff_t tiles_x);

/* Step 1: channels 16 block ..< 16 (block + 1) of the chunk to v. */
void uspi_winograd_input(const uspi_winograd *w, ptrdiff_t block, float *stage);

/* Step 2: m = v times the kernel of one point. */
void uspi_winograd_product(const uspi_winograd *w, ptrdiff_t point);

/* Step 3: outputs 32 panel ..< 32 (panel + 1) of tile rows begin ..< end (of images * tiles_y). */
void uspi_winograd_output(const uspi_winograd *w, ptrdiff_t panel, ptrdiff_t begin, ptrdiff_t end);

/* Where the kernels of a convolution lie: element (ky, kx) of output o and channel c is
 * weight[o * output_row + c * channel_row + 3 ky + kx], or 8 minus that when flipped. */
typedef struct uspi_winograd_weight {
    ptrdiff_t outputs, channels;
    ptrdiff_t output_row, channel_row;
    int32_t flipped;
} uspi_winograd_weight;

/* Step 0, once for all chunks: the transformed kernels of channels 16 block ..< 16 (block + 1) and
 * outputs 32 panel ..< 32 (panel + 1) to kernels [36][panels][channels][32], a point's rows
 * kernel_row apart. */
void uspi_winograd_kernel(const uspi_winograd_weight *k, const float *weight, ptrdiff_t block,
                          ptrdiff_t panel, float *kernels, ptrdiff_t kernel_row);

/* The gradient of the kernels is the adjoint of these steps; v is that of step 1. With y holding
 * the gradient of the results: */

/* Adjoint of step 3: outputs of one panel of tile rows begin ..< end to m. */
void uspi_winograd_spread(const uspi_winograd *w, ptrdiff_t panel, ptrdiff_t begin, ptrdiff_t end);

/* Adjoint of step 2: the transformed kernels' gradient of one point += v times m, the chunk's tiles
 * in order; sums is laid out like kernels, kernel_row apart. */
void uspi_winograd_outer(const uspi_winograd *w, ptrdiff_t point, float *sums);

/* Adjoint of step 0, at the end: weight += of one block and panel. */
void uspi_winograd_kernel_gradient(const uspi_winograd_weight *k, const float *sums,
                                   ptrdiff_t kernel_row, ptrdiff_t block, ptrdiff_t panel,
                                   float *weight);

#endif
