"""What is looked at while a diffusion transformer is trained: loss on other data, pictures, distance."""

import json

import numpy as np
import pytest

import usp

SIZES = dict(width=16, depth=1, heads=2, batch=4, steps=4, rate=1e-3)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    draw, root = np.random.default_rng(2), tmp_path_factory.mktemp("watch")
    for part in ["train", "val"]:
        for label, name in enumerate(["sky", "water"]):
            folder = root / part / name
            folder.mkdir(parents=True)
            for index in range(6):
                image = draw.integers(0, 80, (16, 16, 3), np.uint8)
                image[..., label] += 150
                usp.images.save(folder / f"{index}.png", image)
    data = usp.Data(root / "train", size=16)
    vae = usp.autoencoder(data, factor=4, steps=1, batch=4, base_width=8)
    classifier = usp.finetune(data, vae, width=16, depth=1, heads=2, batch=4, steps=2).model
    classifier.save(root / "classifier.safetensors")
    return data, usp.Data(root / "val", size=16), vae, root / "classifier.safetensors"


def log(folder):
    with open(folder / "train-log.jsonl", encoding="utf-8") as file:
        return [json.loads(line) for line in file][1:]


def test_losses_pictures_and_distances_change_no_weight(made, tmp_path):
    data, val, vae, judge = made
    plain = usp.train(data, vae, **SIZES)
    model = usp.train(
        data, vae, val=val, sample_every=3, frechet_every=2, frechet_samples=24, sample_steps=3,
        judge=str(judge), log_dir=tmp_path, **SIZES)
    for name, tensor in plain.checkpoint.items():
        np.testing.assert_array_equal(tensor, model.checkpoint[name])
    lines = log(tmp_path)
    assert [line["step"] for line in lines if "frechet" in line] == [2, 4]
    assert [line["step"] for line in lines if "val_loss" in line] == [3, 4]  # 12 images, batches of 4
    assert all(np.isfinite(line.get("frechet", 0)) for line in lines)
    for step in [3, 4]:
        picture = usp.images.open(tmp_path / f"train-samples-{step}.png")
        assert np.asarray(picture).shape == (4 * 17 - 1, 8 * 17 - 1, 3)
    assert not (tmp_path / "train-samples-2.png").exists()


def test_the_loss_on_other_data_is_the_process_own(made, tmp_path):
    data, val, vae, judge = made
    val_path = judge.parent / "val"
    usp.train(data, vae, val=val, log_dir=tmp_path, seed=7, **SIZES)
    model = usp.load(tmp_path / "train.safetensors")
    images, labels = usp.Data(val_path, size=16, augmentation="middle")[0:12]
    inputs = vae.encode(images).mean
    expected = usp.Transport().training_losses(model, inputs, labels, seed=7)["loss"].mean()
    found = [line["val_loss"] for line in log(tmp_path) if "val_loss" in line][-1]
    assert found == pytest.approx(expected, rel=1e-4)


def test_what_is_missing_is_told(made, tmp_path):
    data, _val, vae, judge = made
    with pytest.raises(usp.ArgumentError, match="log_dir"):
        usp.train(data, vae, sample_every=2, **SIZES)
    with pytest.raises(usp.ArgumentError, match="judge"):
        usp.train(data, vae, frechet_every=2, **SIZES)
    with pytest.raises(usp.ArgumentError, match="frechet_every"):
        usp.pretrain(data, vae, frechet_every=2, steps=1, width=16, depth=1, heads=2)
    with pytest.raises(FileNotFoundError):
        usp.train(data, vae, frechet_every=2, judge=str(tmp_path / "none"), **SIZES)
    usp.Checkpoint({
        "latents": usp.random.normal((8, 4, 4, 4)), "labels": np.arange(8) % 2,
    }).save(tmp_path / "latents.npz")
    latents = usp.Data(tmp_path / "latents.npz")
    with pytest.raises(usp.ArgumentError, match="vae"):
        usp.train(latents, sample_every=2, log_dir=tmp_path / "run", **SIZES)
