"""Models by name, their configurations, and what files keep of them."""

import dataclasses

import numpy as np
import pytest

import usp

SMALL = {
    "VAE": dict(base_width=8, multipliers=(1, 2), groups=4, mid_attention=False, scale=(1, 2, 3, 4)),
    "MAE": dict(grid=(2, 3), width=16, depth=1, heads=2, decoder_width=8, decoder_depth=1,
                decoder_heads=2, epsilon=1e-5),
    "ViT": dict(grid=4, width=16, depth=1, heads=2, classes=3, pool="avg", class_token=False),
    "DiT": dict(grid=4, width=16, depth=1, heads=2, classes=3, frequency_shift=1, affine=True),
    "SiT": dict(grid=4, width=16, depth=1, heads=2, classes=3, activation="gelu_erf"),
    "LightningDiT": dict(grid=4, width=16, depth=1, heads=2, classes=3, qk_norm=True, shift=False),
    "MAR": dict(grid=4, channels=3, patch=2, width=16, depth=1, heads=2, decoder_width=8, classes=3,
                buffer=2, head_width=8, head_depth=1),
    "Inception": {},
}


@pytest.mark.parametrize("family", SMALL)
def test_a_configuration_makes_its_model_again(family, tmp_path):
    model = usp.create(family, seed=3, **SMALL[family])
    assert model.family == family
    fields = dataclasses.asdict(model.config)
    for name, value in SMALL[family].items():
        expected = (value, value) if name == "grid" and np.ndim(value) == 0 else value
        assert fields[name] == expected
    again = usp.create(family, seed=3, **fields)
    assert again.config == model.config and type(again) is type(model)
    for name, value in model.parameters.items():
        assert np.array_equal(again.parameters[name], value)
    for ending in ("safetensors", "pt"):
        path = tmp_path / f"model.{ending}"
        model.save(path)
        assert usp.load(path).config == model.config
        assert usp.Checkpoint.open(path).metadata["usp.family"] == family


def test_options_of_loading_stand_before_what_a_file_says(tmp_path):
    model = usp.create("MAE", **SMALL["MAE"])
    model.save(tmp_path / "m.safetensors")
    found = usp.load(tmp_path / "m.safetensors", 4, epsilon=1e-3, dtype="bf16")
    assert (found.config.heads, found.config.epsilon) == (4, 1e-3)
    assert usp.load(tmp_path / "m.safetensors", family="ViT").family == "ViT"
    with pytest.raises(usp.ArgumentError, match="groups: has no part in an MAE, only in VAE"):
        usp.load(tmp_path / "m.safetensors", groups=2)


def test_published_names():
    names = usp.presets()
    assert {"kl-f8", "kl16", "vavae", "MAE-B/2", "ViT-L/16", "DiT-XL/2", "SiT-B/4"} <= set(names)
    model = usp.create("SiT-S/2", classes=10, depth=1)
    assert isinstance(model, usp.SiT) and model.config.width == 384 and model.null_class == 10
    assert str(model.config).startswith("grid=16x16 channels=4 patch=2 width=384 depth=1 heads=6")
    assert (model.config.grid_height, model.config.grid) == (16, (16, 16))
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.config.width = 3
    with pytest.raises(AttributeError):
        model.config.wdith


@pytest.mark.parametrize("call, message", [
    (lambda: usp.create("SiT-B/3"), "did you mean SiT-B/2"),
    (lambda: usp.create("SiT", depht=1), "did you mean .depth."),
    (lambda: usp.create("SiT", depth=-1), "depth: -1, expected a whole number of 1 to 4096"),
    (lambda: usp.create("SiT", width=1.5), "width: 1.5, expected a whole number"),
    (lambda: usp.create("SiT", heads=5), "5 heads do not divide the width 384"),
    (lambda: usp.create("SiT", grid=(1, 2, 3)), "grid: .1, 2, 3."),
    (lambda: usp.create("SiT", width=object()), "width: .*expected a number"),
    (lambda: usp.DiT.create(heads=0), "heads: 0, expected"),
])
def test_what_no_model_has(call, message):
    with pytest.raises(usp.ArgumentError, match=message):
        call()


def test_what_a_format_cannot_say(tmp_path):
    model = usp.create("SiT", **SMALL["SiT"])
    with pytest.raises(usp.UnsupportedError, match="family SiT, .*heads 2, activation gelu_erf"):
        model.save(tmp_path / "m.npz")
    with pytest.raises(usp.ArgumentError, match="known are .safetensors"):
        model.save(tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())
    arrays = usp.Checkpoint({"x": np.arange(3.0)})
    arrays.save(tmp_path / "x.npz")
    assert np.array_equal(np.load(tmp_path / "x.npz")["x"], np.arange(3.0))
    wide = usp.create("DiT-S/2", classes=3, depth=1)
    wide.save(tmp_path / "m.npz")
    assert usp.load(tmp_path / "m.npz").config == wide.config


def test_features_without_a_class_token():
    sizes = dict(grid=(2, 3), width=16, depth=1, heads=2, decoder_width=0)
    for token in (True, False):
        model = usp.create("MAE", class_token=token, **sizes)
        assert model.features(usp.random.normal((2, 4, 4, 6))).shape == (2, 6 + token, 16)


