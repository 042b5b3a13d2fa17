/* Pixel by pixel: tables, blends, the smoothing filter. */
#include "pixels.h"
#include "dispatch.h"
#include <string.h>

void uspi_histogram(const uint8_t *x, ptrdiff_t pixels, ptrdiff_t channels, int64_t *counts) {
    for (ptrdiff_t i = 0; i < pixels; i++, x += channels) {
        for (ptrdiff_t c = 0; c < channels; c++) counts[c * 256 + x[c]]++;
    }
}

void uspi_lookup(const uint8_t *x, ptrdiff_t pixels, ptrdiff_t channels, const uint8_t *tables,
                 uint8_t *y) {
    if (channels == 3) {
        for (ptrdiff_t i = 0; i < pixels; i++, x += 3, y += 3) {
            y[0] = tables[x[0]];
            y[1] = tables[256 + x[1]];
            y[2] = tables[512 + x[2]];
        }
        return;
    }
    for (ptrdiff_t i = 0; i < pixels; i++, x += channels, y += channels) {
        for (ptrdiff_t c = 0; c < channels; c++) y[c] = tables[c * 256 + x[c]];
    }
}

void uspi_lookup_planes(const uint8_t *x, ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels,
                        const float *tables, float *y, ptrdiff_t row, ptrdiff_t plane) {
    for (ptrdiff_t j = 0; j < height; j++, x += width * channels) {
        for (ptrdiff_t c = 0; c < channels; c++) {
            float *out = y + c * plane + j * row;
            for (ptrdiff_t i = 0; i < width; i++) out[i] = tables[c * 256 + x[i * channels + c]];
        }
    }
}

static inline uint8_t luminance(const uint8_t *x) {
    return (uint8_t)((x[0] * 19595 + x[1] * 38470 + x[2] * 7471 + 0x8000) >> 16);
}

USPI_DISPATCH(
    void, uspi_luminance, (const uint8_t *x, ptrdiff_t pixels, uint8_t *y), (x, pixels, y), {
        for (ptrdiff_t i = 0; i < pixels; i++) y[i] = luminance(x + 3 * i);
    })

static inline uint8_t blended(int32_t from, int32_t to, float factor) {
    float value = (float)from + factor * (float)(to - from);
    value = value > 0.0f ? value : 0.0f;
    value = value < 255.0f ? value : 255.0f;
    return (uint8_t)(int32_t)value;
}

USPI_DISPATCH_UNFUSED(
    void, uspi_blend,
    (const uint8_t *from, const uint8_t *to, float factor, ptrdiff_t n, uint8_t *y),
    (from, to, factor, n, y), {
        for (ptrdiff_t i = 0; i < n; i++) y[i] = blended(from[i], to[i], factor);
    })

USPI_DISPATCH_UNFUSED(
    void, uspi_blend_level,
    (const uint8_t *x, uint8_t level, float factor, ptrdiff_t n, uint8_t *y),
    (x, level, factor, n, y), {
        for (ptrdiff_t i = 0; i < n; i++) y[i] = blended(level, x[i], factor);
    })

/* The luminance of a block of pixels, each three times, then one vector loop over their bytes. */
USPI_DISPATCH_UNFUSED(
    void, uspi_blend_luminance,
    (const uint8_t *x, float factor, ptrdiff_t pixels, uint8_t *y), (x, factor, pixels, y), {
        enum { block = 256 };
        uint8_t grey[3 * block];
        for (ptrdiff_t i = 0; i < pixels; i += block) {
            const ptrdiff_t count = pixels - i < block ? pixels - i : block;
            for (ptrdiff_t j = 0; j < count; j++) {
                const uint8_t value = luminance(x + 3 * (i + j));
                grey[3 * j] = grey[3 * j + 1] = grey[3 * j + 2] = value;
            }
            const uint8_t *to = x + 3 * i;
            uint8_t *out = y + 3 * i;
            for (ptrdiff_t j = 0; j < 3 * count; j++) out[j] = blended(grey[j], to[j], factor);
        }
    })

static inline float three(const uint8_t *x, float first, float middle, float last) {
    return (float)x[-3] * first + (float)x[0] * middle + (float)x[3] * last;
}

USPI_DISPATCH_UNFUSED(
    void, uspi_smooth, (const uint8_t *x, ptrdiff_t height, ptrdiff_t width, uint8_t *y),
    (x, height, width, y), {
        const ptrdiff_t row = 3 * width;
        memcpy(y, x, (size_t)(row * height));
        if (height < 3 || width < 3) return;
        const float side = 1.0f / 13.0f;
        const float middle = 5.0f / 13.0f;
        for (ptrdiff_t j = 1; j < height - 1; j++) {
            const uint8_t *at = x + j * row;
            uint8_t *out = y + j * row;
            for (ptrdiff_t i = 3; i < row - 3; i++) {
                float sum = 0.5f;
                sum += three(at + row + i, side, side, side);
                sum += three(at + i, side, middle, side);
                sum += three(at - row + i, side, side, side);
                sum = sum < 255.0f ? sum : 255.0f;
                out[i] = (uint8_t)(int32_t)sum;
            }
        }
    })

void uspi_mirror(const uint8_t *x, ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels,
                 uint8_t *y) {
    const ptrdiff_t row = width * channels;
    for (ptrdiff_t j = 0; j < height; j++, x += row, y += row) {
        const uint8_t *from = x + row - channels;
        for (ptrdiff_t i = 0; i < row; i += channels) {
            for (ptrdiff_t c = 0; c < channels; c++) y[i + c] = from[c - i];
        }
    }
}
