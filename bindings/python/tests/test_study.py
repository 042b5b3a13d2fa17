"""Studies: settings by name, one that is stopped, goes on, and is read; what is refused."""

import logging
import os
import re

import numpy as np
import pytest

import usp

SMALL = dict(
    seeds=1, size=16, held_out=0.25, base_width=8, autoencoder_steps=2, autoencoder_batch=4,
    judge_steps=2, judge_batch=4, patch=1, width=16, depth=1, heads=2, decoder_width=16,
    decoder_depth=1, decoder_heads=2, dtype="f32", pretrain_steps=2, pretrain_batch=8,
    supervised_steps=0, train_steps=2, train_batch=8, evaluate_every=2, samples=66, evaluations=2,
    probe_steps=2, probe_batch=8, finetune_steps=2, finetune_batch=8, few_labels=2,
    few_labels_steps=2, mar_steps=2, mar_samples=66, mar_iterations=2, mar_head_width=16,
    mar_head_depth=1, mar_control_steps=1)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    draw, folder = np.random.default_rng(1), tmp_path_factory.mktemp("study") / "photos"
    for label, name in enumerate(["sky", "water"]):
        (folder / name).mkdir(parents=True)
        for index in range(10):
            image = draw.integers(0, 80, (18, 20, 3), np.uint8)
            image[..., label] += 150
            usp.images.save(folder / name / f"{index}.png", image)
    return folder


def test_settings_are_those_of_the_source(photos):
    settings = usp.study_settings("fashion-mnist", seeds=2)
    assert settings["channels"] == 1 and settings["size"] == 32 and settings["seeds"] == 2
    assert usp.study_settings(photos)["crops"] == 1
    assert usp.study_settings("colour", length="quick")["crops"] > 1
    with pytest.raises(usp.ArgumentError, match="pretrain_steps"):
        usp.study_settings(photos, pretrain_step=3)
    with pytest.raises(usp.ArgumentError, match="quick"):
        usp.study_settings(photos, length="quik")


def test_a_study_that_is_stopped_goes_on(photos, tmp_path):
    stages = []

    def stop(progress):
        stages.append(progress.stage)
        return not progress.stage.endswith("masked pretraining")

    with pytest.raises(usp.Cancelled):
        usp.study(photos, tmp_path / "out", progress=stop, **SMALL)
    assert any("autoencoder" in stage for stage in stages)
    del stages[:]
    result = usp.study(
        photos, tmp_path / "out", progress=lambda told: stages.append(told.stage), **SMALL)
    assert not any(stage.endswith(" autoencoder") for stage in stages)
    assert os.path.exists(result.page) and "index.html" in repr(result)
    generation = result.metrics["generation"]
    assert generation["steps"] == [2] and np.isfinite(generation["usp_frechet"]).all()
    assert 0 <= result.metrics["probe"]["usp_top1"] <= 1
    model = usp.load(tmp_path / "out" / "sit_usp.safetensors")
    assert model.config.classes == 2 and model.class_names == ["sky", "water"]
    tokens = result.metrics["autoregression"]
    assert tokens["random_frechet_steps"] == [1, 2, 3] and tokens["both_frechet_steps"] == [1, 2]
    assert 0 <= tokens["decoder_accuracy"][-1] <= 1
    assert isinstance(usp.load(tmp_path / "out" / "mar_both.safetensors"), usp.MAR)


def test_ablations_that_are_none_are_refused(photos, tmp_path):
    with pytest.raises(usp.ArgumentError, match="mask-ratio"):
        usp.study(photos, tmp_path / "out", ablate="mask-ration")
    with pytest.raises(usp.ArgumentError, match="pretrain_size 20"):
        usp.study(photos, tmp_path / "out", pretrain_size=20)
    with pytest.raises(usp.ArgumentError, match="nothing"):
        usp.study(tmp_path / "nothing", tmp_path / "out")


def test_combinations_have_their_controls(photos, tmp_path):
    """Alignment with the run's own encoder, and LightningDiT's blocks, each from USP and from scratch."""
    out = tmp_path / "out"
    settings = dict(SMALL, width=32, heads=2, parts="combinations")
    result = usp.study(photos, out, **settings)
    for name in ("aligned", "lightning"):
        numbers = result.metrics["combinations"][name]
        assert numbers["usp_frechet_steps"] == numbers["scratch_frechet_steps"] == [2]
        assert np.isfinite(numbers["usp_frechet"] + numbers["scratch_frechet"]).all()
    folder = out / "combinations"
    aligned = usp.load(folder / "aligned" / "sit_usp.safetensors")
    assert type(aligned) is usp.SiT and aligned.config.projections == (32,)
    lightning = usp.load(folder / "lightning" / "sit_scratch.safetensors")
    assert isinstance(lightning, usp.LightningDiT) and lightning.config.swiglu
    with open(result.page) as page:
        assert "With what USP adds up" in page.read()


def test_models_are_taken_and_seeds_drawn(photos, tmp_path, caplog):
    """A model in place of the file of an autoencoder; seed=None draws one, which is told."""
    vae = usp.VAE.create(
        base_width=8, multipliers=(1, 2, 4), blocks_per_level=1, latent_channels=2, groups=4)
    given = {name: value for name, value in SMALL.items()
             if name not in ("base_width", "autoencoder_steps", "autoencoder_batch")}
    given["parts"], stages, out = "generation", [], tmp_path / "out"
    with caplog.at_level(logging.INFO, "usp"):
        result = usp.study(photos, out, vae=vae, seed=None, **given)
    (seed,) = re.findall(r"study: seed (\d+), drawn", caplog.text)
    assert f"seed={seed} " in result.metrics["settings"]
    assert usp.load(out / "autoencoder.safetensors").fingerprint == vae.fingerprint
    again = usp.study(
        photos, out, vae=vae, seed=int(seed), progress=lambda told: stages.append(told.stage), **given)
    assert again.metrics["generation"] == result.metrics["generation"] and not stages
    drawn = [usp.study_settings(photos, seed=None)["seed"] for _ in range(2)]
    assert drawn[0] != drawn[1]
