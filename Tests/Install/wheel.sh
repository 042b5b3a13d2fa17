#!/bin/sh
# The wheel in an empty virtual environment, used from another folder, with no Swift on the path.
# Expects dist/ from scripts/wheel.sh; PYTHON is the Python that makes the environment.
set -eu
cd "$(dirname "$0")/../.."

wheel=$(ls "$PWD"/dist/usp-"$(scripts/version.sh)"-*.whl)
version=$(scripts/version.sh)
fail() { echo "wheel: $*" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
${PYTHON:-python3} -m venv "$work/environment"
"$work/environment/bin/python" -m pip install -q --disable-pip-version-check "$wheel"
cd "$work"
clean() { env -i PATH="$work/environment/bin:/usr/bin:/bin" HOME="$work" "$@"; }
! clean sh -c 'command -v swift' || fail "swift is on the path of this test"

clean python - <<'CODE'
import os
import sys
from importlib.metadata import distribution

import numpy as np
import usp

here = os.path.dirname(usp.__file__)
assert here.startswith(sys.prefix), here
loaded = {line.split()[-1] for line in open("/proc/self/maps") if "libusp" in line or "libjpeg" in line}
assert loaded and all(path.startswith(here) for path in loaded), loaded
texts = {os.path.basename(str(file)) for file in distribution("usp").files if "licenses" in str(file)}
wanted = {"LICENSE", "NOTICE", "swift.txt", "unicode.txt", "llvm-exception.txt", "libjpeg-turbo.txt"}
assert texts >= wanted, wanted - texts
assert distribution("usp").version == usp.__version__

pretrained = usp.MaskedAutoencoder.create(
    grid=4, width=32, depth=2, heads=2, decoder_width=16, decoder_depth=1, decoder_heads=2, seed=1)
weights, report = usp.transfer(pretrained.checkpoint, to="SiT", grid=6, classes=10, seed=0)
model = usp.SiT.load(weights, num_heads=2)
z = usp.random.normal((2, 4, 12, 12), seed=7)
latents = usp.Transport().sample_ode(model, z, [3, 7], method="heun", steps=3)
assert latents.shape == (2, 4, 12, 12) and np.isfinite(latents).all()
model.save("sit.safetensors")
assert usp.VAE.load("small").factor == 4
CODE
[ "$(clean usp --version)" = "$version" ] || fail "usp --version"
clean usp inspect sit.safetensors | grep -q "SiT" || fail "usp inspect does not know the model"
code=0
clean usp inspect nothing.safetensors 2>said.txt || code=$?
[ "$code" -eq 1 ] && grep -q nothing.safetensors said.txt || fail "usp's error is not passed on"
clean python -m pip uninstall -q -y usp
[ ! -e environment/bin/usp ] && [ ! -d "$(ls -d environment/lib/python3.*/site-packages)/usp" ] ||
    fail "uninstalling leaves files"
echo "wheel: $(basename "$wheel") works in an empty environment of $(clean python --version)"
