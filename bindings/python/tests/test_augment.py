"""Augmentations against golden files of timm, Pillow and OpenCV, and against those installed."""

import importlib
import math

import numpy as np
import pytest

import golden
import usp
from usp import augment, segmentation

OPERATIONS = golden.load("augment/operations")
EVALUATION = golden.load("augment/evaluation")
SEGMENTATION = golden.load("augment/segmentation")


def keys(case, prefix):
    return [key[len(prefix):] for key in case if key.startswith(prefix)]


def operations_of(key):
    size, name, argument = key.split(".", 2)
    return OPERATIONS[f"in.{size}"], name, None if argument == "None" else float(argument)


@pytest.mark.parametrize("key", keys(OPERATIONS, "out."))
def test_operations_are_pillows_to_the_bit(key):
    image, name, argument = operations_of(key)
    np.testing.assert_array_equal(
        augment.operation(image, name, argument), OPERATIONS[f"out.{key}"])


def test_names_of_timms_other_sets_mean_the_same():
    image = OPERATIONS["in.23x31"]
    for one, other, argument in (
            ("TranslateX", "TranslateXRel", 0.2), ("Color", "ColorIncreasing", 1.5),
            ("posterize", "PosterizeIncreasing", 3)):
        np.testing.assert_array_equal(
            augment.operation(image, one, argument), augment.operation(image, other, argument))
    assert not augment.operation(image, "Posterize", 0).any()


@pytest.mark.parametrize("name", keys(OPERATIONS, "level."))
def test_levels_are_timms(name):
    levels = [augment.level(name, m) for m in OPERATIONS["magnitudes"]]
    np.testing.assert_array_equal(levels, OPERATIONS[f"level.{name}"])


def test_operations_without_argument_have_no_level():
    assert [augment.level(name, 9) for name in ("AutoContrast", "Equalize", "Invert")] == [None] * 3


@pytest.mark.parametrize("name, argument, told", [
    ("Rotat", 1, 'did you mean "Rotate"'), ("Rotate", None, "Rotate: no argument, expected"),
    ("Rotate", math.inf, "Rotate: inf, expected a number"),
    ("Invert", 1, "Invert: 1.0, expected no argument"), ("Posterize", 3.5, "a whole number from 0"),
    ("Posterize", 9, "expected a whole number from 0.0 to 8.0"), ("Solarize", -1, "Solarize: -1.0"),
])
def test_arguments_that_an_operation_does_not_take(name, argument, told):
    with pytest.raises(usp.ArgumentError, match=told):
        augment.operation(np.zeros((4, 4, 3), np.uint8), name, argument)


def test_images_that_cannot_be():
    with pytest.raises(usp.ShapeError, match=r"image: shape \[4, 4\], expected \[H, W, 3\]"):
        augment.operation(np.zeros((4, 4), np.uint8), "Invert")
    with pytest.raises(usp.DTypeError, match="image: dtype float32, expected uint8"):
        augment.operation(np.zeros((4, 4, 3), np.float32), "Invert")
    with pytest.raises(usp.ShapeError, match="at least one"):
        augment.operation(np.zeros((0, 4, 3), np.uint8), "Invert")
    with pytest.raises(usp.ArgumentError, match="magnitude 11.0, expected 0 to 10"):
        augment.level("Rotate", 11)


@pytest.mark.parametrize("key", keys(EVALUATION, "in."))
def test_evaluation_is_pillows_to_the_bit(key):
    size = int(key.rsplit(".", 1)[1])
    np.testing.assert_array_equal(
        augment.evaluation(EVALUATION[f"in.{key}"], size), EVALUATION[f"out.{key}"])


def test_rand_augment_draws_by_seed_and_sample():
    image = OPERATIONS["in.23x31"]
    drawn = [augment.rand_augment(image, seed=3, sample=i) for i in range(200)]
    again = [augment.rand_augment(image, seed=3, sample=i) for i in range(200)]
    np.testing.assert_array_equal(drawn, again)
    unchanged = sum(bool((x == image).all()) for x in drawn)
    assert 25 < unchanged < 80  # nothing is applied in a quarter of the cases
    assert (augment.rand_augment(image, probability=0) == image).all()
    inverted = augment.rand_augment(image, layers=1, probability=1, operations="Invert")
    np.testing.assert_array_equal(inverted, 255 - image)
    with pytest.raises(usp.ArgumentError, match="Inver"):
        augment.rand_augment(image, operations="Inver")


