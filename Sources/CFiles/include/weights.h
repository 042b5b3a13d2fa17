/* Files that the library brings along. */
#ifndef USPI_WEIGHTS_H
#define USPI_WEIGHTS_H

#include <stddef.h>

/* The small colour autoencoder (scripts/small_autoencoder.py), a safetensors file: static. */
const void *uspi_weights_small(size_t *size);

#endif
