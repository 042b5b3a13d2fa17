#!/bin/sh
# Kernels for instructions that this processor may not have, emulated by SIMDe (libsimde-dev).
set -eu
cd "$(dirname "$0")"
if ! [ -f /usr/include/simde/x86/avx512.h ]; then
    echo "no SIMDe (libsimde-dev): the emulated instructions are not tested"
    exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for set in 1 2 3 4; do
    ${CC:-clang} -O2 -mavx2 -mfma -ffp-contract=fast -Wall -Wextra -Werror -Wno-psabi -DSET=$set \
        -isystem /usr/include -I../../Sources/CKernels -I../../Sources/CKernels/include \
        int8_emulated.c -lm -o "$folder/emulated"
    "$folder/emulated"
done
