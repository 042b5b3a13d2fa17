"""Library models inside torch programs: parameters that torch's optimisers train, through our
gradients.

    module = usp.torch.Module(usp.SiT.load("sit.safetensors"))
    optimizer = torch.optim.AdamW(module.parameters(), 1e-4)
    loss = ((module(x, t, y) - target) ** 2).mean()
    loss.backward()
    optimizer.step()
    module.model().save("trained.safetensors")

torch is imported with this module, and by nothing else in the package. Float32 on the CPU.
Gradients are of first order; modules are copied (`copy.deepcopy`, torch's AveragedModel), and saved
as `module.state_dict()` or `module.model()`.
"""

from __future__ import annotations

import ctypes
from typing import Any, Dict, Tuple

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from ._arrays import as_tensor, result, vector
from ._call import call
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
    return Model._made(lib.usp_model_replace, model.handle, values.handle)


#: last names of what the originals register as buffers
BUFFERS = {"running_mean", "running_var", "num_batches_tracked", "freqs_cos", "freqs_sin"}


class Module(torch.nn.Module):
    """A library model as a torch module: its parameters are torch's, under the same names.

    `forward` is a DiT's or SiT's prediction (x, t, y), a ViT's logits (x), a VAE's reconstruction
    (x). What the originals do not train is not trained: tables of positions are parameters that
    require no gradient, those of rotary positions and the statistics of batch norms are buffers.
    """

    def __init__(self, model: Model):
        super().__init__()
        if model.family not in ("DiT", "SiT", "LightningDiT", "ViT", "VAE"):
            raise ArgumentError(f"model: a pass back through a {model.family} is not supported")
        self._source = model
        self._names = list(model.parameters)
        for name, value in state_dict(model).items():
            place, leaf = _place(self, name)
            if leaf in BUFFERS:
                place.register_buffer(leaf, value)
            else:
                is_trained = model.family == "ViT" or name != "pos_embed"
                place.register_parameter(leaf, torch.nn.Parameter(value, is_trained))

    def model(self) -> Any:
        """The library model with the values that the parameters have now."""
        state = {**dict(self.named_parameters()), **dict(self.named_buffers())}
        # Fused optimisers and p.data change values without a trace: nothing tells that none has changed.
        return with_state(self._source, {name: state[name] for name in self._names})

    def forward(self, x: torch.Tensor, t: Any = None, y: Any = None) -> torch.Tensor:
        if not isinstance(x, torch.Tensor):
            raise ArgumentError(f"x: {type(x).__name__}, expected a torch.Tensor")
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

    def __init__(self, x: torch.Tensor, t: Any, y: Any):
        self._keep: "list[Any]" = []
        self.x = self._struct(x.detach().contiguous(), "x", np.float32)
        self.t = None if t is None else self._struct(t, "t", np.float32)
        self.y = None if y is None else self._struct(y, "y", np.int64)

    def _struct(self, value: Any, name: str, dtype: Any) -> Any:
        tensor, array = as_tensor(value, name, dtype=dtype)
        self._keep += [tensor, array]
        return ctypes.byref(tensor)


def _output_shape(model: Model, x: torch.Tensor) -> Tuple[int, ...]:
    if model.family == "ViT":
        return (x.shape[0], int(model.config.classes))
    if model.family == "VAE":
        return tuple(x.shape)
    return (x.shape[0], int(lib.usp_dit_out_channels(model.handle)), *x.shape[2:])


def _copied(values: Any, name: str, dtype: Any, count: int) -> Any:
    """One number a sample, out of reach of what happens to the caller's until the pass back."""
    if values is None:
        return None
    if isinstance(values, torch.Tensor) and values.requires_grad:
        raise ArgumentError(f"{name}: requires a gradient, which is not computed; pass {name}.detach()")
    return vector(values, name, dtype, count).copy()


class _Pass(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, model: Model, names: Any, t: Any, y: Any, x: torch.Tensor, *_values: torch.Tensor
    ) -> torch.Tensor:
        t = _copied(t, "t", np.float32, x.shape[0])
        y = _copied(y, "y", np.int64, x.shape[0])
        asked = _Call(x, t, y)
        out, array = result(None, _output_shape(model, x))
        call(lib.usp_model_output, model.handle, asked.x, asked.t, asked.y, ctypes.byref(out))
        # The model is a copy of the parameters' values; x is the caller's, and torch tells of changes.
        ctx.save_for_backward(x)
        ctx.model, ctx.names, ctx.t, ctx.y = model, names, t, y
        return torch.from_numpy(array)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        (x,) = ctx.saved_tensors
        asked = _Call(x, ctx.t, ctx.y)
        seed, _keep = as_tensor(gradient.detach().contiguous(), "gradient")
        out, array = result(None, tuple(x.shape))
        gradients = Checkpoint._made(
            lambda *arguments: lib.usp_model_backward(
                ctx.model.handle, asked.x, asked.t, asked.y, ctypes.byref(seed),
                ctypes.byref(out), *arguments))
        own = _gradients(gradients, ctx.names)
        return (None, None, None, None, torch.from_numpy(array), *own)


def _gradients(gradients: Checkpoint, names: Any) -> Any:
    """In the order of the names; None for what the library does not train: a fixed table."""
    return [
        torch.from_numpy(gradients[name].copy()) if name in gradients else None for name in names]


__all__ = ["Module", "state_dict", "with_state"]
