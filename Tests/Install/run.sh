#!/bin/sh
# What `make install` puts into a system, and that somebody else's program builds against it. Expects
# what scripts/stage.sh built.
set -eu
cd "$(dirname "$0")/../.."

root=$PWD/.build/install-test
prefix=/opt/usp
installed=$root$prefix
abi=$(scripts/version.sh abi) version=$(scripts/version.sh)
floor=2.34
fail() { echo "install: $*" >&2; exit 1; }

# works PROGRAM: it ends well and says what it did.
works() {
    mkdir -p "$root/out/examples"
    (cd "$root" && LD_LIBRARY_PATH=${LD_LIBRARY_PATH-"$installed/lib"} "$1") >"$root/said.txt" 2>&1 &&
        grep -q "pretrained ones" "$root/said.txt" || { cat "$root/said.txt"; fail "$1 does not work"; }
}

rm -rf "$root"
mkdir -p "$root"
export DESTDIR="$root" PREFIX="$prefix"
scripts/install.sh install
scripts/install.sh install-debug

library=$installed/lib/libusp.so.$abi
[ "$(readlink -f "$installed/lib/libusp.so")" = "$(readlink -f "$library")" ] || fail "links differ"
dynamic=$(readelf -dW "$library")
echo "$dynamic" | grep -q "SONAME.*\[libusp.so.$abi\]" || fail "SONAME is not libusp.so.$abi"
echo "$dynamic" | grep -q BIND_NOW || fail "the library binds lazily"
readelf -lW "$library" | grep -q GNU_RELRO || fail "the library has no read-only relocations"
! echo "$dynamic" | grep -qE "RPATH|RUNPATH" || fail "the library has a search path"
! readelf -SW "$library" | grep -qE "\.symtab|\.debug_info" || fail "the library is not stripped"
others=$(nm -D --defined-only "$library" | sed 's/.* //' | grep -v '^usp_' || true)
[ -z "$others" ] || fail "exported beside usp_*: $others"
[ "$(nm -D --defined-only "$library" | wc -l)" -gt 50 ] || fail "the library exports next to nothing"
for file in "$library" "$installed/bin/usp"; do
    # strings first and whole: grep -q would end it early
    strings -a "$file" >"$root/strings.txt"
    ! grep -qF "$PWD" "$root/strings.txt" || fail "$file holds the path of this build"
    newest=$(readelf -VW "$file" | grep -o 'GLIBC_2\.[0-9]*' | sort -Vu | tail -n 1)
    [ "$(printf '%s\nGLIBC_%s\n' "$newest" "$floor" | sort -V | tail -n 1)" = "GLIBC_$floor" ] ||
        fail "$file needs $newest, expected at most GLIBC_$floor"
    ! readelf -dW "$file" | grep -i 'NEEDED.*swift' || fail "$file needs a Swift library"
done
# modules that cost a megabyte each and that nothing here needs: who brings one in is told here
for file in lib/libusp.so bin/usp; do
    ! grep -E "swift_(StringProcessing|RegexParser|Concurrency)\.a\(" ".build/stage/$file.map" >"$root/said.txt" ||
        fail "$file links $(head -n 1 "$root/said.txt")"
done
size=$(stat -Lc %s "$library")
[ "$size" -le 10500000 ] || fail "the library has $size bytes, expected at most 10500000"
number=$(readelf -nW "$library" | sed -n 's/.*Build ID: //p')
[ -f "$installed/lib/debug/.build-id/$(echo "$number" | sed 's|..|&/|').debug" ] ||
    fail "no debug symbols where gdb looks for them"
echo "library: $size bytes, SONAME libusp.so.$abi, glibc $floor"

export PKG_CONFIG_PATH="$installed/lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$root"
[ "$(pkg-config --modversion usp)" = "$version" ] || fail "usp.pc says another version"
# shellcheck disable=SC2046
${CC:-cc} -std=c11 examples/c/transfer.c $(pkg-config --cflags --libs usp) -lm -o "$root/by_pkg_config"
works "$root/by_pkg_config"
cmake -S Tests/Install -B "$root/cmake" -DSOURCE="$PWD/examples/c/transfer.c" -DWANTED="$version" \
    -DCMAKE_PREFIX_PATH="$installed" >"$root/cmake.txt"
cmake --build "$root/cmake" >>"$root/cmake.txt"
LD_LIBRARY_PATH="" works "$root/cmake/by_cmake"
! cmake -S Tests/Install -B "$root/newer" -DSOURCE=x.c -DWANTED=99 \
    -DCMAKE_PREFIX_PATH="$installed" >"$root/cmake.txt" 2>&1 || fail "CMake takes version 99"
echo "programs: by pkg-config and by CMake"

# the C tests, where Tests/ABI/run.sh has built them, on this library in place of the build's
if [ .build/abi/tests -nt .build/release/libusp.so ]; then
    LD_LIBRARY_PATH="$installed/lib" .build/abi/tests >"$root/said.txt" 2>&1 ||
        { cat "$root/said.txt"; fail "the C tests fail on the installed library"; }
    echo "the C tests on it: $(tail -n 1 "$root/said.txt")"
fi

[ "$(env -i "$installed/bin/usp" --version)" = "$version" ] || fail "usp --version"
cd "$root"   # not the checkout's: the installed file
env -i "$installed/bin/usp" inspect small | grep -q "648,375" || fail "the small autoencoder is not found"
cd - >/dev/null
for command in $("$installed/bin/usp" --help | sed -n '/^SUBCOMMANDS/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
    [ -f "$installed/share/man/man1/usp-$command.1" ] || fail "no manual page for usp $command"
    grep -q "$command" "$installed/share/bash-completion/completions/usp" ||
        fail "the completions do not know usp $command"
done
bash -n "$installed/share/bash-completion/completions/usp"
echo "tool: $(ls "$installed/share/man/man1" | wc -l) manual pages, completions"

scripts/install.sh uninstall
left=$(find "$root$prefix" ! -type d)
[ -z "$left" ] || fail "uninstall leaves $left"
echo "uninstall leaves nothing"
