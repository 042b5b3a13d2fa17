#!/bin/sh
# Header as C99 and C++17, layouts, exported symbols, generated prototypes, the C tests.
# Expects .build/release/libusp.so.
set -eu
cd "$(dirname "$0")/../.."

library=.build/release
built=.build/abi
mkdir -p "$built"
strict="-Wall -Wextra -Werror -pedantic -Iinclude"

for compiler in ${CC:-cc} clang; do
    command -v "$compiler" >/dev/null || continue
    "$compiler" -std=c99 $strict -fsyntax-only Tests/ABI/header.c
    "$compiler" -std=c11 $strict -fsyntax-only Tests/ABI/layout.c
    "$compiler" -std=gnu11 -Wall -Wextra -Werror -Iinclude -fsyntax-only benchmarks/ours.c
    for header in include/usp/*.h; do # each alone, too
        "$compiler" -std=c99 $strict -fsyntax-only -x c "$header"
    done
    "$compiler" -x c++ -std=c++17 $strict -fsyntax-only Tests/ABI/header.c
done
sed -n '/^ \* EXAMPLE/,/^ \* THREE/s/^ \*     //p' include/usp.h |
    sed '1i #include <stdio.h>' >"$built/example.c"
grep -q "int main" "$built/example.c"
${CC:-cc} -std=c99 $strict -fsyntax-only "$built/example.c"
echo "header: C99 and C++17, layouts hold, its example compiles"

scripts/generate_doors.py --check
Tests/ABI/doors.py "$library/usp-tables" "$library/usp-cli"
bindings/python/generate_abi.py --check
nm -D --defined-only "$library/libusp.so" | sed -n 's/.* [TBDRVW] //p' | sort >"$built/exported.txt"
LC_ALL=C sort Tests/ABI/symbols.txt >"$built/declared.txt"
LC_ALL=C sort "$built/exported.txt" -o "$built/exported.txt"
diff "$built/declared.txt" "$built/exported.txt" ||
    { echo "declared (<) and exported (>) functions differ" >&2; exit 1; }
echo "symbols: $(wc -l <"$built/declared.txt") declared and exported"
if ldd "$library/libusp.so" | grep -i swift; then
    echo "libusp.so needs a Swift library" >&2
    exit 1
fi

${CC:-cc} -std=c11 -Wall -Wextra -Werror -Iinclude Tests/ABI/unload.c -o "$built/unload" -ldl
"$built/unload" "$library/libusp.so"
${CC:-cc} -std=c11 -Wall -Wextra -Werror -Iinclude Tests/ABI/host.c -o "$built/host" -ldl -lm
# a BLAS of the host's, whose every function ends the process; and the system's own
blas=$(ldconfig -p 2>/dev/null | sed -n 's/.*libopenblas\.so\.0 .*=> //p' | head -n 1)
if [ -n "$blas" ]; then
    { echo "void abort(void);"
      nm -D --defined-only "$blas" | sed -n 's/.* T \([a-zA-Z_0-9]*\)$/\1/p' |
          grep -v "^_init\|^_fini" | sed 's/.*/void &(void) { abort(); }/'; } >"$built/poison.c"
    ${CC:-cc} -w -fno-builtin -shared -fPIC "$built/poison.c" -o "$built/libpoison.so"
    "$built/host" "$PWD/$library/libusp.so" "$PWD/$built/libpoison.so" "$blas"
else
    "$built/host" "$PWD/$library/libusp.so"
fi
for alone in fork memory; do
    ${CC:-cc} -std=c11 -D_DEFAULT_SOURCE $strict -O1 -g -pthread "Tests/ABI/$alone.c" \
        -L"$library" -lusp -Wl,-rpath,"$PWD/$library" -o "$built/$alone"
    "$built/$alone"
done
${CC:-cc} -std=c11 -D_DEFAULT_SOURCE $strict -O1 -g -pthread Tests/ABI/main.c Tests/ABI/test_*.c \
    -L"$library" -lusp -lm -Wl,-rpath,"$PWD/$library" -o "$built/tests"
"$built/tests"
