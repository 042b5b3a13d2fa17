#!/bin/sh
# Everything that `make test` runs, quick things first. The closing line counts the stages.
set -eu
cd "$(dirname "$0")/.."

passed=0
stage() {
    echo "== $1"
    shift
    "$@"
    passed=$((passed + 1))
}

python_tests() {
    environment=.build/python-environment
    [ -x "$environment/bin/python" ] || python3 -m venv "$environment"
    "$environment/bin/python" -m pip install -q --disable-pip-version-check numpy pytest mypy \
        basedpyright mpi4py
    "$environment/bin/python" -m mypy --config-file bindings/python/pyproject.toml \
        --cache-dir .build/mypy bindings/python/usp
    "$environment/bin/basedpyright" --project bindings/python/pyproject.toml
    PYTHONPATH=bindings/python USP_LIBRARY="$PWD/.build/release/libusp.so" \
        "$environment/bin/python" -m pytest -q bindings/python/tests
}

# A minute's run of the main job: it ends, and measures what it promises.
demo() {
    rm -rf .build/demo
    .build/release/usp-cli demo --quick --out .build/demo
    .build/release/usp-cli sample .build/demo/sit_usp.safetensors --classes all --steps 9 \
        --vae .build/demo/autoencoder.safetensors --solver adams-bashforth -o .build/demo/grid.png
    python3 - .build/demo/metrics.json <<'CHECK'
import json, math, sys
metrics = json.load(open(sys.argv[1]))
for name in """vae.test_mse pretrain.loss_first pretrain.loss_last probe.usp_top1 probe.random_top1
finetune.usp_top1 finetune.scratch_top1 solvers.flow.heun.8 solvers.diffusion.dpm++.8 seconds.total peak_rss_mb""".split():
    value = metrics
    for part in name.split("."):
        value = value[part]
    assert math.isfinite(value), name
assert metrics["pretrain"]["loss_last"] < metrics["pretrain"]["loss_first"]
generation = metrics["generation"]
counts = {len(generation[k]) for k in ("steps", "usp_frechet", "scratch_frechet")}
assert len(counts) == 1 and counts.pop() > 1, generation
CHECK
}

# Every block of the pages that can run without a network.
documentation() {
    PYTHONPATH="$PWD/bindings/python" USP_TOOL=.build/release/usp-cli \
        .build/python-environment/bin/python Tests/Docs/snippets.py \
        README.md bindings/python/README.md docs/*.md docs/*/*.md
}

notebooks() {
    environment=.build/python-environment
    "$environment/bin/python" -m pip install -q --disable-pip-version-check nbclient ipykernel matplotlib
    PYTHONPATH="$PWD/bindings/python" USP_LIBRARY="$PWD/.build/release/libusp.so" \
        "$environment/bin/python" Tests/Docs/notebooks.py --quick examples/notebooks/*.ipynb
}

install() {
    scripts/stage.sh
    Tests/Install/run.sh
    Tests/Install/abi.sh
    scripts/wheel.sh
    Tests/Install/wheel.sh
}

# SwiftPM lets a target import what its dependencies depend on; the tool must not.
walls() {
    inner='USP(Models|Diffusion|Data|Transfer|Training|Evaluation)|CKernels|CFiles|CUSP'
    if grep -rnE "^(@[a-z_]+ )?import ($inner)$" Sources/usp; then
        echo "the tool imports an inner room: what it needs is public in USPKit, or wants to be" >&2
        return 1
    fi
}

scripts/argument-parser.sh
stage "walls" walls
stage "build" swift build -c release --build-tests
stage "build the library and the tool" swift build -c release
! command -v mpicc >/dev/null 2>&1 || stage "the plug-in for MPI" scripts/mpi.sh
stage "damaged files" .build/release/usp-fuzz --runs 20000
stage "Swift tests" swift test -c release --skip-build --no-parallel
stage "emulated instructions" Tests/Kernels/run.sh
[ ! -x Tests/ABI/run.sh ] || stage "header, symbols and a C program" Tests/ABI/run.sh
[ ! -d bindings/python/tests ] || stage "Python" python_tests
[ ! -x Tests/CLI/run.sh ] || stage "command line" Tests/CLI/run.sh
stage "install, ABI, wheel" install
stage "documentation" documentation
stage "notebooks" notebooks
stage "the demo, quick" demo
[ ! -x examples/run.sh ] || stage "examples" examples/run.sh
echo "usp: $passed stages"
echo "$passed passed, 0 failed"
