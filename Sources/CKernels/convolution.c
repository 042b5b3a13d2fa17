/* Gathering, scattering and regrouping around convolutions: copies, so one variant for all. */
#include "convolution.h"
#include <string.h>

static void gather_pixel(const uspi_windows *w, const char *image, ptrdiff_t y, ptrdiff_t x,
                         ptrdiff_t tap_begin, ptrdiff_t tap_end, char *out) {
    const ptrdiff_t pixel = w->channels * w->element;
    for (ptrdiff_t tap = tap_begin; tap < tap_end;) {
        const ptrdiff_t ty = tap / w->taps_x, tx = tap % w->taps_x;
        ptrdiff_t count = w->taps_x - tx;
        if (count > tap_end - tap) count = tap_end - tap;
        const ptrdiff_t iy = y + ty, ix = x + tx;
        if (iy < 0 || iy >= w->height) {
            memset(out, 0, (size_t)(count * pixel));
        } else {
            ptrdiff_t low = ix < 0 ? -ix : 0, high = w->width - ix;
            if (low > count) low = count;
            if (high > count) high = count;
            if (high < low) high = low;
            if (low) memset(out, 0, (size_t)(low * pixel));
            if (high > low)
                memcpy(out + low * pixel, image + (iy * w->width + ix + low) * pixel,
                       (size_t)((high - low) * pixel));
            if (count > high) memset(out + high * pixel, 0, (size_t)((count - high) * pixel));
        }
        out += count * pixel;
        tap += count;
    }
}

void uspi_gather_windows(const uspi_windows *w, const void *images, ptrdiff_t m_begin,
                         ptrdiff_t m_end, ptrdiff_t tap_begin, ptrdiff_t tap_end, void *out) {
    const ptrdiff_t grid = w->out_height * w->out_width;
    const ptrdiff_t image_bytes = w->height * w->width * w->channels * w->element;
    const ptrdiff_t row_bytes = (tap_end - tap_begin) * w->channels * w->element;
    char *row = out;
    for (ptrdiff_t m = m_begin; m < m_end; m++, row += row_bytes) {
        const ptrdiff_t image = m / grid, pixel = m % grid;
        const ptrdiff_t i = pixel / w->out_width, j = pixel % w->out_width;
        gather_pixel(w, (const char *)images + image * image_bytes, i * w->stride + w->first_y,
                     j * w->stride + w->first_x, tap_begin, tap_end, row);
    }
}

static ptrdiff_t place(const uspi_places *p, ptrdiff_t m) {
    const ptrdiff_t grid = p->out_height * p->out_width;
    const ptrdiff_t image = m / grid, i = m % grid / p->out_width, j = m % p->out_width;
    const ptrdiff_t y = i * p->step + p->phase_y, x = j * p->step + p->phase_x;
    return ((image * p->height + y) * p->width + x) * p->channels;
}

void uspi_scatter_rows(const uspi_places *p, const float *rows, ptrdiff_t m_begin, ptrdiff_t m_end,
                       int32_t accumulate, float *images) {
    for (ptrdiff_t m = m_begin; m < m_end; m++, rows += p->channels) {
        float *pixel = images + place(p, m);
        if (accumulate)
            for (ptrdiff_t c = 0; c < p->channels; c++) pixel[c] += rows[c];
        else
            memcpy(pixel, rows, (size_t)p->channels * sizeof(float));
    }
}

void uspi_gather_rows(const uspi_places *p, const float *images, ptrdiff_t m_begin, ptrdiff_t m_end,
                      float *rows) {
    for (ptrdiff_t m = m_begin; m < m_end; m++, rows += p->channels)
        memcpy(rows, images + place(p, m), (size_t)p->channels * sizeof(float));
}

void uspi_kernel_tap(const float *w, ptrdiff_t outputs, ptrdiff_t inputs, ptrdiff_t taps,
                     const int32_t *list, ptrdiff_t listed, int32_t by_output, float *out) {
    for (ptrdiff_t o = 0; o < outputs; o++)
        for (ptrdiff_t c = 0; c < inputs; c++) {
            const float *kernel = w + (o * inputs + c) * taps;
            float sum = 0;
            for (ptrdiff_t t = 0; t < listed; t++) sum += kernel[list[t]];
            out[by_output ? o * inputs + c : c * outputs + o] = sum;
        }
}

void uspi_kernel_tap_gradient(const float *g, ptrdiff_t outputs, ptrdiff_t inputs, ptrdiff_t taps,
                              const int32_t *list, ptrdiff_t listed, ptrdiff_t o_begin,
                              ptrdiff_t o_end, float *w) {
    for (ptrdiff_t o = o_begin; o < o_end; o++)
        for (ptrdiff_t c = 0; c < inputs; c++) {
            float *kernel = w + (o * inputs + c) * taps;
            for (ptrdiff_t t = 0; t < listed; t++) kernel[list[t]] += g[c * outputs + o];
        }
}
