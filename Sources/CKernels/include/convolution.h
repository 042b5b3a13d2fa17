/* Convolutions as products: windows of channels-last images gathered as matrix rows, and kernels
 * [O, C, kh, kw] regrouped as the matrices that those rows meet. */
#ifndef USPI_CONVOLUTION_H
#define USPI_CONVOLUTION_H
#include <stddef.h>
#include <stdint.h>

/* Row m of the window matrix belongs to image m / (out_height * out_width) and to the pixel (i, j)
 * of its output grid; its columns are (ty, tx, channel), read at
 * (i * stride + first_y + ty, j * stride + first_x + tx). Pixels outside the image are zeros. */
typedef struct uspi_windows {
    ptrdiff_t height, width, channels; /* of one image; images follow each other */
    ptrdiff_t taps_y, taps_x;
    ptrdiff_t first_y, first_x;
    ptrdiff_t stride;
    ptrdiff_t out_height, out_width;
    ptrdiff_t element; /* bytes */
} uspi_windows;

/* Rows m_begin ..< m_end of taps tap_begin ..< tap_end (in the order ty, tx) to consecutive rows
 * of `out`, each (tap_end - tap_begin) * channels elements. */
void uspi_gather_windows(const uspi_windows *w, const void *images, ptrdiff_t m_begin,
                         ptrdiff_t m_end, ptrdiff_t tap_begin, ptrdiff_t tap_end, void *out);

/* Where rows of a product lie in images [height, width, channels]: grid pixel (i, j) is pixel
 * (i * step + phase_y, j * step + phase_x). */
typedef struct uspi_places {
    ptrdiff_t height, width, channels;
    ptrdiff_t step, phase_y, phase_x;
    ptrdiff_t out_height, out_width; /* of the grid */
} uspi_places;

/* images (+)= rows m_begin ..< m_end of `rows` [.., channels], f32 */
void uspi_scatter_rows(const uspi_places *p, const float *rows, ptrdiff_t m_begin, ptrdiff_t m_end,
                       int32_t accumulate, float *images);

/* The inverse: rows m_begin ..< m_end from the images, f32 */
void uspi_gather_rows(const uspi_places *p, const float *images, ptrdiff_t m_begin, ptrdiff_t m_end,
                      float *rows);

/* One tap of a regrouped kernel: the sum over the listed taps t of w[o, c, t], stored at
 * out[c * outputs + o], or at out[o * inputs + c] when by_output. */
void uspi_kernel_tap(const float *w, ptrdiff_t outputs, ptrdiff_t inputs, ptrdiff_t taps,
                     const int32_t *list, ptrdiff_t listed, int32_t by_output, float *out);

/* Its gradient: w[o, c, t] += g[c * outputs + o] for each listed tap t, for outputs
 * o_begin ..< o_end. */
void uspi_kernel_tap_gradient(const float *g, ptrdiff_t outputs, ptrdiff_t inputs, ptrdiff_t taps,
                              const int32_t *list, ptrdiff_t listed, ptrdiff_t o_begin,
                              ptrdiff_t o_end, float *w);

#endif
