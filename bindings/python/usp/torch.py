"""Library models inside torch programs: parameters that torch's optimisers train, through our
gradients.

    module = usp.torch.Module(usp.SiT.load("sit.safetensors"))
    optimizer = torch.optim.AdamW(module.parameters(), 1e-4)
    loss = ((module(x, t, y) - target) ** 2).mean()
    loss.backward()
    optimizer.step()
    module.model().save("trained.safetensors")

torch is imported with this module, and by nothing else in the package. Float32 on the CPU.
"""

from __future__ import annotations

import ctypes
from typing import Any, Dict, Tuple

import numpy as np
import torch

from ._arrays import as_tensor, result, vector
from ._call import call
from ._create import typed
from ._errors import ArgumentError
from ._library import lib
from ._model import Model
from .checkpoint import Checkpoint


def state_dict(model: Model) -> Dict[str, torch.Tensor]:
    """The parameters as torch tensors of their own, by the names of the library's files."""
    return {name: torch.from_numpy(value.copy()) for name, value in model.parameters.items()}


def with_state(model: Model, state: "Dict[str, torch.Tensor]") -> Any:
    """The same model with the values of a state dict; no file is written.

    Raises MissingWeightError or ShapeError naming what does not fit.
    """
    values = Checkpoint({
        name: np.ascontiguousarray(value.detach().to("cpu", torch.float32).numpy())
        for name, value in state.items()})
    return typed(Model._made(lib.usp_model_replace, model.handle, values.handle))


class Module(torch.nn.Module):
    """A library model as a torch module: its parameters are torch's, under the same names.

    `forward` is a DiT's or SiT's prediction (x, t, y), a ViT's logits (x), a VAE's reconstruction
    (x). Tables of sines and cosines are buffers.
    """

    def __init__(self, model: Model):
        super().__init__()
        if model.family not in ("DiT", "SiT", "LightningDiT", "ViT", "VAE"):
            raise ArgumentError(f"model: a pass back through a {model.family} is not supported")
        self._source = model
        self._names = list(model.parameters)
        for name, value in state_dict(model).items():
            place, leaf = _place(self, name)
            if name.rsplit(".", 1)[-1] in ("running_mean", "running_var", "num_batches_tracked"):
                place.register_buffer(leaf, value)
            else:
                place.register_parameter(leaf, torch.nn.Parameter(value))

    def model(self) -> Any:
        """The library model with the values that the parameters have now."""
        state = {**dict(self.named_parameters()), **dict(self.named_buffers())}
        # Fused optimisers and p.data change values without a trace: nothing tells that none has changed.
        return with_state(self._source, {name: state[name] for name in self._names})

    def forward(self, x: torch.Tensor, t: Any = None, y: Any = None) -> torch.Tensor:
        trained = [(name, p) for name, p in self.named_parameters() if p.requires_grad]
        output: torch.Tensor = _Pass.apply(  # type: ignore[no-untyped-call]
            self.model(), [name for name, _ in trained], t, y, x, *(p for _, p in trained))
        return output


def _place(module: torch.nn.Module, name: str) -> Tuple[torch.nn.Module, str]:
    """The module that holds a parameter of a dotted name, made where it is not there."""
    *path, leaf = name.split(".")
    for part in path:
        if part not in module._modules:
            module.add_module(part, torch.nn.Module())
        module = module._modules[part]  # type: ignore[assignment]
    return module, leaf


class _Call:
    """What a pass is asked, as structs of the library."""

    def __init__(self, model: Model, x: torch.Tensor, t: Any, y: Any):
        self.model = model
        self._keep: "list[Any]" = []
        self.x = self._struct(x.detach(), "x", np.float32)
        count = x.shape[0]
        self.t = self._vector(t, "t", np.float32, count)
        self.y = self._vector(y, "y", np.int64, count)

    def _vector(self, values: Any, name: str, dtype: Any, count: int) -> Any:
        if values is None:
            return None
        return self._struct(vector(values, name, dtype, count), name, dtype)

    def _struct(self, value: Any, name: str, dtype: Any) -> Any:
        if isinstance(value, torch.Tensor):
            value = value.contiguous()
        tensor, array = as_tensor(value, name, dtype=dtype)
        self._keep += [tensor, array]
        return ctypes.byref(tensor)

    def shape(self, x: torch.Tensor) -> Tuple[int, ...]:
        config = self.model.config
        if self.model.family == "ViT":
            return (x.shape[0], int(config.classes))
        if self.model.family == "VAE":
            return tuple(x.shape)
        return (x.shape[0], int(lib.usp_dit_out_channels(self.model.handle)), *x.shape[2:])


class _Pass(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, model: Model, names: Any, t: Any, y: Any, x: torch.Tensor, *_values: torch.Tensor
    ) -> torch.Tensor:
        asked = _Call(model, x, t, y)
        out, array = result(None, asked.shape(x))
        call(lib.usp_model_output, model.handle, asked.x, asked.t, asked.y, ctypes.byref(out))
        ctx.asked, ctx.names, ctx.shape = asked, names, x.shape
        return torch.from_numpy(array)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:  # type: ignore[override]
        asked = ctx.asked
        seed, _keep = as_tensor(gradient.detach().contiguous(), "gradient")
        out, array = result(None, tuple(ctx.shape))
        gradients = Checkpoint._made(
            lambda *arguments: lib.usp_model_backward(
                asked.model.handle, asked.x, asked.t, asked.y, ctypes.byref(seed),
                ctypes.byref(out), *arguments))
        own = _gradients(gradients, ctx.names)
        return (None, None, None, None, torch.from_numpy(array), *own)


def _gradients(gradients: Checkpoint, names: Any) -> Any:
    """In the order of the names; None for what the library does not train: a fixed table."""
    return [
        torch.from_numpy(gradients[name].copy()) if name in gradients else None for name in names]


__all__ = ["Module", "state_dict", "with_state"]
