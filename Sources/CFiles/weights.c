// Files that the library brings along: their bytes, as they lie in Sources/CFiles/weights.

#include "weights.h"

// Aligned to 64 bytes, so that arrays in it are; the linker may share and never writes it.
__asm__(
    ".pushsection .rodata,\"a\",@progbits\n"
    ".balign 64\n"
    ".globl uspi_small_autoencoder\n"
    ".hidden uspi_small_autoencoder\n"
    "uspi_small_autoencoder:\n"
    ".incbin \"small.safetensors\"\n"
    ".globl uspi_small_autoencoder_end\n"
    ".hidden uspi_small_autoencoder_end\n"
    "uspi_small_autoencoder_end:\n"
    ".byte 0\n"
    ".popsection\n");

extern const unsigned char uspi_small_autoencoder[], uspi_small_autoencoder_end[];

const void *uspi_weights_small(size_t *size) {
    *size = (size_t)(uspi_small_autoencoder_end - uspi_small_autoencoder);
    return uspi_small_autoencoder;
}
