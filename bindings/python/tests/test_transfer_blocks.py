"""Transfers between kinds of blocks: what moves by name, what is kept exactly, what is told."""

import golden
import numpy as np
import pytest

import usp

SIZES = dict(grid=4, channels=6, patch=1, width=24, depth=2, heads=2)
DECODER = dict(decoder_width=16, decoder_depth=1, decoder_heads=2)


def randomised(model, seed):
    """The same model with every value random, its tables aside."""
    random = np.random.default_rng(seed)
    weights = {}
    for name, value in model.parameters.items():
        if "pos_embed" in name or "freqs" in name:
            weights[name] = value
        else:
            scale = 0.3 if value.ndim < 2 else value[0].size ** -0.5
            mean = 1.0 if "norm" in name and name.endswith("weight") else 0.0
            weights[name] = random.normal(mean, scale, value.shape).astype(np.float32)
    return weights


def features(weights, family=usp.LightningDiT, **inputs):
    random = np.random.default_rng(5)
    x = random.normal(size=(2, 6, 4, 4)).astype(np.float32)
    return family.load(weights, num_heads=2).features(x, [0.3, 0.7])


def test_the_same_blocks_move_by_name():
    blocks = dict(rms_norm=True, swiglu=True, rope=True)
    source = usp.create("MAE", **SIZES, **DECODER, **blocks, seed=1)
    weights, report = usp.transfer(source.checkpoint, to="LightningDiT", grid=5, classes=3)
    model = usp.load(weights)
    assert isinstance(model, usp.LightningDiT) and model.config.grid == (5, 5)
    assert (model.config.rms_norm, model.config.swiglu, model.config.rope) == (True, True, True)
    for name, value in source.parameters.items():
        if name.startswith("blocks."):
            assert np.array_equal(model.parameters[name], value), name
    cos, _ = usp.position_embedding.rope(12, 5)
    assert np.array_equal(model.parameters["feat_rope.freqs_cos"], cos)
    fresh = {entry.name for entry in report.entries if not entry.transferred}
    assert not {name for name in fresh if name.startswith("blocks.") and "adaLN" not in name}
    assert ("feat_rope.freqs_cos", "computed for the target's grid") in report.left


def test_what_cannot_move_is_told():
    source = usp.create("MAE", **SIZES, **DECODER, seed=1)
    _, report = usp.transfer(source.checkpoint, to="LightningDiT", classes=3)
    fresh = {entry.name for entry in report.entries if not entry.transferred}
    assert {"blocks.0.mlp.w12.weight", "blocks.1.mlp.w3.bias"} <= fresh
    left = dict(report.left)
    assert left["blocks.0.mlp.fc1.weight"] == "the target's MLPs are gated"
    assert left["blocks.0.norm1.bias"] == "RMS norms have no beta"
    notes = " ".join(report.notes)
    for words in ("norm_rule exact keeps it", "queries and keys turn in the target alone",
                  "they start afresh"):
        assert words in notes


def test_layer_norms_become_rms_norms_exactly():
    source = randomised(usp.create("MAE", **SIZES, **DECODER), 2)
    given = dict(classes=3, swiglu=False, rope=False, gate_bias=1.0, num_heads=2,
                 keep_activation=True)
    kept, _ = usp.transfer(source, to="LightningDiT", rms_norm=False, **given)
    exact, report = usp.transfer(
        source, to="LightningDiT", rms_norm=True, norm_rule="exact", **given)
    copied, _ = usp.transfer(source, to="LightningDiT", rms_norm=True, **given)
    wanted = features(kept)
    wanted = wanted - wanted.mean(axis=-1, keepdims=True)
    assert golden.difference(features(exact), wanted) < 5e-6
    assert golden.difference(features(copied), wanted) > 0.05
    actions = {entry.name: entry.action for entry in report.entries}
    assert "mean over the width taken away" in actions["blocks.0.attn.proj.weight"]
    assert "beta folded in" in actions["blocks.0.attn.qkv.bias"]
    with pytest.raises(usp.ArgumentError, match="norm_rule: exact is for a source of layer norms"):
        usp.transfer(source, to="SiT", norm_rule="exact", num_heads=2)


def test_norms_are_folded_exactly():
    source = randomised(usp.create("MAE", **SIZES, **DECODER), 3)
    given = dict(classes=3, gate_bias=1.0, num_heads=2)
    affine, _ = usp.transfer(source, to="SiT", **given)
    folded, report = usp.transfer(source, to="SiT", fold_norms=True, **given)
    plain, _ = usp.transfer(source, to="SiT", affine=False, **given)
    assert not {name for name in folded if "norm" in name}
    assert golden.difference(features(folded, usp.SiT), features(affine, usp.SiT)) < 5e-6
    assert golden.difference(features(plain, usp.SiT), features(affine, usp.SiT)) > 0.05
    assert not [name for name, _ in report.left if name.startswith("blocks.") and ".norm" in name]


def test_a_trained_affine_model_has_a_plain_twin():
    case = golden.load("models/sit_affine")
    file = golden.params("models/sit_affine")
    folded, _ = usp.transfer(file, to="SiT", fold_norms=True, num_heads=3)
    twin = usp.SiT.load(folded, num_heads=3)
    assert not twin.config.affine
    out = twin.forward(case["in.x"], case["in.t"], case["in.labels"])
    assert golden.difference(out, case["out.y"]) < 1e-5


def test_gated_blocks_have_no_gelu_to_tell_of():
    blocks = dict(rms_norm=True, swiglu=True, rope=True)
    source = usp.create("MAE", **SIZES, **DECODER, **blocks)
    _, report = usp.transfer(source.checkpoint, to="LightningDiT", classes=3)
    assert "GELU" not in " ".join(report.notes)
    _, report = usp.transfer(source.checkpoint, to="SiT", swiglu=False, classes=3)
    assert "are gated, the target's are not: they start afresh" in " ".join(report.notes)
