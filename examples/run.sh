#!/bin/sh
# Builds and runs all examples: C, C with Python inside, Python, Swift. Expects
# .build/release/libusp.so; PYTHON is a Python with numpy (default: the tests' environment).
set -eu
cd "$(dirname "$0")/.."

library="$PWD/.build/release"
built=.build/examples
python=${PYTHON:-.build/python-environment/bin/python}
mkdir -p "$built" out/examples
export PYTHONPATH="$PWD/bindings/python" USP_LIBRARY="$library/libusp.so"
flags="-std=c11 -O1 -Wall -Wextra -Werror -pedantic -Iinclude -L$library -Wl,-rpath,$library"

root=$PWD
case $python in /*) ;; */*) python=$root/$python ;; esac

# From another folder than theirs, in which they write.
quietly() {
    (cd out/examples && "$@") >"$built/output.txt" 2>&1 ||
        { cat "$built/output.txt" >&2; echo "failed: $*" >&2; exit 1; }
}

for name in inspect autoencode train pretrain transfer sample autoregress align segment; do
    ${CC:-cc} $flags "examples/c/$name.c" -lusp -lm -o "$built/$name"
    quietly "$root/$built/$name"
    echo "C: $name"
done

# The embedded interpreter is the system's; numpy is the test environment's, of the same version.
config=/usr/bin/python3-config
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if [ -x "$config" ] && [ "$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')" = "$version" ]; then
    ${CC:-cc} -std=c11 -O1 -Wall -Iinclude $($config --includes) examples/c/embed_python.c \
        -L"$library" -Wl,-rpath,"$library" -lusp $($config --ldflags --embed) -lm -o "$built/embed_python"
    packages=$("$python" -c 'import numpy, os; print(os.path.dirname(os.path.dirname(numpy.__file__)))')
    PYTHONPATH="$PYTHONPATH:$packages" quietly "$root/$built/embed_python"
    echo "C: embed_python"
else
    echo "C: embed_python skipped (libpython3-dev and a Python $version are needed)"
fi

for name in inspect_file autoencode train transfer sample autoregress align; do
    quietly "$python" "$root/examples/python/$name.py"
    echo "Python: $name"
done

if [ -n "$(find /usr/share/backgrounds -name '*.jpg' 2>/dev/null | head -n 1)" ]; then
    quietly "$python" "$root/examples/python/photographs.py"
    echo "Python: photographs"
else
    echo "Python: photographs skipped (a wallpaper package such as lomiri-wallpapers-20.04 is needed)"
fi

if [ -d /usr/share/datasets/fashion-mnist ] &&
    [ -n "$(find /usr/share/backgrounds -name '*_by_*.jpg' 2>/dev/null | head -n 1)" ]; then
    quietly "$python" "$root/examples/python/segmentation.py" 0.005
    echo "Python: segmentation, of short length"
else
    echo "Python: segmentation skipped (dataset-fashion-mnist and lomiri-wallpapers-16.04 are needed)"
fi

swift build -c release --product usp-examples >"$built/output.txt" 2>&1 || { cat "$built/output.txt" >&2; exit 1; }
for name in inspect autoencode train transfer sample autoregress align demo; do
    quietly "$library/usp-examples" "$name"
    echo "Swift: $name"
done
