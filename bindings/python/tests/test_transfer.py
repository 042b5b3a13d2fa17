"""Transfer: plans, reports, results in memory and in files, refusals."""

import json
import pathlib

import numpy as np
import pytest

import usp

GOLDEN = pathlib.Path(__file__).resolve().parents[3] / "Tests" / "Golden"
SOURCE = GOLDEN / "transfer" / "checkpoint-3.pth"


def test_result_and_report_agree():
    weights, report = usp.transfer(
        SOURCE, to="DiT", grid=8, classes=10, layers=1, seed=3, num_heads=2)
    source = usp.Checkpoint.open(SOURCE, table="model")
    assert set(weights) == {entry.name for entry in report.entries}
    for entry in report.entries:
        assert weights[entry.name].shape == entry.shape
        if entry.action in ("copied", "renamed"):
            np.testing.assert_array_equal(weights[entry.name], source[entry.source])
    assert not any(e.transferred for e in report.entries if e.name.startswith("blocks.1."))
    assert ("cls_token", "the target has no class token") in report.left
    assert report.parameters == sum(array.size for array in weights.values())
    assert report.transferred_parameters == sum(
        weights[e.name].size for e in report.entries if e.transferred)
    assert 0 < report.share < 1 and "come from pretraining" in str(report)
    assert json.loads(report.json)["parameters"] == report.parameters
    again, _ = usp.transfer(SOURCE, to="DiT", grid=8, classes=10, layers=1, seed=3, num_heads=2)
    for name in weights:
        np.testing.assert_array_equal(weights[name], again[name])


def test_matches_the_published_procedure():
    golden = usp.Checkpoint.open(GOLDEN / "transfer" / "full.safetensors")
    weights, _ = usp.transfer(SOURCE, to="SiT", grid=8, num_heads=2)
    for key in golden:
        name = key[len("out."):]
        if name == "pos_embed":
            np.testing.assert_allclose(weights[name], golden[key], atol=1e-6)
        else:
            np.testing.assert_array_equal(weights[name], golden[key])


def test_from_a_mapping_and_into_files(tmp_path):
    with usp.Checkpoint.open(SOURCE, table="model") as source:
        plan = usp.transfer_plan(source, "DiT", num_heads=2)
        plan.save(tmp_path / "init.safetensors", dtype="bf16")
        plan.save(tmp_path / "init.pt")
    found = usp.Checkpoint.open(tmp_path / "init.pt", table="ema")
    half = usp.Checkpoint.open(tmp_path / "init.safetensors")
    assert set(found) == set(half) and half.dtype("pos_embed") == "bf16"
    assert found.tables == ("model", "ema")


def test_torch_opens_the_training_layout(tmp_path):
    torch = pytest.importorskip("torch")
    usp.transfer_plan(SOURCE, "DiT", num_heads=2).save(tmp_path / "init.pt")
    loaded = torch.load(tmp_path / "init.pt", weights_only=True)
    weights, _ = usp.transfer(SOURCE, "DiT", num_heads=2)
    for table in ("model", "ema"):
        assert set(loaded[table]) == set(weights)
        for name, tensor in loaded[table].items():
            np.testing.assert_array_equal(tensor.numpy(), weights[name])


def original_names(torch, weights):
    """A module whose parameters are called as DiT's, of the sizes of `weights` (affine norms)."""
    nn = torch.nn
    width, channels, patch, _ = weights["x_embedder.proj.weight"].shape

    def modulation(chunks):
        return nn.Sequential(nn.SiLU(), nn.Linear(width, chunks * width))

    block = lambda: nn.ModuleDict(dict(
        norm1=nn.LayerNorm(width), norm2=nn.LayerNorm(width), adaLN_modulation=modulation(6),
        attn=nn.ModuleDict(dict(qkv=nn.Linear(width, 3 * width), proj=nn.Linear(width, width))),
        mlp=nn.ModuleDict(dict(fc1=nn.Linear(width, 4 * width), fc2=nn.Linear(4 * width, width)))))
    model = nn.ModuleDict(dict(
        x_embedder=nn.ModuleDict(dict(proj=nn.Conv2d(channels, width, patch, patch))),
        t_embedder=nn.ModuleDict(dict(
            mlp=nn.Sequential(nn.Linear(256, width), nn.SiLU(), nn.Linear(width, width)))),
        y_embedder=nn.ModuleDict(dict(embedding_table=nn.Embedding(1001, width))),
        blocks=nn.ModuleList([block() for _ in range(2)]),
        final_layer=nn.ModuleDict(dict(
            linear=nn.Linear(width, patch * patch * 2 * channels),
            adaLN_modulation=modulation(2)))))
    model.register_parameter("pos_embed", nn.Parameter(torch.zeros(weights["pos_embed"].shape)))
    return model


def test_torch_loads_it_strictly(tmp_path):
    torch = pytest.importorskip("torch")
    usp.transfer_plan(SOURCE, "DiT", num_heads=2).save(tmp_path / "init.pt")
    loaded = torch.load(tmp_path / "init.pt", weights_only=True)
    for table in ("model", "ema"):
        model = original_names(torch, loaded[table])
        model.load_state_dict(loaded[table], strict=True)
        assert torch.equal(model.state_dict()["pos_embed"], loaded[table]["pos_embed"])


def test_refusals(tmp_path):
    with pytest.raises(usp.ShapeError, match="24 wide, the target 1152"):
        usp.transfer(SOURCE, "DiT-XL/2", num_heads=2)
    with pytest.raises(usp.ArgumentError, match="did you mean"):
        usp.transfer(SOURCE, "DiT-XXL/2", num_heads=2)
    with pytest.raises(usp.ArgumentError, match="channel_rule"):
        usp.transfer(SOURCE, "DiT", num_heads=2, channel_rule="mirror")
    with pytest.raises(usp.UnsupportedError, match="an autoencoder"):
        usp.transfer(GOLDEN / "models" / "vae_params.safetensors", "DiT")
    with pytest.raises(usp.FileError, match="cannot write"):
        usp.transfer_plan(SOURCE, "DiT", num_heads=2).save("/nowhere/init.pt")
    assert list(tmp_path.iterdir()) == []


def test_options_without_a_part_are_errors():
    vit, dit = dict(to="ViT", num_heads=2), dict(to="DiT", num_heads=2)
    cases = [
        (dit, "pool", "token"), (dit, "head", "probe"), (vit, "gate_bias", 1.0),
        (dit, "block", 1), (dit, "timestep", 3.0), (dict(dit, to="MAE"), "classes", 5),
    ]
    for settings, option, value in cases:
        with pytest.raises(usp.ArgumentError, match="has no part in"):
            usp.transfer(SOURCE, **settings, **{option: value})


def test_labels_that_the_source_has_not():
    source = usp.DiT.create(grid=4, width=32, depth=1, heads=2, classes=5).checkpoint
    for label in (-1, 6):
        with pytest.raises(usp.ArgumentError, match=f"label: {label}, expected 0"):
            usp.transfer(source, to="ViT", num_heads=2, label=label)
    assert usp.transfer(source, to="ViT", num_heads=2, label=5)[1].share > 0
