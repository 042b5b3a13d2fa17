/* Conversions between f32 and bf16 over contiguous arrays.
 * Rounding is to nearest, ties to even; NaN stays NaN (quiet), overflow becomes infinity. */
#ifndef USPI_CONVERT_H
#define USPI_CONVERT_H
#include <stddef.h>
#include <stdint.h>

void uspi_bf16_from_f32(const float *x, uint16_t *y, int64_t n);
void uspi_f32_from_bf16(const uint16_t *x, float *y, int64_t n);

#endif
