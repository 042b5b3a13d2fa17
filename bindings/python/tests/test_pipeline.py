"""The pipeline in one call a stage: recipes, names of classes, pictures, curves, errors."""

import errno
import inspect
import json
import logging
import re
import sys
from types import SimpleNamespace

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


def test_without_classes_all_are_of_one(photos, vae, run):
    flat = usp.train(usp.Data(photos / "sky", size=16), vae, start=run.model, steps=1)
    assert flat.class_names == ["image"] and flat.config.classes == 1
    assert len(usp.sample(flat, vae, num=2, steps=2)) == 2


def test_another_autoencoder_warns(data, vae, run):
    sit = usp.train(data, vae, start=run.model, steps=1)
    other = usp.VAE.create(
        base_width=8, multipliers=(1, 2, 4), blocks_per_level=1, latent_channels=2, groups=8, seed=9)
    with pytest.warns(UserWarning, match="trained on latents of the autoencoder"):
        usp.sample(sit, other, num=1, steps=2)
    with pytest.warns(UserWarning, match="was trained on latents of the autoencoder .*, the data's"):
        usp.train(data, other, start=run.model, steps=1)
    scaled = usp.VAE.load(vae.checkpoint, scale=2 * float(np.ravel(vae.scale)[0]))
    assert scaled.fingerprint == vae.fingerprint
    with pytest.warns(UserWarning, match="latents of scale .*, the data's are of scale"):
        usp.finetune(data, scaled, start=run.model, steps=1)
    with pytest.warns(UserWarning, match="latents of scale .*, this autoencoder's are of scale"):
        usp.sample(sit, scaled, num=1, steps=2)


def test_guidance_needs_a_trained_null_class(data, vae, run):
    sit = usp.train(data, vae, start=run.model, steps=1, label_dropout=0)
    with pytest.raises(usp.ArgumentError, match="null class was never trained"):
        usp.sample(sit, vae, num=1, steps=2, cfg_scale=2)
    usp.sample(sit, vae, num=1, steps=2, cfg_scale=1)
    trained = usp.train(data, vae, start=run.model, steps=1)
    usp.sample(trained, vae, num=1, steps=2, cfg_scale=2)
    again = usp.train(data, vae, start=sit, steps=1)
    usp.sample(again, vae, num=1, steps=2, cfg_scale=2)
    weights, _ = usp.transfer(run.model.checkpoint, to="SiT", classes=2)
    moved = usp.SiT.load(weights)
    inputs = usp.random.normal((2, 2, 4, 4), seed=1), np.array([0.5, 0.5], np.float32), [0, 2]
    with pytest.raises(usp.ArgumentError, match="null class was never trained .its labels"):
        moved.forward_with_cfg(*inputs, 2.0)
    moved.forward_with_cfg(*inputs, 1.0)
    usp.SiT.load(weights, null_class=True).forward_with_cfg(*inputs, 2.0)


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
        usp.finetune(usp.Data(photos / "sky", size=16), vae, start=run.model, steps=1)
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


STAGES = [
    (usp.autoencoder, ["autoencoder"]), (usp.pretrain, ["pretrain"]),
    (usp.finetune, ["finetune", "probe", "mae-b"]), (usp.train, ["train", "autoregress"]),
    (usp.segment, ["segment", "segment-linear"])]


def refusal(recipe, name):
    """Why a recipe does not know an option; None if it does."""
    try:
        usp.recipe(recipe, **{name: "?"})
    except usp.ArgumentError as error:
        return str(error) if re.search("unknown stage|has no part|is said", str(error)) else None


@pytest.mark.parametrize("function, recipes", STAGES)
def test_docstrings_offer_what_stages_take(function, recipes):
    """Names in backticks are parameters, settings of the stage, or what the package or a result has."""
    doc = inspect.getdoc(function)
    names = set(re.findall(r"`(\w+)[`=]", doc)) - set(inspect.signature(function).parameters)
    for name in names - set(vars(usp)) - {"notes", "save_every", "log_every", "start"}:
        refusals = [refusal(recipe, name) for recipe in recipes]
        assert not all(refusals), f"{function.__name__}: {refusals}"
    for word in re.findall(r"recipe\(\"(.*?)\"\)", doc):
        assert usp.recipe(word)


