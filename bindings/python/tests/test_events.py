"""Event files of runs, as TensorBoard's own reader sees them."""

import numpy as np
import pytest

import usp

accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard is not installed")


def run(folder, steps, log_dir, **options):
    model = usp.ViT.create(grid=4, width=32, depth=1, heads=2, classes=5, seed=1)
    data = usp.Data(folder / "latents.npz", batch=4)
    return usp.Run(
        usp.Trainer(model, rate=1e-3), data, folder / "vit.safetensors", steps=steps, log_every=1,
        log_dir=log_dir, **options)


def read(folder):
    events = accumulator.EventAccumulator(str(folder))
    events.Reload()
    return events


def test_tensorboard_reads_the_log(tmp_path):
    usp.Checkpoint({
        "latents": usp.random.normal((8, 4, 8, 8), 1), "labels": np.arange(8) % 5,
    }).save(tmp_path / "latents.npz")
    folder = tmp_path / "a" / "events"
    lines = run(tmp_path, 5, folder).train(evaluate=lambda _: {"top1": 0.25})
    losses = [line for line in lines if "loss" in line]
    events = read(folder)
    assert set(events.Tags()["scalars"]) == {
        "epoch", "loss", "rate", "images_per_second", "seconds", "top1"}
    for name in ("loss", "rate"):
        told = events.Scalars(name)
        assert [event.step for event in told] == [1, 2, 3, 4, 5]
        assert [event.value for event in told] == [np.float32(line[name]) for line in losses]
    assert [(event.step, event.value) for event in events.Scalars("top1")] == [
        (2, 0.25), (4, 0.25), (5, 0.25)]
    # A run that goes on writes a file of its own; what was behind the saved step is not shown twice.
    more = run(tmp_path, 8, folder)
    assert more.resumed == 5
    more.train()
    assert len(list(folder.iterdir())) == 2
    assert [event.step for event in read(folder).Scalars("loss")] == list(range(1, 9))


def test_tensorboard_shows_pictures(tmp_path):
    draw = np.random.default_rng(2)
    for label in ("sky", "water"):
        (tmp_path / "images" / label).mkdir(parents=True)
        for index in range(10):
            usp.images.save(
                tmp_path / "images" / label / f"{index}.png",
                draw.integers(0, 255, (16, 16, 3), np.uint8))
    data = usp.Data(tmp_path / "images", size=16)
    vae = usp.autoencoder(
        data, factor=4, steps=4, batch=4, base_width=8, log_dir=tmp_path / "vae")
    events = read(tmp_path / "vae")
    assert events.Tags()["images"] == ["reconstructions"]
    shown = events.Images("reconstructions")[-1]
    held = 1  # 0.05 of 20
    assert (shown.step, shown.width, shown.height) == (4, held * 17 - 1, 2 * 17 - 1)

    usp.train(
        data, vae, width=16, depth=1, heads=2, batch=4, steps=4, rate=1e-3, sample_every=2, sample_steps=3,
        log_dir=tmp_path / "run")
    events = read(tmp_path / "run")
    assert events.Tags()["images"] == ["samples"]
    told = events.Images("samples")
    assert [event.step for event in told] == [2, 4]
    for event in told:
        (tmp_path / "shown.png").write_bytes(event.encoded_image_string)
        np.testing.assert_array_equal(
            np.asarray(usp.images.open(tmp_path / "shown.png")),
            np.asarray(usp.images.open(tmp_path / "run" / f"train-samples-{event.step}.png")))
    assert {event.step for event in events.Scalars("loss")} == {4}


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    usp.Checkpoint({
        "latents": usp.random.normal((8, 4, 8, 8), 1), "labels": np.arange(8) % 5,
    }).save(tmp_path / "latents.npz")
    (tmp_path / "file").write_text("")
    with pytest.raises(usp.FileError, match="file/below: cannot make the folder"):
        run(tmp_path, 2, tmp_path / "file" / "below").train()
