"""Small files of every container a reader meets, each with its contents as safetensors beside it.

Names in the expected files join the path of containers with "/": dict keys as they are, list
positions as numbers; the root tensor of a file is "". Values keep their dtypes.
"""

import argparse
import collections
import json
import pathlib
import sys
import types

import numpy as np
import torch
from safetensors.torch import save_file

from common import HERE, integers, normal, record

FOLDER = HERE / "containers"
FLOATS = {"f64": torch.float64, "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
INTEGERS = {"i64": torch.int64, "i32": torch.int32, "i16": torch.int16, "i8": torch.int8,
            "u8": torch.uint8}


def flatten(value, path=""):
    """All tensors in nested dicts, lists and tuples, by joined path."""
    if isinstance(value, torch.Tensor):
        return {path: value.detach().contiguous().clone()}
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(
        value, (list, tuple)) else ()
    found = {}
    for key, child in children:
        found |= flatten(child, f"{path}/{key}" if path else str(key))
    return found


def expect(name, file, tensors, note):
    """Write the expected contents and the manifest line of one container file."""
    save_file(tensors, FOLDER / f"{name}.expected.safetensors")
    record(f"containers/{name}", {
        "file": f"containers/{file}", "kind": "container", "source": note,
        "expected": f"containers/{name}.expected.safetensors"})


def every_dtype():
    tensors = {key: normal(f"containers/{key}", 3, 4).to(kind) for key, kind in FLOATS.items()}
    for key, kind in INTEGERS.items():
        low = 0 if kind == torch.uint8 else -100
        tensors[key] = (integers(f"containers/{key}", 200, 2, 5) + low).clamp(max=127).to(kind)
    tensors["bool"] = integers("containers/bool", 2, 7).bool()
    return tensors


def every_layout():
    """Views that share one storage, odd strides, scalars and empty tensors."""
    base = torch.arange(60, dtype=torch.float32).reshape(5, 12)
    return {
        "base": base, "row": base[2], "columns": base[:, 3:7], "transposed": base.t(),
        "stepped": base[::2, 1::3], "offset": base.flatten()[17:29].view(3, 4),
        "expanded": torch.tensor([[1.0], [2.0]]).expand(2, 5), "permuted": base.reshape(
            5, 3, 4).permute(2, 0, 1), "scalar": torch.tensor(2.5), "empty": torch.zeros(0, 4),
        "channels_last": torch.arange(24, dtype=torch.float32).reshape(1, 2, 3, 4).contiguous(
            memory_format=torch.channels_last),
        "parameter": torch.nn.Parameter(torch.tensor([1.0, -2.0])),
    }


def training_layout():
    """{model, ema, opt, args} with the odd values that published files carry."""
    model = collections.OrderedDict(
        [("blocks.0.norm1.weight", normal("containers/a", 6)),
         ("blocks.0.attn.qkv.weight", normal("containers/b", 9, 3))])
    model._metadata = collections.OrderedDict([("", {"version": 1})])
    return {
        "model": model, "ema": {key: value + 1 for key, value in model.items()},
        "opt": {"state": {0: {"step": torch.tensor(7.0), "exp_avg": normal("containers/c", 6)},
                          1: {"step": 3, "exp_avg": None}},
                "param_groups": [{"lr": 1e-4, "betas": (0.9, 0.999), "params": [0, 1],
                                  "amsgrad": False, "foreach": None}]},
        "args": argparse.Namespace(
            model="DiT-B/2", lr=1e-4, ckpt=None, path=pathlib.PosixPath("results/run"),
            tags=["a", "b"], nested=argparse.Namespace(size=(256, 256))),
        "best": np.float64(0.75), "count": np.int64(12), "small": np.float32(0.5),
        "shape": torch.Size([3, 4]), "device": torch.device("cpu"), "dtype": torch.float16,
        "big": 1 << 70, "negative": -5, "wide": 1 << 40, "text": "caf\u00e9", "raw": b"\x00\xff",
        "flags": {1, 2},
        "history": [(0, normal("containers/d", 2)), (1, normal("containers/e", 2))],
        "defaults": collections.defaultdict(list, {"k": [torch.ones(1)]}),
    }


def lightning_layout(prefix):
    """A Lightning checkpoint whose callbacks are keyed by a class that readers do not have."""
    name = "pytorch_lightning.callbacks.model_checkpoint"
    if name not in sys.modules:
        made = types.ModuleType(name)
        made.ModelCheckpoint = type("ModelCheckpoint", (), {"__module__": name})
        for parent in ("pytorch_lightning", "pytorch_lightning.callbacks", name):
            sys.modules[parent] = made
    module = sys.modules[name]
    state = {f"{prefix}{key}": normal(f"containers/{key}", *shape) for key, shape in {
        "encoder.conv_in.weight": (8, 3, 3, 3), "encoder.conv_in.bias": (8,),
        "encoder.mid.attn_1.q.weight": (8, 8, 1, 1), "decoder.up.0.block.0.norm1.weight": (8,),
        "quant_conv.weight": (8, 8, 1, 1), "post_quant_conv.bias": (4,)}.items()}
    if not prefix:
        state["loss.logvar"] = torch.tensor(0.0)
        state["loss.discriminator.main.0.weight"] = normal("containers/loss", 4, 3, 4, 4)
    return {
        "epoch": 4, "global_step": 1000, "pytorch-lightning_version": "1.4.2",
        "state_dict": state, "callbacks": {module.ModelCheckpoint: {
            "monitor": "val/rec_loss", "best_model_score": torch.tensor(0.25),
            "best_model_path": "x.ckpt", "dirpath": pathlib.PosixPath("logs")}},
        "optimizer_states": [], "lr_schedulers": [], "hyper_parameters": {"ch_mult": [1, 2, 4, 4]},
    }


def write_torch(name, value, note, **options):
    for old in (False, True):
        file = f"{name}{'_legacy' if old else ''}.pth"
        torch.save(value, FOLDER / file, _use_new_zipfile_serialization=not old, **options)
        form = "consecutive pickles" if old else "zip"
        expect(pathlib.Path(file).stem, file, flatten(strip(value)), f"torch {form}: {note}")


def strip(value):
    """Contents with class keys named, so that paths can be written down."""
    if isinstance(value, dict):
        return {key.__name__ if isinstance(key, type) else key: strip(item)
                for key, item in value.items()}
    return value


def make_torch():
    write_torch("types", every_dtype(), "every dtype")
    write_torch("layouts", every_layout(), "shared storages, offsets, strides, scalar, empty")
    write_torch("root", normal("containers/root", 2, 3), "a tensor at the root")
    write_torch("list", [torch.ones(2), (torch.zeros(1), {"x": torch.arange(3)})], "a list root")
    write_torch("training", training_layout(), "model, ema, opt, args and odd values")
    write_torch("lightning", lightning_layout(""), "CompVis autoencoder, losses included")
    write_torch("stable_diffusion", lightning_layout("first_stage_model."), "prefixed autoencoder")
    file = "protocol_4.pth"
    torch.save(training_layout(), FOLDER / file, pickle_protocol=4)
    expect("protocol_4", file, flatten(training_layout()), "torch zip with pickle protocol 4")


def make_numpy():
    rng = np.random.default_rng(5)
    arrays = {kind: rng.normal(size=(3, 4)).astype(kind) for kind in ("f2", "f4", "f8")}
    arrays |= {kind: rng.integers(0, 100, size=(2, 5)).astype(kind)
               for kind in ("i1", "i2", "i4", "i8", "u1")}
    arrays["bool"] = rng.integers(0, 2, size=6).astype(bool)
    arrays["fortran"] = np.asfortranarray(rng.normal(size=(3, 5, 2)).astype("f4"))
    arrays["big_endian"] = rng.normal(size=4).astype(">f4")
    arrays["scalar"] = np.array(1.5, dtype="f4")
    arrays["empty"] = np.zeros((0, 3), dtype="f4")
    native = {key: torch.from_numpy(np.ascontiguousarray(
        value.astype(value.dtype.newbyteorder("=")))).reshape(value.shape)
        for key, value in arrays.items()}
    for key in ("f2", "f4", "f8", "fortran", "big_endian", "scalar"):
        np.save(FOLDER / f"array_{key}.npy", arrays[key])
        expect(f"array_{key}", f"array_{key}.npy", {"": native[key]}, "numpy array file")
    with open(FOLDER / "array_version_2.npy", "wb") as file:
        np.lib.format.write_array(file, arrays["f4"], version=(2, 0))
    expect("array_version_2", "array_version_2.npy", {"": native["f4"]}, "numpy header version 2")
    np.savez(FOLDER / "arrays.npz", **arrays)
    expect("arrays", "arrays.npz", native, "numpy archive, stored")
    np.savez_compressed(FOLDER / "arrays_deflated.npz", **arrays)
    expect("arrays_deflated", "arrays_deflated.npz", native, "numpy archive, deflated")
    latents = {"moments": rng.normal(size=(8, 4, 4)).astype("f4"),
               "moments_flip": rng.normal(size=(8, 4, 4)).astype("f4")}
    np.savez(FOLDER / "latents.npz", **latents)
    expect("latents", "latents.npz", {k: torch.from_numpy(v) for k, v in latents.items()},
           "MAR / USP latent cache")


def make_safetensors():
    tensors = every_dtype()
    save_file(
        tensors, FOLDER / "types.safetensors", metadata={"format": "pt", "note": "every dtype"})
    expect("safetensors_types", "types.safetensors", tensors, "safetensors with metadata")
    names = sorted(tensors)
    shards = {"model-00001-of-00002.safetensors": names[:5],
              "model-00002-of-00002.safetensors": names[5:]}
    for file, keys in shards.items():
        save_file({key: tensors[key] for key in keys}, FOLDER / file)
    index = {"metadata": {"total_size": sum(t.nbytes for t in tensors.values())},
             "weight_map": {key: file for file, keys in shards.items() for key in keys}}
    (FOLDER / "model.safetensors.index.json").write_text(json.dumps(index, indent=2))
    expect("safetensors_sharded", "model.safetensors.index.json", tensors, "two shards, an index")


def make():
    FOLDER.mkdir(exist_ok=True)
    make_torch()
    make_numpy()
    make_safetensors()


if __name__ == "__main__":
    make()
