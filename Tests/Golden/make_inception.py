"""Golden cases of the Inception network, by torch-fidelity's and pytorch-fid's own code.

The weights are hashes of their indices (see `hashed`), so that no file has to hold them. Needs the
packages pytorch-fid and torch-fidelity, installed without their dependencies.
"""

import tempfile
import zlib
from pathlib import Path

import numpy as np
import torch

from common import Case, error, integers
from environment import allow_torchvision


def hashed(name, *shape):
    """Numbers in [-1, 1): multiples of 2^-23 that depend on the name and the index only."""
    value = np.arange(np.prod(shape, dtype=np.int64), dtype=np.uint32)
    value += np.uint32(zlib.crc32(name.encode()))
    for factor in (0x85EBCA6B, 0xC2B2AE35):
        value ^= value >> np.uint32(16)
        value *= np.uint32(factor)
    value ^= value >> np.uint32(16)
    numbers = (value >> np.uint32(8)).astype(np.float32) * np.float32(2.0 ** -23) - np.float32(1)
    return torch.from_numpy(numbers.reshape(shape))


def drawn(name, shape):
    """A parameter by its name; scales are exact in float32."""
    value = hashed(name, *shape)
    if len(shape) > 1:
        fan_in = int(np.prod(shape[1:]))
        return value * np.float32(np.sqrt(6 / fan_in) if len(shape) == 4 else 0.0625)
    if name.endswith(("bn.weight", "running_var")):
        return value * np.float32(0.5) + np.float32(1)
    return value * np.float32(0.25)


def state():
    import torchvision
    model = torchvision.models.inception_v3(
        num_classes=1008, aux_logits=False, weights=None, init_weights=False)
    return {key: value if key.endswith("num_batches_tracked") else drawn(key, value.shape)
            for key, value in model.state_dict().items()}


def fidelity(weights, images, dtype):
    """torch-fidelity's features of [B, H, W, 3] bytes; the spatial ones by a hook.

    Pixels are resized in float32, as TensorFlow does, and the network is computed in `dtype`.
    """
    import torch_fidelity.feature_extractor_inceptionv3 as package
    from torch_fidelity.interpolate_compat_tensorflow import (
        interpolate_bilinear_2d_like_tensorflow1x as resize)
    package.interpolate_bilinear_2d_like_tensorflow1x = lambda x, **named: resize(
        x.float(), **named).to(dtype)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.pth"
        torch.save(weights, path)
        model = package.FeatureExtractorInceptionV3(
            "inception", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(path))
    model.to(dtype)
    kept = {}
    model.Mixed_6d.branch1x1.register_forward_hook(
        lambda module, given, result: kept.update(spatial=result[:, :7].permute(0, 2, 3, 1)))
    with torch.no_grad():
        pool, logits = model(images.permute(0, 3, 1, 2))
    return {"pool": pool, "spatial": kept["spatial"].flatten(1), "logits": logits}


def pytorch_fid(weights, images):
    """pytorch-fid's features of [B, H, W, 3] bytes, in float64 behind its loader's float32."""
    import pytorch_fid.inception as package
    package.load_state_dict_from_url = lambda *given, **named: weights
    model = package.InceptionV3().eval().double()
    with torch.no_grad():
        return model((images.permute(0, 3, 1, 2).float() / 255).double())[0].flatten(1)


def save(name, images, weights):
    case = Case(f"models/{name}", "torch-fidelity; pytorch-fid", {"weights": "hashed by name"},
                1e-5)
    double, single = (fidelity(weights, images, dtype) for dtype in (torch.float64, torch.float32))
    case.put("in.images", images.to(torch.int64))
    for key, value in double.items():
        case.put_sampled("out", key, value, full_up_to=0, stride=13)
    case.put_sampled("out", "pytorch_fid", pytorch_fid(weights, images), full_up_to=0, stride=13)
    case.note("torch_f32_error", {key: error(single[key], double[key]) for key in double})
    case.save()


def make():
    allow_torchvision()
    weights = state()
    rows = torch.arange(24)[:, None, None] * 5 + torch.arange(18)[None, :, None] * 7
    smooth = ((rows + torch.arange(3) * 40) % 256).to(torch.uint8)
    noise = integers("inception/noise", 256, 24, 18, 3).to(torch.uint8)
    save("inception", torch.stack([smooth, noise]), weights)


if __name__ == "__main__":
    make()
