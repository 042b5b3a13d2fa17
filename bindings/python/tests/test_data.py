"""Data sets and runs: folders of images, caches, order, ranks; the tool's bytes from Python."""

import json
import os
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest

import usp

TOOL = Path(os.environ.get("USP_LIBRARY", "")).parent / "usp-cli"


def autoencoder():
    return usp.VAE.create(base_width=8, multipliers=(1, 2, 2), groups=4, seed=5)


def test_folders_are_data(photos):
    data = usp.Data(photos, size=16, batch=4, augmentation="middle", order="sequential")
    assert len(data) == 6 and data.classes == ["cat", "dog"] and data.shape == (3, 16, 16)
    assert data.steps_per_epoch == 1 and data.batch_size == 4 and "6 of [3, 16, 16]" in repr(data)
    images, labels = data.batch(3)
    assert images.shape == (4, 3, 16, 16) and list(labels) == [0, 0, 0, 0]
    assert -1 <= images.min() < images.max() <= 1
    image, label = data[-1]
    assert label == 1 and np.array_equal(image, data[4:][0][1])
    with pytest.raises(IndexError):
        data[6]
    plain = usp.Data(photos / "cat", size=8, batch=2, channels=1)
    assert plain.classes == [] and plain.batch(0)[1] is None and plain[0][0].shape == (1, 8, 8)
    red, green, blue = usp.Data(photos / "cat", size=8, augmentation="middle")[0][0]
    grey = usp.Data(photos / "cat", size=8, augmentation="middle", channels=1)[0][0][0]
    np.testing.assert_allclose(grey, 0.299 * red + 0.587 * green + 0.114 * blue, atol=0.02)


def test_latents_come_from_a_cache_as_from_the_images(photos, tmp_path):
    vae, told = autoencoder(), []
    options = dict(vae=vae, size=16, batch=3, sample_posterior=True, seed=3)
    made = usp.Data(photos, **options)
    kept = usp.Data(photos, cache=tmp_path / "c.safetensors", progress=told.append, **options)
    assert made.shape == kept.shape == (4, 4, 4)
    assert told[-1].step == told[-1].steps == 6 and told[-1].stage == "encode"
    for step in (0, 1, 5):
        (a, x), (b, y) = made.batch(step), kept.batch(step)
        assert np.array_equal(x, y)
        np.testing.assert_allclose(a, b, atol=1e-5)
    alone = usp.Data(tmp_path / "c.safetensors", batch=3, sample_posterior=True, seed=3)
    assert alone.classes == ["cat", "dog"] and np.array_equal(alone.batch(5)[0], b)
    with pytest.raises(usp.Cancelled):
        usp.Data(photos, vae=vae, size=8, cache=tmp_path / "d", progress=lambda _: False)
    assert not (tmp_path / "d").exists()


def test_caches_and_runs_know_their_images(photos, tmp_path):
    vae, cache, out = autoencoder(), tmp_path / "c.safetensors", tmp_path / "m.safetensors"
    usp.Data(photos, vae=vae, size=16, cache=cache)
    data, trainer = pretraining(photos, vae)
    usp.Run(trainer, data, out, steps=1).train()
    for image in photos.glob("*/*.png"):
        image.write_bytes(next(photos.glob("cat/*.png")).read_bytes())
    with pytest.raises(usp.FormatError, match="more have changed; remove it to encode anew"):
        usp.Data(photos, vae=vae, size=16, cache=cache)
    data, trainer = pretraining(photos, vae)
    with pytest.raises(usp.ArgumentError, match="an earlier run saw other images: in .* changed"):
        usp.Run(trainer, data, out, steps=1)


def test_another_image_takes_the_place_of_one_that_cannot_be_read(photos):
    broken = sorted(photos.glob("cat/*.png"))[1]
    broken.write_bytes(broken.read_bytes()[:50])
    (photos / "readme.txt").write_text("no image")
    with pytest.raises(usp.FormatError, match=f"{broken.name}: .*with skip_unreadable another"):
        usp.Data(photos, size=8)[1]
    data = usp.Data(photos, size=8, skip_unreadable=True)
    assert data.remarks == ["left out 1 (readme.txt): beside the folders of the classes"]
    assert np.array_equal(data[1][0], data[2][0])
    assert len(data.remarks) == 2 and broken.name in data.remarks[1]


