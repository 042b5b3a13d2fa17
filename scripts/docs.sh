#!/bin/sh
# Builds the documentation site into out/docs: open out/docs/index.html, no server is needed.
set -eu
cd "$(dirname "$0")/.."

command -v doxygen >/dev/null || { echo "usp: doxygen is missing: apt install doxygen" >&2; exit 1; }
[ -f .build/release/libusp.so ] || { echo "usp: build the library first: make build" >&2; exit 1; }
environment=.build/docs-environment
[ -x "$environment/bin/sphinx-build" ] || {
    python3 -m venv "$environment"
    "$environment/bin/python" -m pip install -q --disable-pip-version-check \
        sphinx furo myst-parser breathe numpydoc sphinx-copybutton numpy
}
mkdir -p .build/docs
.build/release/usp-tables >.build/docs/tables.json
doxygen docs/site/Doxyfile
"$environment/bin/sphinx-build" -q --fail-on-warning --keep-going -b html -d .build/docs/doctrees docs out/docs
echo "out/docs/index.html: $(find out/docs -name '*.html' | wc -l) pages"
scripts/swift-docs.sh
