#!/bin/sh
# Links what `swift build -c release` compiled into a product as it is installed.
#   link.sh library OUT [FLAG...]    the shared library, with its versioned name
#   link.sh wheel OUT [FLAG...]      the same with the tool inside (usp_main), since one Swift runtime is enough
#   link.sh tool OUT [FLAG...]       the command line tool
# Beside OUT stands OUT.map, the linker's account of the bytes (packaging/sizes.py reads it).
set -eu
cd "$(dirname "$0")/.."

kind=$1 out=$2
shift 2
objects=.build/release
soname="-Xlinker -soname -Xlinker libusp.so"

# without_tables OBJECT|ARCHIVE [OUT]: no tables of unwinding of Swift code, an eighth of the library.
# Nothing in it throws as C++ does, and its frames have pointers, which debuggers and profilers follow.
without_tables() {
    llvm-objcopy -R .eh_frame -R .rela.eh_frame "$@"
}

# compiled PRODUCT [TARGET]: a file with the names of the product's objects, and of a target's beside them.
compiled() {
    copies=.build/runtime/$1
    mkdir -p "$copies"
    { cat "$objects/$1.product/Objects.LinkFileList"; ${2:+ls $objects/$2.build/*.swift.o}; } |
    while read -r object; do
        case $object in
        *.swift.o)
            copy=$copies/$(basename "$(dirname "$object")")-$(basename "$object")
            without_tables "$object" "$copy"
            echo "$copy" ;;
        *) echo "$object" ;;
        esac
    done >"$copies/objects"
    echo "@$copies/objects"
}

# The runtime's archives, without the marks that keep functions which nobody calls, and without one
# (replaced.c). Named before the toolchain's own, they are where the linker finds everything.
static=$(dirname "$(dirname "$(readlink -f "$(command -v swiftc)")")")/lib/swift_static/linux
runtime=.build/runtime
mkdir -p "$runtime"
names="Core _Concurrency _StringProcessing _RegexParser Synchronization Glibc"
[ "$runtime/libswiftGlibc.a" -nt "$static/libswiftGlibc.a" ] && [ "$runtime/libswiftGlibc.a" -nt packaging/unretain.py ] &&
    [ "$runtime/libswiftGlibc.a" -nt scripts/link.sh ] ||
    (cd "$static" && for name in $names; do realpath "libswift$name.a"; done) |
    (xargs packaging/unretain.py "$runtime" && for name in $names; do without_tables "$runtime/libswift$name.a"; done)
${CC:-cc} -O2 -c packaging/replaced.c -o "$runtime/replaced.o"

case $kind in
library) set -- -emit-library $(compiled usp) @packaging/library.link $soname."$(scripts/version.sh abi)" "$@" ;;
wheel) set -- -emit-library $(compiled usp-cli USPC) @packaging/library.link $soname "$@" ;;
tool) set -- -emit-executable $(compiled usp-cli) @packaging/tool.link -Xlinker --defsym=main=usp_main "$@" ;;
*) echo "usp: link.sh knows library, wheel and tool, not $kind" >&2; exit 2 ;;
esac
# The build's number is the hash of what is shipped: the linker's own would cover hashes of modules, in
# which the folder of the build is.
linked() {
    swiftc -module-name usp -o "$out" "$@" "$runtime/replaced.o" "$runtime"/libswift*.a -ljpeg -lz -Xlinker -Map="$out.map"
}
linked "$@" -Xlinker --build-id=none
llvm-objcopy --strip-all -R .comment -R .swift_modhash -R .lldbsummaries "$out" "$out.stripped"
number=$(sha1sum <"$out.stripped" | cut -c1-40)
rm "$out.stripped"
linked "$@" -Xlinker "--build-id=0x$number"