def test_runs_save_when_asked_and_refuse_each_other(photos, tmp_path):
    data, trainer = pretraining(photos, autoencoder())
    run = usp.Run(trainer, data, tmp_path / "m.safetensors", steps=4)
    with pytest.raises(usp.FileError, match="written by another run of this process"):
        usp.Run(pretraining(photos, autoencoder())[1], data, tmp_path / "m.pt", steps=4)
    seen = []

    def told(progress):
        seen.append((tmp_path / "m-state.safetensors").exists())
        if progress.step == 2:
            run.save()

    run.train(progress=told)
    assert seen == [False, False, True, True] and not (tmp_path / "m-run.lock").exists()
    assert usp.Run(pretraining(photos, autoencoder())[1], data, tmp_path / "m.safetensors",
                   steps=4).resumed == 4


def test_ranks_share_batches(photos):
    whole = usp.Data(photos, size=8, batch=4)
    shares = [
        usp.Data(photos, size=8, batch=4, ranks=usp.Ranks(rank, 2, lambda _: None))
        for rank in range(2)]
    for step in range(3):
        parts = [share.batch(step) for share in shares]
        assert np.array_equal(np.concatenate([x for x, _ in parts]), whole.batch(step)[0])


def test_augmentation_has_fields(photos):
    options = dict(size=8, batch=6, order="sequential")
    still = usp.Data(photos, augmentation="middle", **options).batch(0)[0]
    turned = usp.Data(photos, augmentation="middle", mirror=1.0, **options).batch(0)[0]
    assert np.array_equal(turned[..., ::-1], still)
    small = usp.Data(photos, augmentation="pretraining", crop_area=(0.05, 0.1), **options)
    usual = usp.Data(photos, augmentation="pretraining", **options)
    assert not np.array_equal(small.batch(0)[0], usual.batch(0)[0])
    for wrong, words in (
        (dict(augmentation="pretrainin"), "did you mean"), (dict(crop_area=(1, 0.1)), "smaller"),
        (dict(mirror=1.5), "mirror: 1.5"), (dict(batch=0), "batch: 0"),
        (dict(size=0), "size: 0"), (dict(channels=2), "channels: 2"),
    ):
        with pytest.raises(usp.ArgumentError, match=words):
            usp.Data(photos, **{**options, "augmentation": "pretraining", **wrong})
    with pytest.raises(usp.ArgumentError, match="batch: there are 6 samples, fewer than a step has"):
        usp.Data(photos, size=8, batch=7).batch(0)
    with pytest.raises(usp.FileError):
        usp.Data(photos / "nowhere")


def pretraining(photos, vae, seed=2, ranks=None):
    """A trainer and its data, by the tool's recipe for 12 steps of 4."""
    data = usp.Data(
        photos, vae=vae, size=16, batch=4, augmentation="pretraining", seed=seed, ranks=ranks)
    model = usp.MaskedAutoencoder.create(
        grid=2, patch=2, width=32, depth=2, heads=2, decoder_width=16, decoder_depth=1,
        decoder_heads=2, seed=seed)
    rate = float(np.float32(1.5e-4) * np.float32(4) / np.float32(256))
    return data, usp.Trainer(
        model, rate=rate, warmup=0, steps=12, weight_decay=0.05, beta1=0.9, beta2=0.95, seed=seed)


def tool(photos, vae, out, *more):
    command = [
        TOOL, "pretrain", photos, "--vae", vae, "-o", out, "--size", 16, "--batch", 4, "--seed", 2,
        "--steps", 12, "--patch", 2, "--width", 32, "--depth", 2, "--heads", 2, "--decoder-width", 16,
        "--decoder-depth", 1, "--decoder-heads", 2, *more]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not TOOL.exists(), reason="no usp-cli beside the library")
