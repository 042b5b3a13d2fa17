"""Later families in bf16 against the originals' numbers: outputs within 3e-2, gradients within 5e-2.

Gradients of UperNet are left out: in bf16 those of its tables of relative positions, sums of what nearly
cancels, are 0.45 off here and 0.34 in PyTorch's autocast.
"""

import numpy as np
import pytest

import golden
import usp
from test_lightning import CASES


def close(gradients, case, prefix="grad."):
    found = {
        name[len(prefix):]: value for name, value in case.items() if name.startswith(prefix)}
    errors = [golden.difference(gradients[name], found[name]) for name in found if name in gradients]
    assert len(errors) > 20
    assert np.median(errors) < 2e-2 and max(errors) < 5e-2, max(errors)


@pytest.mark.parametrize("name", ["dinov2", "dinov2_reg"])
def test_dinov2(name):
    case = golden.load(f"models/{name}")
    model = usp.ViT.load(golden.params(f"models/{name}"), num_heads=3, dtype="bf16")
    for key in ("own", "wide", "high"):
        tokens = model.tokens(case[f"in.{key}"])
        assert 0 < golden.difference(tokens, case[f"out.{key}.tokens"]) < 3e-2


@pytest.mark.parametrize("name", ["mae", "jepa", "moco", "clip"])
def test_teachers(name):
    case = golden.load(f"models/teacher_{name}")
    model = usp.ViT.load(
        golden.params(f"models/teacher_{name}"), num_heads=3, positions="antialias", dtype="bf16")
    tokens = model.tokens(case["in.images"], norm=name not in ("mae", "clip"))
    assert 0 < golden.difference(tokens, case["out.tokens"]) < 3e-2


def test_repa():
    case, file = golden.load("models/repa_sit"), golden.params("models/repa_sit")
    data, noise, t, labels = (case[f"in.{name}"] for name in ("data", "noise", "t", "labels"))
    model = usp.SiT.load(file, 3, encoder_depth=2, dtype="bf16")
    assert 0 < golden.difference(model(noise, t, labels), case["out.velocity"]) < 3e-2
    for k, projection in enumerate(model.projections(noise, t, labels)):
        assert 0 < golden.difference(projection, case[f"out.projection{k}"]) < 3e-2
    trainer = usp.Trainer(usp.SiT.load(file, 3, encoder_depth=2), align=0.5, dtype="bf16")
    _, gradients = trainer.gradients(
        data, labels, times=t, noise=noise, features=[case["in.features0"], case["in.features1"]])
    close({name: np.asarray(value) for name, value in gradients.items()}, case)


@pytest.mark.parametrize("name", CASES)
def test_lightning(name):
    case = golden.load(f"models/{name}")
    sizes = golden.MANIFEST[f"models/{name}"]["config"]["sizes"]
    heads = None if "rope=yes" in sizes or "qk_norm=yes" in sizes else 2
    model = usp.LightningDiT.load(golden.params(f"models/{name}"), heads, dtype="bf16")
    _, gradients = model.gradients(case["in.x"], case["in.t"], case["in.labels"])
    close(gradients, case)


def test_mar():
    case = golden.load("models/mar")
    model = usp.MAR.load(golden.params("models/mar"), 4, 3, dtype="bf16")
    given = case["in.latents"], case["in.labels"]
    drawn = dict(mask=case["in.mask"], t=case["in.t"], noise=case["in.noise"])
    output = model.forward(*given, **drawn)
    assert 0 < golden.difference(output.token_loss, case["out.token_loss"]) < 3e-2
    condition = model.condition(*given, mask=case["in.mask"])
    assert 0 < golden.difference(condition, case["out.z"]) < 3e-2
    _, gradients = model.gradients(*given, **drawn)
    close(gradients, case)


@pytest.mark.parametrize(
    "name, grid", [("mmseg", None), ("beit", None), ("plain", (4, 6)), ("linear", (4, 5))])
def test_segmenter(name, grid):
    case = golden.load(f"models/segmenter_{name}")
    config = golden.MANIFEST[f"models/segmenter_{name}"]["config"]
    model = usp.Segmenter.load(
        golden.params(f"models/segmenter_{name}"), 2, config["out_indices"], grid=grid,
        dtype="bf16")
    assert 0 < golden.difference(model.logits(case["in.images"]), case["out.logits"]) < 3e-2
    if name == "linear":
        _, gradients = model.gradients(case["in.images"], case["in.labels"])
        close(gradients, case, "grad_all.")
