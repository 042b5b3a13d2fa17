#!/bin/sh
# Builds the Debian packages of what `make stage` built into dist/, and has lintian read them.
set -eu
cd "$(dirname "$0")/.."

version=$(scripts/version.sh) abi=$(scripts/version.sh abi)
for tool in dpkg-buildpackage dh lintian; do
    command -v "$tool" >/dev/null 2>&1 || {
        echo "usp: '$tool' is missing: apt install debhelper dh-python lintian python3-all" >&2
        exit 1
    }
done
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y include/usp.h)}
export SOURCE_DATE_EPOCH
umask 022

work=.build/deb tree=.build/deb/usp-$version
rm -rf "$work"
mkdir -p "$tree/debian" "$tree/.build" "$tree/python" dist
cp -r scripts include packaging share LICENSE NOTICE "$tree"
cp -r .build/stage "$tree/.build"

# Python files and their metadata, without the library and the command, which have packages
cp -r bindings/python "$work/source"
USP_SYSTEM_LIBRARY=1 USP_CHECKOUT=$PWD "$(scripts/wheel-environment.sh)/bin/python" -m pip wheel -q --no-deps \
    --disable-pip-version-check --no-build-isolation -w "$work" "$work/source"
python3 -m zipfile -e "$work"/usp-*.whl "$tree/python"
metadata=$(ls -d "$tree"/python/usp-*.dist-info)
rm -rf "$metadata/licenses" "$metadata/entry_points.txt" "$metadata/RECORD" "$metadata/top_level.txt"

cp packaging/debian/* "$tree/debian"
mv "$tree/debian/libusp.install" "$tree/debian/libusp$abi.install"
sed "s/@ABI@/$abi/" packaging/debian/control.in >"$tree/debian/control"
rm "$tree/debian/control.in"
packaging/copyright.sh >"$tree/debian/copyright"
cat >"$tree/debian/changelog" <<LOG
usp ($version-1) unstable; urgency=medium

  * Version $version; CHANGELOG.md says what is new.

 -- usp maintainers <maintainers@usp.invalid>  $(date -u -d "@$SOURCE_DATE_EPOCH" -R)
LOG
(cd "$tree" && dpkg-buildpackage -b -us -uc -d >../build.txt 2>&1) || { cat "$work/build.txt" >&2; exit 1; }
lintian --fail-on error --tag-display-limit 0 "$work"/*.changes
rm -f dist/*.deb
cp "$work"/*.deb dist/
ls -l dist/*.deb | awk '{print $9 ": " $5 " bytes"}'