def test_erasing_fills_a_box_with_noise():
    images = np.full((64, 3, 40, 40), 9, np.float32)
    erased = augment.erase(images, seed=1, erasing=1.0)
    changed = erased != 9
    assert (changed.all(1) == changed.any(1)).all()  # the same box in all channels
    shares = changed[:, 0].mean((1, 2))
    assert 0.015 < shares.min() and shares.max() < 0.36 and 0.1 < shares.mean() < 0.25
    noise = erased[changed]
    assert abs(noise.mean()) < 0.02 and abs(noise.std() - 1) < 0.02
    some = augment.erase(images, seed=1)
    assert 6 < (some != 9).any((1, 2, 3)).sum() < 28  # a quarter of them
    level = augment.erase(images, seed=1, erasing=1.0, erasing_fill="color")
    assert all(len(np.unique(image[0])) == 2 for image in level)
    zero = augment.erase(images, seed=1, erasing=1.0, erasing_fill="constant")
    np.testing.assert_array_equal(zero == 0, changed)


def test_mixing_follows_its_shares():
    samples = np.arange(6, dtype=np.float32).reshape(6, 1, 1, 1) * np.ones((6, 2, 8, 8), np.float32)
    labels = np.arange(6)
    mixed = augment.mix(samples, labels, 6, seed=5, mixup=0.8, label_smoothing=0.0)
    np.testing.assert_allclose(mixed.targets.sum(1), 1, rtol=1e-6)
    # a value is the mean of its sources' numbers, and these are the labels
    np.testing.assert_allclose(mixed.samples[:, 0, 0, 0], mixed.targets @ labels, rtol=1e-5)
    share = mixed.targets[0, 0]
    np.testing.assert_allclose(np.diag(mixed.targets), share, rtol=1e-6)
    for unit in ("batch", "pair", "sample"):
        for seed in range(8):
            cut = augment.mix(samples, labels, 6, seed=seed, cutmix=1.0, label_smoothing=0.0,
                              mixing_unit=unit)
            np.testing.assert_allclose(
                cut.samples.mean((1, 2, 3)), cut.targets @ labels, rtol=1e-5, atol=1e-6)


def test_smoothing_and_mixing_together():
    samples, labels = np.zeros((4, 1, 2, 2), np.float32), np.array([0, 1, 1, 2])
    plain = augment.mix(samples, labels, 5)
    expected = np.full((4, 5), 0.02, np.float32)
    expected[np.arange(4), labels] = 0.92
    np.testing.assert_allclose(plain.targets, expected, rtol=1e-6)
    mixed = augment.mix(samples, labels, 5, mixup=1.0, seed=2).targets
    share = (mixed[0, 0] - 0.02) / 0.9
    want = share * expected + (1 - share) * expected[::-1]
    np.testing.assert_allclose(mixed, want, rtol=1e-5)
    with pytest.raises(usp.ArgumentError, match="label 5 of sample 3: expected 0 to 4"):
        augment.mix(samples, [0, 1, 1, 5], 5)


@pytest.mark.parametrize("key", keys(SEGMENTATION, "out.image."))
def test_resizing_is_opencvs(key):
    size = tuple(int(side) for side in key.split("x"))
    image, labels = segmentation.resize(SEGMENTATION["in.image"], SEGMENTATION["in.labels"], size)
    np.testing.assert_array_equal(image, SEGMENTATION[f"out.image.{key}"])
    np.testing.assert_array_equal(labels, SEGMENTATION[f"out.labels.{key}"])


def test_colours_are_opencvs():
    image = SEGMENTATION["in.wide"]
    for name, value in (("contrast", 1.37), ("brightness", -20.6)):
        np.testing.assert_array_equal(
            segmentation.distort(image, **{name: value}), SEGMENTATION[f"out.{name}"])
    for name, value in (("saturation", 1.37), ("hue", -18)):
        changed = segmentation.distort(image, **{name: value}).astype(int)
        difference = np.abs(changed - SEGMENTATION[f"out.{name}"])
        assert difference.max() <= 1 and (difference > 0).mean() < 0.01
    assert (segmentation.distort(image) == image).all()
    first = segmentation.distort(image, contrast=1.4, saturation=0.6)
    last = segmentation.distort(image, contrast=1.4, saturation=0.6, contrast_first=False)
    assert (first != last).any()
    with pytest.raises(usp.ArgumentError, match="hue: 0.5, expected a whole number"):
        segmentation.distort(image, hue=0.5)


