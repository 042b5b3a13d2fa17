#!/bin/sh
# A Python that builds and checks wheels: prints its folder, made if it is not there.
set -eu
cd "$(dirname "$0")/.."

environment=.build/wheel-environment
[ -x "$environment/bin/auditwheel" ] || {
    python3 -m venv "$environment"
    "$environment/bin/python" -m pip install -q --disable-pip-version-check \
        "setuptools>=70.1" wheel auditwheel >&2
}
echo "$environment"
