#!/bin/sh
# Installs the Debian packages that building, testing and the demo need; says what it does; does
# nothing where all are there. One sentence and exit 1 where this machine cannot be used.
set -eu

fail() { echo "usp: $*" >&2; exit 1; }

[ "$(uname -s)" = Linux ] || fail "this library builds on Linux (Debian 12 or newer); this machine runs $(uname -s)."
command -v apt-get >/dev/null 2>&1 || fail "the set-up needs apt-get (Debian 12 or newer, or a derivative); install OpenBLAS, libjpeg, zlib, Python 3 and the Fashion-MNIST idx files by hand and run 'swift build -c release'."
command -v swift >/dev/null 2>&1 || fail "Swift 6.2 or newer is not installed; get it from https://www.swift.org/install/linux/."
version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\)\.\([0-9]*\).*/\1 \2/p' | head -n 1)
set -- $version
[ "${1:-0}" -gt 6 ] || { [ "${1:-0}" -eq 6 ] && [ "${2:-0}" -ge 2 ]; } || fail "Swift ${1:-?}.${2:-?} is too old; Swift 6.2 or newer is needed: https://www.swift.org/install/linux/."

packages="libopenblas0-pthread libpython3-dev libjpeg62-turbo-dev zlib1g-dev dataset-fashion-mnist python3-venv make cmake pkg-config patchelf abigail-tools libopenmpi-dev openmpi-bin libsimde-dev"
missing=""
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=""
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || fail "these Debian packages are missing and neither root nor sudo is at hand:$missing."
    as_root=sudo
fi
echo "usp: installing$missing"
$as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q >/dev/null || fail "apt-get update failed; the package mirrors are out of reach."
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >/dev/null || fail "apt-get could not install$missing."
