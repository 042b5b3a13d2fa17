#!/bin/sh
# The Debian packages in a root that debootstrap makes: gcc, pkg-config and CMake, no Swift, no
# Python. Installed, used, removed. Needs root and a mirror; expects dist/*.deb from scripts/deb.sh.
#   bare.sh [FOLDER]    the root is made there once and kept as FOLDER.tar (default .build/bare)
set -eu
cd "$(dirname "$0")/../.."

root=$(realpath -m "${1:-.build/bare}")
version=$(scripts/version.sh) abi=$(scripts/version.sh abi)
fail() { echo "bare root: $*" >&2; exit 1; }
[ "$(id -u)" -eq 0 ] || fail "debootstrap needs root"
command -v debootstrap >/dev/null || fail "debootstrap is missing: apt install debootstrap"
ls dist/usp-tools_"$version"-*.deb >/dev/null || fail "no packages in dist: make deb"

[ -f "$root.tar" ] || {
    rm -rf "$root"
    debootstrap --variant=minbase --include=gcc,libc6-dev,make,pkg-config,cmake \
        bookworm "$root" "${MIRROR:-http://deb.debian.org/debian}" >"$root.txt" ||
        { tail "$root.txt"; fail "debootstrap failed"; }
    tar -C "$root" -cf "$root.tar" .
}
rm -rf "$root"
mkdir -p "$root"
tar -C "$root" -xf "$root.tar"
trap 'umount "$root/proc" 2>/dev/null; rm -rf "$root"' EXIT
mount -t proc proc "$root/proc"
! ls "$root"/usr/bin/python3 "$root"/usr/bin/swift 2>/dev/null || fail "the root is not bare"
cp dist/*.deb examples/c/transfer.c examples/c/common.h Tests/Install/CMakeLists.txt "$root/root"
cp /etc/resolv.conf "$root/etc/resolv.conf"

inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
    DEBIAN_FRONTEND=noninteractive http_proxy="${http_proxy:-}" sh -euc "cd /root; $*"; }

inside "apt-get update -q && apt-get install -y -q --no-install-recommends \
    ./libusp${abi}_*.deb ./libusp-dev_*.deb ./usp-tools_*.deb ./usp-data_*.deb" >"$root.txt" 2>&1 ||
    { tail "$root.txt"; fail "the packages do not install"; }
! inside "command -v python3" || fail "the packages bring Python along"
[ "$(inside 'usp --version')" = "$version" ] || fail "usp --version"
[ "$(inside 'pkg-config --modversion usp')" = "$version" ] || fail "pkg-config says another version"
inside "gcc -std=c11 transfer.c \$(pkg-config --cflags --libs usp) -lm -o by_pkg_config
    ./by_pkg_config; rm sit.safetensors" | grep -q "pretrained ones" || fail "the program of pkg-config"
inside "cmake -S . -B cmake -DSOURCE=transfer.c -DWANTED=$version >cmake.txt && cmake --build cmake >>cmake.txt
    cmake/by_cmake" | grep -q "pretrained ones" || fail "the program of CMake"
inside "usp inspect sit.safetensors" | grep -q SiT || fail "usp inspect"
inside "usp inspect small" | grep -q "648,375" || fail "the small autoencoder is not found"
echo "bare root: C programs by pkg-config and CMake, usp $version; shared libraries of libusp.so.$abi:"
inside "ldd /usr/lib/x86_64-linux-gnu/libusp.so.$abi" | sed 's/ (0x.*//'

inside "apt-get install -y -q --no-install-recommends ./python3-usp_*.deb" >"$root.txt" 2>&1 ||
    { tail "$root.txt"; fail "python3-usp does not install"; }
inside "python3 -c 'import usp; print(usp.build_info(), usp.random.normal((2, 3), seed=1).shape)'"

inside "apt-get purge -y -q python3-usp usp-tools usp-data libusp-dev libusp$abi" >"$root.txt" 2>&1 ||
    { tail "$root.txt"; fail "the packages are not removed"; }
left=$(find "$root/usr" "$root/etc" -name '*usp*' ! -path '*/cups*' | grep -E '/(lib)?usp' || true)
[ -z "$left" ] || fail "purging leaves $left"
echo "bare root: installed, used, removed"
