#!/bin/sh
# Builds and runs the examples on small files of Tests/Golden. Expects .build/release.
set -eu
cd "$(dirname "$0")/.."

library=$PWD/.build/release
built=.build/examples
mkdir -p "$built"
source=Tests/Golden/transfer/checkpoint-3.pth

for example in examples/c/*.c; do
    name=$(basename "$example" .c)
    ${CC:-cc} -std=c99 -Wall -Wextra -Werror -pedantic -Iinclude "$example" -o "$built/$name" \
        -L"$library" -lusp -lm -Wl,-rpath,"$library"
done
"$built/transfer" "$source" DiT "$built/c.safetensors" 2 >"$built/c.txt"
"$library/example-transfer" "$source" DiT "$built/swift.safetensors" 2 >"$built/swift.txt"
cmp "$built/c.safetensors" "$built/swift.safetensors"
python=.build/python-environment/bin/python
if [ -x "$python" ]; then
    PYTHONPATH=bindings/python USP_LIBRARY="$library/libusp.so" "$python" \
        examples/python/transfer.py "$source" DiT "$built/python.safetensors" 2 >"$built/python.txt"
    cmp "$built/c.safetensors" "$built/python.safetensors"
fi
echo "examples: transfer in C, Swift and Python gives the same bytes"