def test_pooling_has_one_name_and_an_old_one():
    source = usp.create("MAE", grid=2, width=16, depth=1, heads=2, decoder_width=0).checkpoint
    for word in ("avg", "average"):
        weights, _ = usp.transfer(source, "ViT", classes=3, pool=word)
        assert usp.ViT.load(weights).config.pool == "avg"
        assert usp.ViT.load(source, pool=word).config.pool == "avg"


@pytest.mark.parametrize("head, deviation", [("probe", 0.01), ("linear", 2e-5)])
def test_heads_start_as_mae_starts_them_at_every_door(head, deviation):
    sizes = dict(grid=4, width=64, depth=1, heads=2, classes=50, head=head)
    pretrained = usp.create("MAE", grid=4, width=64, depth=1, heads=2, decoder_width=16,
                            decoder_depth=1, decoder_heads=2)
    moved = usp.transfer(pretrained.checkpoint, to="ViT", classes=50,
                         head="probe" if head == "probe" else "fine-tune")[0]
    made = [usp.create("ViT", **sizes), usp.ViT.create(**sizes)]
    named = usp.create("ViT-S/2", classes=50, head=head, depth=1, grid=4)
    name = "head.1.weight" if head == "probe" else "head.weight"
    for weights in [moved, named.checkpoint] + [model.checkpoint for model in made]:
        assert weights[name].std() == pytest.approx(deviation, rel=0.05)


def test_widths_of_teachers_are_none_one_or_several():
    """REPA's projectors: a number is one, None is none, as () is."""
    sizes = dict(grid=2, width=32, depth=2, heads=2, classes=3)
    for given, known in [(None, ()), (24, (24,)), (np.int64(24), (24,)), ([24, 8], (24, 8))]:
        for family in (usp.SiT, usp.LightningDiT):
            model = family.create(**sizes, projections=given, projector=16, encoder_depth=1)
            assert model.config.projections == known
        model = usp.MaskedAutoencoder.create(
            grid=2, width=32, depth=2, heads=2, decoder_width=16, decoder_depth=1, decoder_heads=2)
        weights, _report = usp.transfer(
            model, to="SiT", classes=3, projections=given, projector=16, encoder_depth=1)
        assert usp.SiT.load(weights, 2).config.projections == known
    for wrong in ("24", 2.5, [None]):
        with pytest.raises(usp.ArgumentError, match="projections: .*, expected a width, or several"):
            usp.SiT.create(**sizes, projections=wrong)
        with pytest.raises(usp.ArgumentError, match="projections: .*, expected a width, or several"):
            usp.transfer(model, to="SiT", classes=3, projections=wrong)


def test_numbers_of_draws_are_whole_numbers():
    model = usp.MAR.create(
        grid=2, channels=2, width=16, depth=1, heads=2, buffer=2, classes=2, head_width=16, head_depth=1)
    for wrong in (-1, 0, 1.5, None):
        for function in (model.forward, model.gradients):
            with pytest.raises(usp.ArgumentError, match=f"^copies: {wrong}, expected a whole number"):
                function(np.zeros((1, 2, 2, 2), np.float32), copies=wrong)
    with pytest.raises(usp.ArgumentError, match="^count: -1, expected a whole number of 1 or more"):
        model.sample(count=-1)


BLOCKS = dict(rms_norm=True, swiglu=True, rope=True, qk_norm=True, layer_scale=True, registers=2)


@pytest.mark.parametrize("kind", [usp.MaskedAutoencoder, usp.ViT, usp.DiT, usp.SiT, usp.LightningDiT])
def test_switches_of_blocks_are_arguments_of_every_family(kind):
    sizes = dict(grid=4, channels=4, patch=1, width=16, depth=1, heads=2, seed=2)
    if kind is usp.MaskedAutoencoder:
        sizes.update(decoder_width=16, decoder_depth=1, decoder_heads=2)
    plain, model = kind.create(**sizes), kind.create(**sizes, **BLOCKS)
    for name, value in BLOCKS.items():
        assert getattr(model.config, name) == value, name
    names = set(model.parameters)
    assert {"blocks.0.mlp.w12.weight", "blocks.0.attn.k_norm.weight", "blocks.0.ls2.gamma",
            "register_tokens"} <= names
    assert "blocks.0.norm1.bias" not in names
    assert "register_tokens" not in plain.parameters
    again = usp.create(type(model)._family, **{**dataclasses.asdict(model.config)}, seed=2)
    assert again.config == model.config


def test_masked_autoencoders_before_lightningdit_have_its_blocks():
    small = dict(width=16, depth=1, heads=2, decoder_width=16, decoder_depth=1, decoder_heads=2)
    model = usp.create("MAE-B/1-LightningDiT", grid=4, channels=4, **small)
    assert (model.config.rms_norm, model.config.swiglu, model.config.rope) == (True, True, True)
    _weights, report = usp.transfer(model.checkpoint, to="LightningDiT", grid=4, classes=3)
    fresh = {entry.name for entry in report.entries if not entry.transferred}
    assert not {name for name in fresh if name.startswith("blocks.") and "adaLN" not in name}
    full = [name for name in usp.presets() if name.endswith("-LightningDiT")]
    assert len(full) == len([name for name in usp.presets() if name.startswith("LightningDiT-")])