def test_settings_that_are_said_elsewhere(data, vae):
    for name, value, where in [
            ("size", 32, r"usp.Data\(size=...\)"), ("cache", "x", r"usp.Data\(cache=...\)"),
            ("transport", usp.Transport(), "path, prediction, loss_weight, times"),
            ("ranks", 2, "usp.Run"), ("head_only", True, "probe=True")]:
        for call in (lambda **said: usp.pretrain(data, vae, steps=1, **said),
                     lambda **said: usp.recipe("train", **said)):
            with pytest.raises(usp.ArgumentError, match=f"^{name}: .*{where}"):
                call(**{name: value})


def test_what_a_stage_returned_is_taken(photos, data, vae, run, tmp_path):
    """A model stands for itself, a Training for its model, a checkpoint and a file for what they hold."""
    given = dict(steps=1, seed=3)
    sit = usp.train(data, vae, start=run.model, **given)
    vae.save(tmp_path / "vae.safetensors")
    for start in (run, run.model.checkpoint, f"{run.log_dir}/pretrain.safetensors"):
        again = usp.train(data, tmp_path / "vae.safetensors", start=start, **given)
        assert again.fingerprint == sit.fingerprint and again.autoencoder == vae.fingerprint
    classifier = usp.finetune(data, vae, start=run, steps=1)
    measured = dict(frechet_every=1, frechet_samples=4, sample_steps=2, log_every=1, **given)
    lines = []
    usp.train(data, vae, start=run, judge=classifier, callbacks=lines.append, **measured)
    classifier.model.save(tmp_path / "judge.safetensors")
    usp.train(data, vae, start=run, judge=tmp_path / "judge.safetensors", callbacks=lines.append, **measured)
    one, other = (line["frechet"] for line in lines if "frechet" in line)
    assert one == other
    plan = usp.transfer_plan(run, to="SiT", classes=2)
    assert str(plan.report) == str(usp.transfer_plan(run.model, to="SiT", classes=2).report)
    by_training = usp.robustness({"a": classifier}, data, tmp_path / "vae.safetensors", shares="0.5")
    assert by_training.numbers == usp.robustness({"a": classifier.model}, data, vae, shares="0.5").numbers
    assert np.array_equal(
        usp.sample(sit, tmp_path / "vae.safetensors", num=2, steps=2),
        usp.sample(sit, vae, num=2, steps=2))
    assert usp.Data(photos, size=16, vae=tmp_path / "vae.safetensors").shape == (2, 4, 4)


@pytest.mark.parametrize("call, message", [
    (lambda g: usp.pretrain(g.data, g.vae, start=3), "start: int, expected a usp.Model, or its file"),
    (lambda g: usp.pretrain(g.data, g.vae, start=usp.Stage), "start: "),
    (lambda g: usp.pretrain(g.data, 3), "vae: int, expected a usp.VAE, or its file"),
    (lambda g: usp.pretrain(g.data, g.run), "vae: MaskedAutoencoder, expected a usp.VAE"),
    (lambda g: usp.pretrain("photos", g.vae), "data: str, expected a usp.Data"),
    (lambda g: usp.finetune(g.data, g.vae, val="photos", steps=1), "val: str, expected a usp.Data"),
    (lambda g: usp.train(g.data, g.vae, judge=3), "judge: int, expected a usp.Model, or its file"),
    (lambda g: usp.pretrain(g.data, g.vae, width=object()), "width: object, expected a number"),
    (lambda g: usp.pretrain(g.data, g.vae, log_dir=3), "log_dir: int, expected a folder's path"),
    (lambda g: usp.pretrain(g.data, g.vae, callbacks=3), "callbacks: int, expected a function, or"),
    (lambda g: usp.pretrain(g.data, g.vae, progress=3), "progress: int, expected a function, True"),
    (lambda g: usp.pretrain(g.data, g.vae, seed="x"), "seed: 'x', expected a whole number, or None"),
    (lambda g: usp.Stage(3, g.data), "recipe: int, expected a text"),
    (lambda g: usp.Stage("pretrain", 3), "data: int, expected a usp.Data"),
    (lambda g: usp.Trainer("mae"), "model: str, expected a usp.Model"),
    (lambda g: usp.Run(1, g.data, "x"), "trainer: int, expected a usp.Trainer"),
    (lambda g: usp.Data(3), "path: int, expected a folder or a file"),
    (lambda g: usp.Data("photos", teacher=3), "teacher: int, expected a usp.Model, or its file"),
    (lambda g: usp.load(g.run), "source: Training, expected a file, a usp.Checkpoint"),
    (lambda g: usp.Checkpoint(3), "arrays: int, expected arrays by name"),
    (lambda g: usp.Checkpoint.open(3), "path: int, expected a file or folder"),
    (lambda g: usp.transfer(3, to="SiT"), "source: int, expected a model, a file"),
    (lambda g: usp.transfer(g.run, to=3), "to: int, expected a family or a published name"),
    (lambda g: usp.images.open(3), "path: int, expected a file's path"),
    (lambda g: usp.sample(g.run, g.vae), "model: MaskedAutoencoder, expected a usp.DiT or usp.MAR"),
    (lambda g: usp.robustness(3, g.data), "models: int, expected a usp.ViT, or several by name"),
    (lambda g: usp.study(g.data, "out"), "source: Data, expected a folder of images"),
    (lambda g: usp.study("photos", 3), "out: int, expected a folder's path"),
    (lambda g: usp.study("photos", "out", vae=3), "vae: int, expected a usp.Model, or its file"),
    (lambda g: usp.study("photos", "out", progress="yes"), "progress: str, expected a function, True"),
    (lambda g: usp.Transport().draw_times(-1), "count: -1, expected a whole number of 0 or more"),
    (lambda g: usp.Transport().draw_times(1.5), "count: 1.5, expected a whole number"),
    (lambda g: usp.random.normal((2, -1)), r"shape: \(2, -1\): negative dimensions"),
])
def test_arguments_of_another_kind(data, vae, run, call, message):
    with pytest.raises(usp.ArgumentError, match=f"^{message}"):
        call(SimpleNamespace(data=data, vae=vae, run=run))