def test_sizes_labels_and_windows():
    assert segmentation.rescaled_size((480, 640), 512, 2048) == (512, 683)
    assert segmentation.rescaled_size((300, 1536), 512, 2048) == (400, 2048)
    labels = np.array([[0, 1, 150], [254, 255, 2]], np.uint8)
    np.testing.assert_array_equal(
        segmentation.reduce_zero_label(labels), [[255, 0, 149], [253, 255, 1]])
    for size, count in (((512, 683), 2), ((512, 1024), 3), ((512, 2048), 6), ((300, 200), 1)):
        boxes = segmentation.windows(*size, crop=512, stride=341)
        assert len(boxes) == count and boxes[-1, 2:].tolist() == list(size)
    boxes = segmentation.windows(7, 10, crop=(4, 5), stride=(3, 4))
    assert boxes.tolist() == [[0, 0, 4, 5], [0, 4, 4, 9], [0, 5, 4, 10], [3, 0, 7, 5], [3, 4, 7, 9],
                              [3, 5, 7, 10]]
    whole = np.random.default_rng(1).normal(size=(2, 3, 7, 10)).astype(np.float32)
    parts = [whole[:, :, y1:y2, x1:x2].copy() for y1, x1, y2, x2 in boxes]
    np.testing.assert_allclose(segmentation.stitch(parts, boxes, 7, 10), whole, rtol=1e-6)
    with pytest.raises(usp.ArgumentError, match="leave out pixels of 7 x 10"):
        segmentation.stitch(parts[:-1], boxes[:-1], 7, 10)
    with pytest.raises(usp.ArgumentError, match="expected at most the crop of 4"):
        segmentation.windows(7, 10, crop=4, stride=5)


def test_samples_of_segmentation():
    image = np.random.default_rng(2).integers(0, 256, (60, 90, 3)).astype(np.uint8)
    labels = np.zeros((60, 90), np.uint8)
    labels[:, 45:] = 3
    labels[:5] = 255
    for index in range(20):
        made = segmentation.sample(
            image, labels, seed=1, index=index, crop=48, short_side=60, long_side=200)
        assert made.image.shape[:2] == made.mask.shape and max(made.mask.shape) <= 48
        assert set(np.unique(made.mask)) <= {0, 3, 255}
        again = segmentation.sample(
            image, labels, seed=1, index=index, crop=48, short_side=60, long_side=200)
        np.testing.assert_array_equal(made.image, again.image)
    plain = segmentation.sample(
        image, labels, crop=90, short_side=60, long_side=90, least_scale=1, most_scale=1, flip=0,
        distort=False)
    np.testing.assert_array_equal(plain.image, image)
    np.testing.assert_array_equal(plain.mask, labels)
    with pytest.raises(usp.ShapeError, match=r"mask: shape \[60, 90, 3\], expected \[H, W\]"):
        segmentation.sample(image, image)


# ---- against what is installed ----------------------------------------------------------------


def photograph(height, width, seed):
    """Smooth colours, edges and grain."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(rng.uniform(0.01, 0.3) * x + rng.uniform(0.01, 0.3) * y) * 90 for _ in range(3)]
    planes = np.stack(waves, -1) + 128 + 40 * ((x // 9 + y // 7) % 2)[..., None]
    return np.clip(planes + rng.normal(0, 12, planes.shape), 0, 255).astype(np.uint8)


def installed_timm():
    pytest.importorskip("timm", exc_type=Exception)
    return importlib.import_module("timm.data.auto_augment")


@pytest.mark.parametrize("height, width", [(224, 224), (97, 131), (3, 8)])
def test_operations_against_the_installed_timm(height, width):
    image_module = pytest.importorskip("PIL.Image")
    timm = installed_timm()
    image, rng = photograph(height, width, height), np.random.default_rng(width)
    for name in timm._RAND_INCREASING_TRANSFORMS:
        level = timm.LEVEL_TO_ARG[name]
        for _ in range(4):  # timm draws the sign
            given = level(rng.uniform(0, 9.9), {}) if level else ()
            expected = timm.NAME_TO_OP[name](
                image_module.fromarray(image), *given, resample=image_module.BICUBIC,
                fillcolor=(128,) * 3)
            np.testing.assert_array_equal(
                augment.operation(image, name, *given), np.asarray(expected), err_msg=name)


@pytest.mark.parametrize("height, width", [(375, 500), (500, 333), (231, 1000), (900, 231), (64, 64)])
def test_evaluation_against_the_installed_pillow(height, width):
    image_module = pytest.importorskip("PIL.Image")
    image = photograph(height, width, width)
    picture = image_module.fromarray(image)
    longer = int(256 * max(height, width) / min(height, width))
    new = (256, longer) if width <= height else (longer, 256)
    if height - new[1] > max(0, 2 * (width - new[0])):  # Pillow 13 begins with the other axis
        picture = picture.resize((new[0], height), image_module.BICUBIC)
    picture = picture.resize(new, image_module.BICUBIC)
    left, top = round((new[0] - 224) / 2), round((new[1] - 224) / 2)
    expected = np.asarray(picture.crop((left, top, left + 224, top + 224)))
    np.testing.assert_array_equal(augment.evaluation(image), expected)


def test_segmentation_against_the_installed_opencv():
    cv2 = pytest.importorskip("cv2")
    image = photograph(120, 161, 5)
    for height, width in ((512, 687), (60, 80), (37, 200)):
        expected = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR).astype(int)
        resized, _ = segmentation.resize(image, None, (height, width))
        assert np.abs(resized - expected).max() <= 1
