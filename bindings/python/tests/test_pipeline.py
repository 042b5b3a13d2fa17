"""The pipeline in one call a stage: recipes, names of classes, pictures, curves, errors."""

import errno
import json
import logging

import numpy as np
import pytest

import usp

SMALL = dict(width=32, depth=2, heads=2)
DECODER = dict(decoder_width=16, decoder_depth=1, decoder_heads=2)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Ten pictures of two classes, one bright and one dark."""
    draw, folder = np.random.default_rng(1), tmp_path_factory.mktemp("data") / "photos"
    for index in range(10):
        name, low = (("sky", 120), ("water", 0))[index % 2]
        (folder / name).mkdir(parents=True, exist_ok=True)
        usp.images.save(
            folder / name / f"{index}.png", draw.integers(low, low + 120, (20, 24, 3), np.uint8))
    return folder


@pytest.fixture(scope="module")
def data(photos):
    return usp.Data(photos, size=16)


@pytest.fixture(scope="module")
def vae(data):
    return usp.autoencoder(data, factor=4, steps=3, batch=4, base_width=8, latent_channels=2)


@pytest.fixture(scope="module")
def run(data, vae, tmp_path_factory):
    return usp.pretrain(
        data, vae, steps=4, log_every=1, log_dir=tmp_path_factory.mktemp("run"), **SMALL, **DECODER)


def test_recipes_are_the_papers():
    pretrain, train = usp.recipe("pretrain"), usp.recipe("train", steps=50)
    assert pretrain["epochs"] == 800 and pretrain["blr"] == 1.5e-4 and pretrain["beta2"] == 0.95
    assert train["average_decay"] == 0.9999 and train["label_dropout"] == 0.1
    assert train["batch"] == 256 and train["steps"] == 50 and "epochs" not in train
    with pytest.raises(usp.ArgumentError, match='unknown recipe "pretrian".*did you mean "pretrain"'):
        usp.recipe("pretrian")
    with pytest.raises(usp.ArgumentError, match="steps, epochs: exclude each other"):
        usp.recipe("train", steps=5, epochs=1)
    with pytest.raises(usp.ArgumentError, match="decoder_width: has no part in the recipe train"):
        usp.recipe("train", decoder_width=5)


def test_an_autoencoder_has_latents_of_unit_variance(data, vae):
    assert vae.factor == 4 and vae.latent_channels == 2 and vae.config.base_width == 8
    images = np.concatenate([data[index][0][None] for index in range(len(data))])
    assert abs(vae.encode(images).mean.std() - 1) < 0.35
    with pytest.raises(usp.ArgumentError, match="factor: 3, expected a power of 2"):
        usp.autoencoder(data, factor=3, steps=1)
    with pytest.raises(usp.ArgumentError, match="size: 16, expected a multiple of the factor 32"):
        usp.autoencoder(data, factor=32, steps=1)


def test_pretraining_has_model_history_and_curve(data, vae, run, tmp_path):
    assert isinstance(run.model, usp.MaskedAutoencoder) and run.model.config.width == 32
    assert [line["step"] for line in run.history] == [1, 2, 3, 4]
    assert run.notes == ["batch 10, all samples there are; the recipe's is 64"]
    assert "<svg" in run.plot()._repr_svg_() and "polyline" in run.plot("loss", "rate").svg
    run.plot().save(tmp_path / "loss.svg")
    with pytest.raises(usp.ArgumentError, match="lost: not in the log, which has epoch"):
        run.plot("lost")
    again = usp.load(f"{run.log_dir}/pretrain.safetensors")
    assert again.fingerprint == run.model.fingerprint


def test_runs_go_on_and_tell_each_line(data, vae, tmp_path):
    def half(told):
        return told.step < 3

    common = dict(steps=6, log_every=2, seed=3, **SMALL, **DECODER)
    whole = usp.pretrain(data, vae, **common)
    lines, log_dir = [], tmp_path / "a" / "b"
    with pytest.raises(usp.Cancelled):
        usp.pretrain(data, vae, log_dir=log_dir, progress=half, callbacks=lines.append, **common)
    done = usp.pretrain(data, vae, log_dir=log_dir, callbacks=[lines.append], **common)
    assert [line["step"] for line in lines] == [2, 4, 6] == [x["step"] for x in done.history]
    assert done.model.fingerprint == whole.model.fingerprint and whole.log_dir is None
    with pytest.raises(usp.ArgumentError, match="an earlier run with model MAE .*, now MAE"):
        usp.pretrain(data, vae, log_dir=log_dir, **dict(common, seed=4))
    fresh = [usp.pretrain(data, vae, **dict(common, seed=None, steps=1)).model for _ in range(2)]
    assert fresh[0].fingerprint != fresh[1].fingerprint


def test_generation_transfers_and_knows_names(data, vae, run, caplog, tmp_path):
    with caplog.at_level(logging.INFO, "usp"):
        sit = usp.train(data, vae, start=run.model, steps=2, log_dir=tmp_path)
    assert "SiT from the MAE" in caplog.text and "are transferred" in caplog.text
    assert isinstance(sit, usp.SiT) and sit.class_names == ["sky", "water"] and sit.config.affine
    assert sit.autoencoder == vae.fingerprint
    heading = json.loads((tmp_path / "train-log.jsonl").read_text().splitlines()[0])
    assert heading["label_dropout"] == 0.1 and heading["average_decay"] == 0.9999
    kept = usp.load(tmp_path / "train.safetensors")
    assert kept.class_names == sit.class_names and kept.fingerprint == sit.fingerprint
    other = usp.train(data, vae, start=f"{run.log_dir}/pretrain.safetensors", steps=2)
    assert other.fingerprint == sit.fingerprint
    images = usp.sample(sit, vae, classes=["water"], num=3, steps=4, seed=1)
    assert isinstance(images, usp.Images) and images.shape == (3, 16, 16, 3)
    assert images.dtype == np.uint8 and images._repr_png_().startswith(b"\x89PNG")
    assert np.array_equal(images[:2], usp.sample(sit, vae, classes="water", num=2, steps=4, seed=1))
    by_hand = usp.Transport().sample_ode(
        sit, usp.random.normal((3, 2, 4, 4), 1), [1, 1, 1], method="adams-bashforth", steps=4)
    assert np.array_equal(images, usp.images.to_uint8(vae.decode(by_hand)))
    images.save(tmp_path / "grid.png")
    assert usp.images.open(tmp_path / "grid.png").shape == (32, 32, 3)
    again = dict(classes=["water"], num=3, steps=4, seed=1)
    assert np.array_equal(images, usp.sample(sit, vae, **again, reuse_interval=1, null_interval=1))
    with pytest.raises(usp.ArgumentError, match="reuse_order: has no part without"):
        usp.sample(sit, vae, **again, reuse_order=1)
    assert len(usp.sample(sit, vae, steps=2)) == 2
    drawn = [usp.sample(sit, vae, num=1, steps=2, seed=None) for _ in range(2)]
    assert not np.array_equal(*drawn)
    with pytest.raises(usp.ArgumentError, match="unknown class 'watre'; did you mean water"):
        usp.sample(sit, vae, classes=["watre"])
    with pytest.raises(usp.ArgumentError, match="classes: 2, expected 0 to 1"):
        usp.sample(sit, vae, classes=[2])


def test_another_autoencoder_warns(data, vae, run):
    sit = usp.train(data, vae, start=run.model, steps=1)
    other = usp.VAE.create(
        base_width=8, multipliers=(1, 2, 4), blocks_per_level=1, latent_channels=2, groups=8, seed=9)
    with pytest.warns(UserWarning, match="trained on latents of the autoencoder"):
        usp.sample(sit, other, num=1, steps=2)


def test_guidance_needs_a_trained_null_class(data, vae, run):
    sit = usp.train(data, vae, start=run.model, steps=1, label_dropout=0)
    with pytest.raises(usp.ArgumentError, match="null class was never trained"):
        usp.sample(sit, vae, num=1, steps=2, cfg_scale=2)
    usp.sample(sit, vae, num=1, steps=2, cfg_scale=1)
    trained = usp.train(data, vae, start=run.model, steps=1)
    usp.sample(trained, vae, num=1, steps=2, cfg_scale=2)
    again = usp.train(data, vae, start=sit, steps=1)
    usp.sample(again, vae, num=1, steps=2, cfg_scale=2)


def test_classifiers_and_probes_are_measured(data, vae, run):
    for probe in (False, True):
        done = usp.finetune(data, vae, start=run.model, val=data, steps=3, probe=probe)
        assert isinstance(done.model, usp.ViT) and done.model.class_names == ["sky", "water"]
        assert done.accuracy == done.history[-1]["top1"] and 0 <= done.accuracy <= 1
    alone = usp.finetune(data, vae, steps=1, **SMALL)
    assert alone.accuracy is None and alone.model.config.pool == "avg"


def test_stages_are_for_loops_of_ones_own(data, vae):
    settings = dict(steps=3, batch=5, seed=2, **SMALL, **DECODER)
    stage = usp.Stage("pretrain", data, vae, **settings)
    trainer, batches = stage.trainer, stage.data
    for step in range(3):
        trainer.step(*batches.batch(step))
    whole = usp.pretrain(data, vae, **settings)
    assert stage.model().fingerprint == whole.model.fingerprint


def test_rates_are_settable(data, vae):
    stage = usp.Stage("pretrain", data, vae, steps=9, batch=5, warmup=0, rate=1e-3, **SMALL)
    trainer, batch = stage.trainer, stage.data.batch(0)
    trainer.step(*batch)
    assert trainer.rate == pytest.approx(1e-3)
    trainer.rate = 0.5e-3
    trainer.step(*batch)
    assert trainer.rate == pytest.approx(0.5e-3)
    trainer.rate = None
    trainer.step(*batch)
    assert 0.5e-3 < trainer.rate < 1e-3
    with pytest.raises(usp.ArgumentError, match="rate: -1"):
        trainer.rate = -1


def test_what_cannot_be_trained_is_told(data, vae, run, photos):
    with pytest.raises(usp.ArgumentError, match='unknown stage option "stepps".*mean "steps"'):
        usp.pretrain(data, vae, stepps=3)
    with pytest.raises(usp.ArgumentError, match="10 images, which need an autoencoder"):
        usp.pretrain(data)
    with pytest.raises(usp.ArgumentError, match="start: is a VAE, expected a masked autoencoder"):
        usp.pretrain(data, vae, start=vae, steps=1)
    with pytest.raises(usp.ArgumentError, match="no labels, which a folder with one subfolder"):
        usp.train(usp.Data(photos / "sky", size=16), vae, start=run.model, steps=1)
    with pytest.raises(usp.ArgumentError, match="batch 11: there are 10 samples"):
        usp.pretrain(data, vae, batch=11, steps=1)
    with pytest.raises(FileNotFoundError) as caught:
        usp.pretrain(data, vae, start="no/such.safetensors", steps=1)
    assert caught.value.filename == "no/such.safetensors"


def test_missing_files_are_the_builtin_error(tmp_path):
    for function in (usp.load, usp.Checkpoint.open, usp.images.open, usp.Data):
        with pytest.raises(FileNotFoundError) as caught:
            function(tmp_path / "none.png")
        assert caught.value.filename == str(tmp_path / "none.png") and caught.value.errno == 2
        assert isinstance(caught.value, usp.FileError)
    with pytest.raises(FileNotFoundError) as caught:
        usp.Data(tmp_path, masks=tmp_path / "masks")
    assert caught.value.filename == str(tmp_path / "masks") and caught.value.errno == 2
    with pytest.raises(FileNotFoundError) as caught:
        usp.Checkpoint({"x": np.zeros(1)}).save(tmp_path / "no" / "x.npz")
    assert caught.value.filename == str(tmp_path / "no" / "x.npz")
    (tmp_path / "file").write_text("")
    with pytest.raises(usp.FileError) as caught:
        usp.images.save(tmp_path / "file" / "x.png", np.zeros((2, 2, 3), np.uint8))
    assert caught.value.errno == errno.ENOTDIR and not isinstance(caught.value, FileNotFoundError)


def test_half_precision_inputs_lose_nothing(vae):
    images = np.random.default_rng(0).uniform(-1, 1, (1, 3, 16, 16)).astype(np.float16)
    given = vae.encode(images).mean
    assert np.array_equal(given, vae.encode(images.astype(np.float32)).mean)
    with pytest.raises(usp.DTypeError, match="uint8, expected float32 in -1 … 1: pass usp.images"):
        vae.encode(np.zeros((1, 3, 16, 16), np.uint8))


def test_a_masked_autoregressive_model_of_the_same_pretraining(data, vae):
    own = dict(decoder_width=32, decoder_depth=2, decoder_heads=2)
    pretrained = usp.Stage("pretrain", data, vae, steps=1, **{**SMALL, **own, "patch": 1})
    recipe = usp.recipe("autoregress")
    assert recipe["warmup_epochs"] == 100 and recipe["clip_norm"] == 3 and recipe["blr"] == 1e-4
    stage = usp.Stage(
        "autoregress", data, vae, start=pretrained.trainer.model(), steps=2, batch=4, copies=2,
        heads=2, decoder_heads=2)
    model = stage.trainer.model()
    assert isinstance(model, usp.MAR) and model.config.classes == 2 and model.config.grid == (4, 4)
    name = "decoder_blocks.1.attn.proj.weight"
    assert np.array_equal(
        model.parameters[name], pretrained.trainer.model().parameters[name])
    assert stage.trainer.step(*stage.data.batch(0)) > 0
    samples = stage.trainer.model(averaged=True).sample([0, 1], iterations=2, respacing="2")
    assert samples.shape == (2, 2, 4, 4)
    with pytest.raises(usp.ArgumentError, match="noise_schedule: has no part"):
        usp.Stage("autoregress", data, vae, steps=1, noise_schedule="cosine")