def test_drawn_seeds_are_told(data, vae, caplog):
    given = dict(steps=1, **SMALL, **DECODER)
    with caplog.at_level(logging.INFO, "usp"):
        drawn = usp.pretrain(data, vae, seed=None, **given)
    (seed,) = re.findall(r"pretrain: seed (\d+), drawn", caplog.text)
    assert usp.pretrain(data, vae, seed=int(seed), **given).model.fingerprint == drawn.model.fingerprint
    one, other = (usp.Stage("pretrain", data, vae, seed=None, **given).model() for _ in range(2))
    assert one.fingerprint != other.fingerprint


def test_pictures_of_numbers_of_samples(data, vae, run):
    sit = usp.train(data, vae, start=run, steps=1)
    for said, message in [
            (dict(num=-1), "num: -1, expected a whole number of 1 or more"),
            (dict(num=2.5), "num: 2.5, expected a whole number"),
            (dict(classes=1.5), "classes: 1.5, expected a whole number"),
            (dict(classes=[]), "classes: none, expected one or more"),
            (dict(batch=0), "batch: 0, expected a whole number of 1 or more")]:
        with pytest.raises(usp.ArgumentError, match=f"^{message}"):
            usp.sample(sit, vae, **said)


def test_blocks_of_a_fresh_model_are_settings_of_each_stage(data, vae, run):
    blocks = dict(rms_norm=True, swiglu=True, rope=True)
    pretrained = usp.pretrain(data, vae, steps=2, **SMALL, **DECODER, **blocks).model
    assert pretrained.config.swiglu and pretrained.config.rope
    settings = dict(steps=2, batch=4, times="lognormal", cosine_loss=True)
    model = usp.train(data, vae, start=pretrained, family="LightningDiT", **settings)
    assert isinstance(model, usp.LightningDiT)
    with pytest.raises(usp.ArgumentError, match="swiglu: of a fresh model, but the start has its own"):
        usp.train(data, vae, start=run.model, steps=2, swiglu=True)
    with pytest.raises(usp.ArgumentError, match="times: has no part in a DiT"):
        usp.train(data, vae, family="DiT", steps=2, times="lognormal", **SMALL)


@pytest.mark.parametrize("recipe, start, said", [
    ("autoencoder", "vae", {}), ("pretrain", None, dict(SMALL, **DECODER)), ("finetune", "mae", {}),
    ("mae-b", "mae", {}), ("probe", "mae", {}), ("train", "mae", {}),
    ("train", "mae", dict(rate=3e-4, average_decay=0.5, label_dropout=0.0)),
    ("pretrain", None, dict(SMALL, **DECODER, weight_decay=0.0, warmup=1)),
    ("autoregress", "mae", dict(warmup=2, copies=2))])
