#!/bin/sh
# Builds the wheel for every Python 3.9 and newer into dist/ and has auditwheel check its platform.
set -eu
cd "$(dirname "$0")/.."

platform=manylinux_2_34_x86_64    # the lowest that it runs on; auditwheel says if it is not true
limit=6000000
environment=$(scripts/wheel-environment.sh)

# The same bytes from the same sources: the time of the last change stands for all times.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y include/usp.h)}
export SOURCE_DATE_EPOCH USP_WHEEL_PLATFORM=$platform
umask 022

rm -rf .build/wheel bindings/python/build bindings/python/*.egg-info
mkdir -p .build/wheel dist
# setuptools writes beside its sources: not in the checkout
cp -r bindings/python .build/wheel/source
USP_CHECKOUT=$PWD "$environment/bin/python" -m pip wheel -q --disable-pip-version-check --no-deps \
    --no-build-isolation -w .build/wheel .build/wheel/source
wheel=$(ls .build/wheel/*.whl)
"$environment/bin/auditwheel" show "$wheel" >.build/wheel/audit.txt
tr '\n' ' ' <.build/wheel/audit.txt | grep -qF "consistent with the following platform tag: \"$platform\"" || {
    cat .build/wheel/audit.txt >&2
    echo "usp: the wheel does not run wherever $platform promises" >&2
    exit 1
}
size=$(stat -c %s "$wheel")
[ "$size" -le "$limit" ] || { echo "usp: the wheel has $size bytes, expected at most $limit" >&2; exit 1; }
cp "$wheel" dist/
echo "dist/$(basename "$wheel"): $size bytes"
