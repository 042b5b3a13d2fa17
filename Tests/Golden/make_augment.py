"""Golden augmentations: timm's operations over Pillow, evaluation crops, and what OpenCV does to
images of segmentation. Needs timm, Pillow, opencv-python-headless."""

import cv2
import numpy as np
import torch
from PIL import Image

from common import Case
from environment import allow_torchvision
from make_images import picture

allow_torchvision()

from timm.data import auto_augment  # noqa: E402

OPERATIONS = {
    "AutoContrast": [None], "Equalize": [None], "Invert": [None],
    "Rotate": [23.0, -27.5, 90.0, 180.0, 360.0], "Posterize": [1, 3, 8], "Solarize": [0, 97, 256],
    "SolarizeAdd": [0, 77, 128], "Color": [0.1, 0.7, 1.63], "Contrast": [0.1, 0.7, 1.63],
    "Brightness": [0.1, 0.7, 1.63], "Sharpness": [0.1, 0.7, 1.63], "ShearX": [0.21, -0.3],
    "ShearY": [0.21, -0.3], "TranslateXRel": [0.31, -0.45], "TranslateYRel": [0.31, -0.45],
}
LEVELS = ["Rotate", "PosterizeIncreasing", "SolarizeIncreasing", "SolarizeAdd", "ColorIncreasing",
          "ContrastIncreasing", "BrightnessIncreasing", "SharpnessIncreasing", "ShearX", "ShearY",
          "TranslateXRel", "TranslateYRel", "Posterize", "PosterizeOriginal", "Solarize", "Color"]
MAGNITUDES = [0, 1, 2.5, 5, 7, 8.61, 9, 9.99, 10]


def noisy(height, width, channels=3):
    """A picture with an edge, a gradient and grain, of less than the whole range."""
    grain = np.random.default_rng(height * width).integers(0, 60, (height, width, channels))
    return (picture(height, width, channels) // 2 + 20 + grain).astype(np.uint8)


def make_operations():
    case = Case("augment/operations", "timm.data.auto_augment over Pillow, bicubic, fill 128")
    for height, width in ((23, 31), (16, 16), (2, 5)):
        image = noisy(height, width)
        case.put(f"in.{height}x{width}", torch.from_numpy(image))
        for name, arguments in OPERATIONS.items():
            for argument in arguments if height > 2 else arguments[:1]:
                given = [] if argument is None else [argument]
                out = auto_augment.NAME_TO_OP[name](
                    Image.fromarray(image), *given, resample=Image.BICUBIC,
                    fillcolor=(128, 128, 128))
                case.put(f"out.{height}x{width}.{name}.{argument}",
                         torch.from_numpy(np.asarray(out).copy()))
    auto_augment._randomly_negate = lambda value: value
    for name in LEVELS:
        levels = [auto_augment.LEVEL_TO_ARG[name](m, {})[0] for m in MAGNITUDES]
        case.put_double(f"level.{name}", torch.tensor(levels, dtype=torch.float64))
    case.put_double("magnitudes", torch.tensor(MAGNITUDES, dtype=torch.float64))
    case.save()


def evaluation(image, size, shorter):
    """torchvision's Resize and CenterCrop. Resized one axis after the other, rows first of all, as
    every Pillow before version 13 does; later ones may begin with the columns."""
    image = Image.fromarray(image.squeeze()).convert("RGB")
    width, height = image.size
    scaled = int(shorter * max(width, height) / min(width, height))
    new = (shorter, scaled) if width <= height else (scaled, shorter)
    image = image.resize((new[0], height), Image.BICUBIC).resize(new, Image.BICUBIC)
    left, top = round((new[0] - size) / 2), round((new[1] - size) / 2)
    return np.asarray(image.crop((left, top, left + size, top + size)))


def make_evaluation():
    case = Case("augment/evaluation", "Pillow: Resize 256/224 bicubic, centre crop")
    for height, width, channels, size in (
            (31, 47, 3, 28), (90, 21, 3, 28), (17, 120, 3, 28), (9, 8, 3, 28), (64, 64, 1, 28),
            (40, 61, 2, 28), (55, 40, 4, 28), (28, 28, 3, 33)):
        image = noisy(height, width, channels)
        name = f"{height}x{width}x{channels}.{size}"
        case.put(f"in.{name}", torch.from_numpy(image))
        case.put(f"out.{name}", torch.from_numpy(evaluation(image, size, size * 256 // 224).copy()))
    case.save()


def make_segmentation():
    case = Case("augment/segmentation", f"OpenCV {cv2.__version__}; mmseg's formulas")
    image = noisy(23, 31)
    labels = np.random.default_rng(7).integers(0, 6, (23, 31)).astype(np.uint8)
    case.put("in.image", torch.from_numpy(image)).put("in.labels", torch.from_numpy(labels))
    for height, width in ((41, 60), (11, 15), (23, 10), (46, 62), (1, 1)):
        resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        case.put(f"out.image.{height}x{width}", torch.from_numpy(resized))
        nearest = cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST)
        case.put(f"out.labels.{height}x{width}", torch.from_numpy(nearest))
    wide = np.tile(image, (1, 3, 1))[:, :64].copy()  # OpenCV's vector code, rounds towards zero
    case.put("in.wide", torch.from_numpy(wide))
    for name, saturation, hue in (("saturation", 1.37, 0), ("hue", 1, -18)):
        hsv = cv2.cvtColor(wide, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(int) + hue) % 180
        hsv[..., 1] = np.clip(hsv[..., 1].astype(np.float32) * saturation, 0, 255).astype(np.uint8)
        case.put(f"out.{name}", torch.from_numpy(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)))
    for name, factor, shift in (("contrast", 1.37, 0), ("brightness", 1, -20.6)):
        moved = np.clip(wide.astype(np.float32) * factor + shift, 0, 255).astype(np.uint8)
        case.put(f"out.{name}", torch.from_numpy(moved))
    case.save()


def make():
    make_operations()
    make_evaluation()
    make_segmentation()


if __name__ == "__main__":
    make()
