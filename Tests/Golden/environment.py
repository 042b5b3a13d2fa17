"""What the packages need before they can be imported beside a CPU-only PyTorch."""

import torch

_definitions = []


def allow_torchvision():
    """Define two operator schemas that the CUDA build of torchvision expects; call before import.

    PyPI's torchvision is built for CUDA and its shared library does not load beside CPU PyTorch;
    its Python part only needs these names to exist.
    """
    if _definitions:
        return
    library = torch.library.Library("torchvision", "DEF")
    signature = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    library.define("nms" + signature)
    library.define("qnms" + signature)
    _definitions.append(library)
