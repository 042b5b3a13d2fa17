"""Writes a work's network as a file that ONNX Runtime or OpenVINO loads without PyTorch.

Started as: peer_export.py RUNTIME DTYPE WORK_JSON FOLDER
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from arrays import feeds
from contender import exported
from peer_network import network
from works import Work


def onnxruntime(module, arguments, path):
    torch.onnx.export(
        module, tuple(arguments.values()), path, dynamo=True, external_data=True,
        input_names=list(arguments), verbose=False)


def openvino(module, arguments, path, work=None):
    """With a work: in 8 bits, as NNCF makes it from eight batches of such inputs."""
    import openvino as runtime

    model = runtime.convert_model(
        module, example_input=tuple(arguments.values()),
        input=[tuple(value.shape) for value in arguments.values()])
    if work:
        import nncf

        batches = [list(feeds(work, seed).values()) for seed in range(100, 108)]
        model = nncf.quantize(
            model, nncf.Dataset(batches), model_type=nncf.ModelType.TRANSFORMER)
    runtime.save_model(model, path, compress_to_fp16=False)


def main():
    name, dtype, described, folder = sys.argv[1:5]
    work, folder = Work(**json.loads(described)), Path(folder)
    module = network(work, load_file(folder / "weights.safetensors"))
    arguments = {key: torch.from_numpy(array) for key, array in feeds(work).items()}
    path = folder / exported(name, dtype)
    unfinished = path.with_name(f"unfinished-{path.name}")
    if dtype == "int8":
        openvino(module, arguments, unfinished, work)
    else:
        {"onnxruntime": onnxruntime, "openvino": openvino}[name](module, arguments, unfinished)
    # The weights lie beside the file, under a name that it holds or that follows from its own.
    beside = unfinished.with_suffix(".bin")
    if beside.exists():
        beside.rename(path.with_suffix(".bin"))
    unfinished.rename(path)


if __name__ == "__main__":
    main()