def test_trainers_by_recipe_are_those_of_stages(data, vae, run, recipe, start, said):
    """The same losses, rates and bits; what is said goes first, a general default too."""
    if recipe == "autoencoder":
        said, vae = dict(said, factor=4), None
    stage = usp.Stage(
        recipe, data, vae, start={"vae": vae, "mae": run, None: None}[start], steps=5, batch=4,
        seed=2, rand_augment=None, mixup=0.0, cutmix=0.0, **said)
    options = {name: value for name, value in said.items()
               if name in inspect.signature(usp.Trainer).parameters}
    theirs, batches = stage.trainer, stage.data
    ours = usp.Trainer(theirs.model(), recipe=recipe, steps=5, batch=4, seed=2, **options)
    for step in range(5):
        assert ours.rate == theirs.rate
        batch = batches.batch(step)
        assert ours.step(*batch) == theirs.step(*batch)
    assert ours.model().fingerprint == theirs.model().fingerprint
    averaged = recipe in ("train", "autoregress")
    assert ours.model(averaged).fingerprint == theirs.model(averaged).fingerprint


def test_recipes_of_trainers_that_do_not_tell_all(run):
    model = run.model
    with pytest.raises(usp.ArgumentError, match="^steps: the rate of the recipe pretrain changes"):
        usp.Trainer(model, recipe="pretrain")
    with pytest.raises(usp.ArgumentError, match="^batch: has no part without a recipe"):
        usp.Trainer(model, batch=3)
    with pytest.raises(usp.ArgumentError, match='unknown recipe "pretrian"'):
        usp.Trainer(model, recipe="pretrian", steps=1)
    with pytest.raises(usp.ArgumentError, match="^recipe: int, expected the name of one"):
        usp.Trainer(model, recipe=3, steps=1)
    mar = usp.MAR.create(
        grid=2, channels=2, width=16, depth=1, heads=2, buffer=2, classes=2, head_width=16, head_depth=1)
    with pytest.raises(usp.ArgumentError, match="^warmup: 100 epochs by the recipe autoregress; give its steps"):
        usp.Trainer(mar, recipe="autoregress")
    assert usp.Trainer(model, recipe="pretrain", steps=9, rate=None, batch=128, warmup=0).rate == np.float32(
        np.float32(1.5e-4) * np.float32(128) / np.float32(256))


def test_rates_before_the_first_step(data, vae, run, tmp_path):
    trainer = usp.Trainer(run.model, rate=1e-3, steps=4)
    assert trainer.rate == pytest.approx(1e-3)
    trainer.rate = 5e-4
    assert trainer.rate == pytest.approx(5e-4)
    trainer.rate = None
    assert trainer.rate == pytest.approx(1e-3)
    latents = usp.random.normal((2, 2, 4, 4))
    for _ in range(2):
        trainer.step(latents)
    trainer.save(tmp_path / "state.safetensors")
    trainer.step(latents)
    again = usp.Trainer(run.model, rate=1e-3, steps=4)
    again.restore(tmp_path / "state.safetensors")
    assert again.rate == trainer.rate < 1e-3
    assert usp.Trainer(run.model, rate=1e-3, warmup=2).rate == 0


def test_progress_shows_itself_without_tqdm(data, vae, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    usp.pretrain(data, vae, steps=3, progress=True, **SMALL, **DECODER)
    lines = capsys.readouterr().err.replace("\r", "\n").split("\n")
    assert any(line.startswith("pretrain: 3 of 3, ") for line in lines)


def test_what_objects_say_of_themselves(data, vae, run, tmp_path):
    trainer = usp.Trainer(run.model, rate=1e-3)
    assert repr(trainer) == "<usp.Trainer: 0 steps, rate 0.001>"
    latents = usp.Data(data_file(tmp_path), batch=2)
    assert repr(usp.Run(trainer, latents, tmp_path / "m.safetensors", steps=3)).endswith("0 of 3 steps>")
    assert repr(run.plot("loss", "rate")) == '<usp.Plot: loss, rate; .save("curves.svg") writes it>'
    stage = usp.Stage("pretrain", data, vae, steps=1, **SMALL)
    assert repr(stage) == "<usp.Stage>"
    stage.close()
    assert repr(stage) == "<usp.Stage: closed>"


def data_file(folder):
    usp.Checkpoint({"latents": usp.random.normal((4, 2, 4, 4))}).save(folder / "latents.npz")
    return folder / "latents.npz"
