/* The C kernels of usp: raw pointers and sizes. No allocation, no threads, no errors, no shapes. */
#ifndef USPI_KERNELS_H
#define USPI_KERNELS_H
#include "activation.h"
#include "attention.h"
#include "batchnorm.h"
#include "convert.h"
#include "convolution.h"
#include "double.h"
#include "elementwise.h"
#include "gaussian.h"
#include "gemm.h"
#include "groupnorm.h"
#include "heads.h"
#include "image.h"
#include "isa.h"
#include "label_map.h"
#include "loss.h"
#include "norm.h"
#include "optimizer.h"
#include "pixels.h"
#include "strassen.h"
#include "token.h"
#include "winograd.h"

#endif