def test_a_loop_trains_as_the_tool_does(photos, tmp_path):
    vae = autoencoder()
    vae.save(tmp_path / "vae.safetensors")
    tool(photos, tmp_path / "vae.safetensors", tmp_path / "tool.safetensors")
    data, trainer = pretraining(photos, vae)
    for step in range(12):
        trainer.step(*data.batch(step))
    trainer.model().save(tmp_path / "loop.safetensors")
    data, trainer = pretraining(photos, vae)
    usp.Run(trainer, data, tmp_path / "run.safetensors", steps=12).train()
    expected = (tmp_path / "tool.safetensors").read_bytes()
    # A loop of one's own does not tell the trainer whose latents they are; the tool does.
    told, loop = (usp.Checkpoint.open(tmp_path / f"{name}.safetensors") for name in ("tool", "loop"))
    assert told.metadata["usp.autoencoder"] == vae.fingerprint and "usp.autoencoder" not in loop.metadata
    assert list(told) == list(loop) and all(np.array_equal(told[name], loop[name]) for name in told)
    assert (tmp_path / "run.safetensors").read_bytes() == expected
    # and the tool goes on where a run of Python was stopped
    again = [json.loads(line) for line in (tmp_path / "tool-log.jsonl").read_text().splitlines()]
    assert again[0]["command"] == "pretrain" and again[-1]["step"] == 12


def test_runs_resume_to_the_bit(photos, tmp_path):
    vae = autoencoder()
    out, metrics = tmp_path / "m.safetensors", []

    def evaluate(trainer):
        metrics.append(trainer.steps)
        return {"size": trainer.model().size}

    def start(**options):
        data, trainer = pretraining(photos, vae)
        return usp.Run(trainer, data, out, steps=12, log_every=5, **options)

    lines = start().train(evaluate=evaluate)
    whole = out.read_bytes()
    assert metrics == list(range(1, 13)) and lines[-1]["size"] > 0
    assert [line["step"] for line in lines if "loss" in line] == [5, 10, 12]
    cut, seen = start(restart=True), []

    def stop(progress):
        seen.append(progress.loss)
        return progress.step < 7

    with pytest.raises(usp.Cancelled):
        cut.train(progress=stop)
    assert len(seen) == 7 and out.read_bytes() != whole
    again = start()
    assert again.resumed == 7 and again.steps == 12
    again.train()
    assert out.read_bytes() == whole
    data, trainer = pretraining(photos, vae, seed=3)
    with pytest.raises(usp.ArgumentError, match="earlier run with model"):
        usp.Run(trainer, data, out, steps=12)
    with pytest.raises(usp.ArgumentError, match="steps, epochs: one of them"):
        usp.Run(trainer, data, out)
    with pytest.raises(usp.ArgumentError, match="is written as .safetensors"):
        usp.Run(trainer, data, tmp_path / "m.npz", steps=1)
    with pytest.raises(ZeroDivisionError):
        usp.Run(trainer, data, tmp_path / "n.pt", epochs=1).train(evaluate=lambda _: 1 / 0)


def test_a_run_is_cancelled_from_another_thread(photos, tmp_path):
    data, trainer = pretraining(photos, autoencoder())
    run = usp.Run(trainer, data, tmp_path / "m.safetensors", steps=10**6)
    timer = threading.Timer(0.3, run.cancel)
    timer.start()
    with pytest.raises(usp.Cancelled, match="the same command goes on"):
        run.train()
    assert (tmp_path / "m-state.safetensors").exists() and 0 < trainer.steps < 10**6


def test_only_rank_0_writes(photos, tmp_path):
    vae = autoencoder()
    model = usp.ViT.create(grid=2, width=16, depth=1, heads=2, classes=2, seed=1)

    def double(slab):
        slab *= 2

    for rank in (1, 0):
        ranks = usp.Ranks(rank, 2, double)
        data, _ = pretraining(photos, vae, ranks=ranks)
        trainer = usp.Trainer(model, ranks=ranks)
        usp.Run(trainer, data, tmp_path / "m.safetensors", steps=2).train()
        assert (tmp_path / "m.safetensors").exists() == (rank == 0)
