"""Images with masks as data, and the recipes that learn them."""

import struct
import zlib

import numpy as np
import pytest

import usp


def write_png(path, array, palette=None):
    """An 8-bit PNG: grey, indices of a palette, or RGB."""
    colour = 2 if array.ndim == 3 else 0 if palette is None else 3

    def chunk(kind, body):
        data = kind + body
        return struct.pack(">I", len(body)) + data + struct.pack(">I", zlib.crc32(data))
    rows = b"".join(b"\0" + row.tobytes() for row in array)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", array.shape[1], array.shape[0], 8, colour, 0, 0, 0))
        + (b"" if palette is None else chunk(b"PLTE", palette))
        + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def scenes(folder, count=6, side=24):
    """Images whose pixels tell their class, and masks that alternate between grey and a palette."""
    generator = np.random.default_rng(3)
    for name in ("images", "masks"):
        (folder / name / "part").mkdir(parents=True)
    for index in range(count):
        mask = np.zeros((side, side + 8), np.uint8)
        top, left = generator.integers(0, side // 2, 2)
        mask[top:top + side // 2, left:left + side // 2] = 1
        image = np.where(mask[..., None] == 1, 230, 20).astype(np.uint8).repeat(3, -1)
        mask[:2] = 255
        write_png(folder / "images" / "part" / f"{index}.png", image)
        palette = bytes(range(6)) if index % 2 and mask.max() < 2 else (
            bytes(768) if index % 2 else None)
        write_png(folder / "masks" / "part" / f"{index}.png", mask, palette)
    return str(folder / "images"), str(folder / "masks")


SIZES = dict(patch=4, width=16, depth=2, heads=2, batch=3)


def test_data_with_masks(tmp_path):
    images, masks = scenes(tmp_path)
    data = usp.Data(images, masks=masks, size=16, batch=3, seed=1)
    assert len(data) == 6 and data.shape == (3, 16, 16)
    inputs, labels = data.batch(0)
    assert inputs.shape == (3, 3, 16, 16) and labels.shape == (3, 16, 16)
    assert labels.dtype == np.uint8 and set(np.unique(labels)) <= {0, 1, 255}
    again = usp.Data(images, masks=masks, size=16, batch=3, seed=1).batch(0)
    assert np.array_equal(again[0], inputs) and np.array_equal(again[1], labels)
    still = usp.Data(images, masks=masks, size=16, augmentation="middle")[0]
    assert np.array_equal(still[1] == 1, still[0][0] > 0) or (still[1] == 255).any()
    reduced = usp.Data(
        images, masks=masks, size=16, augmentation="middle", reduce_zero_label=True)[0][1]
    assert set(np.unique(reduced)) <= {0, 255}


def test_pairs_are_whole(tmp_path):
    images, masks = scenes(tmp_path)
    (tmp_path / "masks" / "part" / "0.png").unlink()
    with pytest.raises(usp.FormatError, match="images without a mask"):
        usp.Data(images, masks=masks)
    write_png(tmp_path / "masks" / "part" / "0.png", np.zeros((24, 32, 3), np.uint8))
    with pytest.raises(usp.UnsupportedError, match="expected indices of classes"):
        usp.Data(images, masks=masks, size=16, batch=6).batch(0)


@pytest.mark.parametrize("head", ["upernet", "linear"])
def test_segment(tmp_path, head):
    images, masks = scenes(tmp_path)
    data, val = (usp.Data(images, masks=masks, size=16) for _ in range(2))
    done = usp.segment(
        data, classes=2, head=head, val=val, steps=30, rate=2e-2, model="Segmenter-B/2", seed=1,
        **SIZES)
    assert isinstance(done.model, usp.Segmenter) and done.model.config.head == head
    losses = [line["loss"] for line in done.history if "loss" in line]
    assert losses[-1] < losses[0]
    assert set(done.metrics) == {"miou", "macc", "aacc"} and 0.3 < done.metrics["aacc"] <= 1
    with pytest.raises(usp.ArgumentError, match="label 1, expected 0 to 0"):
        usp.segment(data, classes=1, head=head, steps=1, model="Segmenter-B/2", **SIZES)
    with pytest.raises(usp.ArgumentError, match="no masks"):
        usp.segment(usp.Data(images, size=16), classes=2, head=head, steps=1,
                    model="Segmenter-B/2", **SIZES)


@pytest.mark.parametrize("head", ["upernet", "linear"])
def test_masks_that_changed_are_told(tmp_path, head):
    images, masks = scenes(tmp_path)

    def train(steps, **options):
        return usp.segment(
            usp.Data(images, masks=masks, size=16, **options), classes=2, head=head, steps=steps,
            model="Segmenter-B/2", log_dir=tmp_path / "run", **SIZES)
    train(2)
    path = tmp_path / "masks" / "part" / "2.png"
    before = path.read_bytes()
    write_png(path, np.ones((24, 32), np.uint8))
    with pytest.raises(usp.ArgumentError, match="images: in .* mask part/2.png has changed; put"):
        train(2)
    path.write_bytes(before)
    assert train(2).history[-1]["step"] == 2
    path.unlink()
    (tmp_path / "images" / "part" / "2.png").unlink()
    with pytest.raises(usp.ArgumentError, match="part/2.png and 1 more are gone; put back"):
        train(2)
    if head == "upernet":  # another pair takes its place
        assert train(2, skip_unreadable=True).history


def test_pairs_that_cannot_be_read(tmp_path):
    images, masks = scenes(tmp_path)
    (tmp_path / "masks" / "part" / "1.png").write_bytes(b"P")
    options = dict(masks=masks, size=16, batch=6, augmentation="middle", order="sequential")
    with pytest.raises(usp.FormatError, match="1.png: .*; with skip_unreadable another image with"):
        usp.Data(images, **options).batch(0)
    data = usp.Data(images, skip_unreadable=True, **options)
    inputs, labels = data.batch(0)
    assert np.array_equal(inputs[1], inputs[2]) and np.array_equal(labels[1], labels[2])
    assert len(data.remarks) == 1 and "another image with its mask is in its place" in data.remarks[0]


def test_what_masks_have_no_part_for_is_refused(tmp_path):
    images, masks = scenes(tmp_path)
    for name, value in (("rand_augment", "rand-m9-n2"), ("erasing", 0.5)):
        with pytest.raises(usp.ArgumentError, match=f"{name}: has no part in images with masks"):
            usp.Data(images, masks=masks, size=16, **{name: value})
        with pytest.raises(usp.ArgumentError, match=f"{name}: has no part in"):
            usp.segment(usp.Data(images, masks=masks, size=16), classes=2, steps=1, **SIZES, **{name: value})
    for name, value in (("reduce_zero_label", True), ("normalization", "imagenet")):
        with pytest.raises(usp.ArgumentError, match=f"{name}: has no part without masks"):
            usp.Data(images, size=16, **{name: value})


@pytest.mark.parametrize("head", ["upernet", "linear"])
def test_another_label_may_be_none(tmp_path, head):
    images, masks = scenes(tmp_path)
    data, val = (usp.Data(images, masks=masks, size=16) for _ in range(2))
    done = usp.segment(data, classes=1, head=head, val=val, ignored=1, steps=2, model="Segmenter-B/2", **SIZES)
    assert done.metrics["aacc"] == 1  # of class 0 alone
    with pytest.raises(usp.ArgumentError, match="pixels have the label 1, expected 0 to 0"):
        usp.segment(data, classes=1, head=head, steps=1, model="Segmenter-B/2", **SIZES)


def test_pixels_by_imagenet(tmp_path):
    images, masks = scenes(tmp_path)
    kind = dict(masks=masks, size=16, augmentation="middle")
    plain, seen = usp.Data(images, **kind)[0][0], usp.Data(images, normalization="imagenet", **kind)[0][0]
    mean, deviation = (np.array(x, np.float32)[:, None, None] for x in (
        (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    np.testing.assert_allclose(seen, ((plain + 1) / 2 - mean) / deviation, atol=2e-6)
    data = usp.Data(images, masks=masks, size=16, normalization="imagenet")
    done = usp.segment(data, classes=2, steps=1, model="Segmenter-B/2", **SIZES)
    assert any("ImageNet's mean" in note for note in done.notes)
    done.model.save(tmp_path / "net.safetensors")
    metadata = usp.Checkpoint.open(tmp_path / "net.safetensors").metadata
    assert metadata["usp.normalization"] == "imagenet" and metadata["usp.heads"] == "2"
    assert metadata["usp.grid"] == "4x4" and metadata["usp.out_indices"] == "0,0,0,1"
