/* The C kernels of usp: raw pointers and sizes. No allocation, no threads, no errors, no shapes. */
#ifndef USPI_KERNELS_H
#define USPI_KERNELS_H
#include <stddef.h>
#include <stdint.h>

int uspi_isa(void);

#include "elementwise.h"
#include "gemm.h"
#include "optimizer.h"

#endif
