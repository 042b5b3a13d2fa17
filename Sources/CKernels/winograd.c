/* The steps of a Winograd convolution that need no vectors of their own. */
#include "winograd.h"
#include "gemm_variants.h"

/* Segments of the kernel that stay in the first cache while every tile meets them. */
enum { PIECE = 8 };

/* An odd number of units, so that the 36 points do not fall on the same sets of a cache. */
static ptrdiff_t spread(ptrdiff_t units) { return units + 1 + units % 2; }

static ptrdiff_t panels_of(ptrdiff_t outputs) { return (outputs + PANEL - 1) / PANEL; }

ptrdiff_t uspi_winograd_v_row(ptrdiff_t channels, ptrdiff_t tiles) {
    return spread(channels / SEGMENT * tiles) * SEGMENT;
}

ptrdiff_t uspi_winograd_m_row(ptrdiff_t outputs, ptrdiff_t tiles) {
    return spread(panels_of(outputs) * tiles) * PANEL;
}

ptrdiff_t uspi_winograd_kernel_row(ptrdiff_t channels, ptrdiff_t outputs) {
    return spread(panels_of(outputs) * channels) * PANEL;
}

ptrdiff_t uspi_winograd_stage(ptrdiff_t tiles_y, ptrdiff_t tiles_x) {
    return (4 * tiles_y + 2) * (4 * tiles_x + 2) * SEGMENT;
}

void uspi_winograd_input(const uspi_winograd *w, ptrdiff_t block, float *stage) {
    uspi_variant()->winograd_input(w, block, stage);
}

void uspi_winograd_output(const uspi_winograd *w, ptrdiff_t panel, ptrdiff_t begin, ptrdiff_t end) {
    uspi_variant()->winograd_output(w, panel, begin, end);
}

void uspi_winograd_product(const uspi_winograd *w, ptrdiff_t point) {
    const kernel_variant *variant = uspi_variant();
    const ptrdiff_t tiles = w->images * w->tiles_y * w->tiles_x, segments = w->channels / SEGMENT;
    const ptrdiff_t groups = (tiles + variant->segment_rows - 1) / variant->segment_rows;
    const float *v = w->v + point * w->v_row, *b = w->kernels + point * w->kernel_row;
    float *m = w->m + point * w->m_row;
    ptrdiff_t offsets[PIECE];
    for (ptrdiff_t s = 0; s < PIECE; s++) offsets[s] = s * tiles * SEGMENT;
    for (ptrdiff_t o = 0; o < w->outputs;
         o += PANEL, b += w->channels * PANEL, m += tiles * PANEL) {
        for (ptrdiff_t from = 0; from < segments; from += PIECE) {
            const ptrdiff_t count = segments - from < PIECE ? segments - from : PIECE;
            for (ptrdiff_t g = 0; g < groups; g++) {
                const ptrdiff_t begin = tiles * g / groups, end = tiles * (g + 1) / groups;
                variant->segments_f32[end - begin - 1](
                    count, offsets, v + (from * tiles + begin) * SEGMENT,
                    b + from * SEGMENT * PANEL, m + begin * PANEL, from > 0);
            }
        }
    }
}

void uspi_winograd_kernel(const uspi_winograd_weight *k, const float *weight, ptrdiff_t block,
                          ptrdiff_t panel, float *kernels, ptrdiff_t kernel_row) {
    uspi_variant()->winograd_kernel(k, weight, block, panel, kernels, kernel_row);
}

void uspi_winograd_spread(const uspi_winograd *w, ptrdiff_t panel, ptrdiff_t begin, ptrdiff_t end) {
    uspi_variant()->winograd_spread(w, panel, begin, end);
}

void uspi_winograd_outer(const uspi_winograd *w, ptrdiff_t point, float *sums) {
    const kernel_variant *variant = uspi_variant();
    const ptrdiff_t tiles = w->images * w->tiles_y * w->tiles_x;
    const float *m = w->m + point * w->m_row, *v = w->v + point * w->v_row;
    sums += point * w->kernel_row;
    for (ptrdiff_t o = 0; o < w->outputs; o += PANEL, m += tiles * PANEL) {
        for (ptrdiff_t c = 0; c < w->channels; c += SEGMENT, sums += SEGMENT * PANEL) {
            variant->outer_f32(tiles, v + c * tiles, m, sums);
        }
    }
}

void uspi_winograd_kernel_gradient(const uspi_winograd_weight *k, const float *sums,
                                   ptrdiff_t kernel_row, ptrdiff_t block, ptrdiff_t panel,
                                   float *weight) {
    uspi_variant()->winograd_kernel_gradient(k, sums, kernel_row, block, panel, weight);
}
