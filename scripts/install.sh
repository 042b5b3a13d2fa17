#!/bin/sh
# Copies .build/stage into a system, or removes it:  install.sh install|install-debug|uninstall
# Read from the environment: DESTDIR (a root other than /), PREFIX (/usr/local), and where a system
# wants them elsewhere BINDIR, LIBDIR, INCLUDEDIR, DATADIR, DEBUGDIR, ZSHDIR (_usp).
set -eu
cd "$(dirname "$0")/.."

: "${DESTDIR:=}" "${PREFIX:=/usr/local}"
: "${BINDIR:=$PREFIX/bin}" "${LIBDIR:=$PREFIX/lib}" "${INCLUDEDIR:=$PREFIX/include}"
: "${DATADIR:=$PREFIX/share}" "${DEBUGDIR:=$PREFIX/lib/debug/.build-id}"
: "${ZSHDIR:=$DATADIR/zsh/site-functions}"
stage=.build/stage
version=$(scripts/version.sh) abi=$(scripts/version.sh abi)
case $version in
0.*) series=${version%.*} ;;
*) series=${version%%.*} ;;
esac
file=libusp.so.$version

case $PREFIX in
/*) ;;
*) echo "usp: PREFIX is $PREFIX, expected a path from the root, such as /usr/local" >&2; exit 2 ;;
esac

# put MODE SOURCE TARGET
put() { install -D -m "$1" "$2" "$DESTDIR$3"; }

# put_filled TEMPLATE TARGET: with the paths and versions in it
put_filled() {
    relative=$(realpath -m --relative-to="$LIBDIR/cmake/usp" "$INCLUDEDIR")
    sed -e "s|@PREFIX@|$PREFIX|" -e "s|@LIBDIR@|$LIBDIR|" -e "s|@INCLUDEDIR@|$INCLUDEDIR|" \
        -e "s|@VERSION@|$version|" -e "s|@ABI@|$abi|" -e "s|@SERIES@|$series|" \
        -e "s|@INCLUDE_FROM_CMAKE@|$relative|" "packaging/templates/$1" >"$stage/$1"
    put 644 "$stage/$1" "$2"
}

library() {
    put 644 "$stage/lib/libusp.so" "$LIBDIR/$file"
    ln -sf "$file" "$DESTDIR$LIBDIR/libusp.so.$abi"
}

development() {
    install -d "$DESTDIR$LIBDIR"
    ln -sf "libusp.so.$abi" "$DESTDIR$LIBDIR/libusp.so"
    put 644 include/usp.h "$INCLUDEDIR/usp.h"
    for header in include/usp/*.h; do
        [ ! -f "$header" ] || put 644 "$header" "$INCLUDEDIR/usp/$(basename "$header")"
    done
    put_filled usp.pc "$LIBDIR/pkgconfig/usp.pc"
    put_filled usp-config.cmake "$LIBDIR/cmake/usp/usp-config.cmake"
    put_filled usp-config-version.cmake "$LIBDIR/cmake/usp/usp-config-version.cmake"
}

tool() {
    put 755 "$stage/bin/usp" "$BINDIR/usp"
    for page in "$stage"/man/*.1; do
        put 644 "$page" "$DATADIR/man/man1/$(basename "$page")"
    done
    put 644 "$stage/completions/usp.bash" "$DATADIR/bash-completion/completions/usp"
    put 644 "$stage/completions/usp.zsh" "$ZSHDIR/_usp"
    put 644 "$stage/completions/usp.fish" "$DATADIR/fish/vendor_completions.d/usp.fish"
}

# what the library looks for in share/usp above its own folder
data() {
    for each in share/usp/*; do
        put 644 "$each" "$DATADIR/usp/$(basename "$each")"
    done
}

licences() {
    for text in LICENSE NOTICE packaging/licences/*; do
        put 644 "$text" "$DATADIR/doc/usp/$(basename "$text")"
    done
}

# where gdb looks for a number, with PREFIX=/usr by itself
debug() {
    for each in lib/libusp.so bin/usp; do
        put 644 "$stage/$each.debug" "$DEBUGDIR/$(numbered "$stage/$each").debug"
    done
}

# numbered FILE: the file's number, as folder/name
numbered() { readelf -nW "$1" | sed -n 's|.*Build ID: \(..\)\(.*\)|\1/\2|p'; }

# everything that install and install-debug put there, and folders that are then empty and ours
uninstall() {
    for each in "$DESTDIR$LIBDIR/$file" "$DESTDIR$BINDIR/usp"; do
        [ ! -f "$each" ] || rm -f "$DESTDIR$DEBUGDIR/$(numbered "$each").debug"
    done
    rm -f "$DESTDIR$LIBDIR/$file" "$DESTDIR$LIBDIR/libusp.so.$abi" "$DESTDIR$LIBDIR/libusp.so" \
        "$DESTDIR$INCLUDEDIR/usp.h" "$DESTDIR$LIBDIR/pkgconfig/usp.pc" "$DESTDIR$BINDIR/usp" \
        "$DESTDIR$DATADIR/man/man1/usp.1" "$DESTDIR$DATADIR/man/man1"/usp-*.1 \
        "$DESTDIR$DATADIR/bash-completion/completions/usp" "$DESTDIR$ZSHDIR/_usp" \
        "$DESTDIR$DATADIR/fish/vendor_completions.d/usp.fish"
    rm -rf "$DESTDIR$INCLUDEDIR/usp" "$DESTDIR$LIBDIR/cmake/usp" "$DESTDIR$DATADIR/doc/usp" \
        "$DESTDIR$DATADIR/usp"
}

# The loader knows a library in its own folders by its cache.
refresh() {
    [ -z "$DESTDIR" ] && [ "$(id -u)" -eq 0 ] && command -v ldconfig >/dev/null || return 0
    ldconfig
}

case ${1:-} in
install) library; data; development; tool; licences; refresh ;;
install-debug) debug ;;
uninstall) uninstall; refresh ;;
*) echo "usage: install.sh install|install-debug|uninstall" >&2; exit 2 ;;
esac
