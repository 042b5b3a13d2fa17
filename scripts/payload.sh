#!/bin/sh
# Writes what a wheel holds beside Python files into a folder: the library with the tool inside, the
# command that starts it, libjpeg under a name of its own, so that no other one takes its place.
#   payload.sh FOLDER
set -eu
cd "$(dirname "$0")/.."
folder=$1

for tool in swift patchelf cc; do
    command -v "$tool" >/dev/null 2>&1 || {
        echo "usp: '$tool' is missing; building the library takes Swift 6.2 or newer" \
            "(https://www.swift.org/install/linux/), and on Debian: apt install" \
            "build-essential patchelf libjpeg62-turbo-dev zlib1g-dev" >&2
        exit 1
    }
done
scripts/argument-parser.sh
swift build -c release --product usp-cli
swift build -c release --product usp

mkdir -p "$folder"
jpeg=$(readlink -f "$(cc -print-file-name=libjpeg.so)")
renamed=libjpeg-$(sha256sum <"$jpeg" | cut -c1-8).so.62
install -m 644 "$jpeg" "$folder/$renamed"
patchelf --set-soname "$renamed" "$folder/$renamed"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ln -s "$(realpath "$folder/$renamed")" "$work/libjpeg.so"
scripts/link.sh wheel "$work/libusp.so" -L"$work" -Xlinker -rpath="\$ORIGIN"
llvm-objcopy --strip-all -R .comment -R .swift_modhash -R .lldbsummaries "$work/libusp.so"
install -m 644 "$work/libusp.so" "$folder/libusp.so"
mkdir -p "$folder/share"
cp -r share/usp "$folder/share"
${CC:-cc} -O2 -s -pie -Wl,-z,now -Wl,--build-id=none -Wl,-rpath,"\$ORIGIN" -o "$folder/usp" \
    packaging/wheel/launcher.c -L"$folder" -lusp
