"""What all samplers share: models and functions as denoisers, options, guidance."""

from __future__ import annotations

import ctypes
from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy as np

from . import _abi
from ._arrays import as_numpy, as_tensor, from_view, result, vector, widened
from ._call import options
from ._callbacks import Callbacks, Progress
from ._errors import ArgumentError, DTypeError, ShapeError
from ._handles import Handle

#: options that every sampler takes beside its own
SHARED = (
    "seed", "generator", "first_sample", "total_samples", "preview_interval", "reuse_interval",
    "reuse_threshold", "reuse_order", "null_interval")
#: and with arrays and callbacks
COMMON = (*SHARED, "noise", "progress", "preview", "denoised_fn")


class Run:
    """One call of a sampler or a loss: its structs, its arrays, its callbacks."""

    def __init__(self) -> None:
        self.callbacks = Callbacks()
        self._keep: List[Any] = []

    def array(self, value: Any, name: str, **expected: Any) -> Any:
        """A pointer to the struct of an array; None stays NULL."""
        if value is None:
            return None
        tensor, keep = as_tensor(value, name, **expected)
        self._keep += [tensor, keep]
        return ctypes.pointer(tensor)

    def latents(self, value: Any, name: str) -> Tuple[Any, Tuple[int, ...]]:
        """Latents [B, C, H, W] and their shape."""
        pointer = self.array(value, name, shape=["B", "C", "H", "W"])
        tensor = pointer.contents
        return pointer, tuple(tensor.shape[: tensor.rank])

    def numbers(self, value: Any, name: str, dtype: Any, count: int) -> Any:
        """A short vector, converted; None stays NULL."""
        if value is None:
            return None
        return self.array(vector(value, name, dtype, count), name, dtype=dtype)

    def features(self, value: Any) -> Tuple[int, Any]:
        """How many teachers' features there are, and an array of their structs."""
        teachers = value if isinstance(value, (list, tuple)) else [value]
        given = [self.array(x, "features").contents for x in teachers if x is not None]
        return len(given), (_abi.usp_tensor * len(given))(*given) if given else None

    def output(self, out: Any, shape: Any, name: str = "out") -> Tuple[Any, np.ndarray]:
        tensor, array = result(out, shape, name)
        self._keep += [tensor, array]
        return ctypes.pointer(tensor), array

    def denoiser(
        self, model: Any, batch: int, cfg_scale: Any = None, cfg_channels: Optional[int] = None,
        cfg_interval: Optional[Tuple[float, float]] = None, null_class: Optional[int] = None,
    ) -> Any:
        """The struct of a library model or of any callable (x, t, y) -> array."""
        begin, end = cfg_interval if cfg_interval is not None else (None, None)
        each = cfg_scale is not None and np.ndim(cfg_scale) > 0
        struct = options(
            _abi.usp_denoiser, cfg_scale=None if each else cfg_scale, cfg_channels=cfg_channels,
            cfg_begin=begin, cfg_end=end, null_class=null_class)
        if each:
            struct.cfg_scales = self.numbers(cfg_scale, "cfg_scale", np.float32, batch)
        if isinstance(model, Handle):
            struct.model = model.handle
        elif callable(model):
            struct.function = self.callbacks.wrap(_abi.usp_denoise_fn, evaluation(model))
        else:
            raise ArgumentError(f"model: {type(model).__name__} is neither a model nor callable")
        self._keep += [struct, model]
        return ctypes.byref(struct)

    def sampling(self, shape: Tuple[int, ...], given: Dict[str, Any], **own: Any) -> Any:
        """The struct of usp_sample_options; `given` are keywords that all samplers share."""
        unknown = set(given) - set(COMMON)
        if unknown:
            raise TypeError(f"unexpected keyword: {', '.join(sorted(unknown))}")
        struct = options(
            _abi.usp_sample_options, **{name: given[name] for name in SHARED if name in given},
            **own)
        struct.noise = self.array(
            given.get("noise"), "noise", shape=["steps", *shape])
        struct.progress = self.callbacks.progress(given.get("progress"))
        preview = given.get("preview")
        if preview is not None:
            struct.preview = self.callbacks.wrap(_abi.usp_progress_fn, previewer(preview))
        denoised = given.get("denoised_fn")
        if denoised is not None:
            struct.adjust_start = self.callbacks.wrap(_abi.usp_start_fn, adjuster(denoised))
        self._keep.append(struct)
        return ctypes.byref(struct)


def sample(
    function: Any, process: Handle, model: Any, start: Any, y: Any, out: Any,
    common: Dict[str, Any], guidance: Tuple[Any, ...], **own: Any,
) -> np.ndarray:
    """One run of a sampler of the library: latents like those it starts from."""
    run = Run()
    latents, shape = run.latents(start, "z")
    target, array = run.output(out, shape)
    run.callbacks.call(
        function, process.handle, run.denoiser(model, shape[0], *guidance), latents,
        run.numbers(y, "y", np.int64, shape[0]), run.sampling(shape, common, **own), target)
    return array


def copied(pointer: Any) -> Optional[np.ndarray]:
    """A copy of an array that the library lends for the length of a callback."""
    if not pointer:
        return None
    array = from_view(pointer.contents, None)
    if pointer.contents.dtype == _abi.usp_dtype.USP_BF16:
        return widened(array)
    return array.copy()


def real_values(value: Any, name: str) -> np.ndarray:
    """What a callback returned, as real numbers."""
    array, is_bfloat16 = as_numpy(value, name)
    if array.dtype.kind not in "fiub":
        raise DTypeError(f"{name}: dtype {array.dtype}, expected real numbers")
    return widened(array) if is_bfloat16 else array


def evaluation(model: Callable[..., Any]) -> Callable[..., None]:
    """The C form of a denoiser that is a Python function."""

    def call(x: Any, t: Any, y: Any, out: Any, _user: Any) -> None:
        target = from_view(out.contents, None)
        target.flags.writeable = True
        value = real_values(model(copied(x), copied(t), copied(y)), "model output")
        if value.ndim == 4 and value.shape[1] == 2 * target.shape[1]:
            value = value[:, : target.shape[1]]
        if value.shape != target.shape:
            raise ShapeError(
                f"model output: shape {list(value.shape)}, expected {list(target.shape)}")
        target[...] = value

    return call


def adjuster(function: Callable[[Any], Any]) -> Callable[..., None]:
    """The C form of a function from predicted latents to other ones."""

    def call(pointer: Any, _user: Any) -> None:
        target = from_view(pointer.contents, None)
        target.flags.writeable = True
        value = real_values(function(copied(pointer)), "denoised_fn")
        if value.shape != target.shape:
            raise ShapeError(
                f"denoised_fn: shape {list(value.shape)}, expected {list(target.shape)}")
        target[...] = value

    return call


def previewer(function: Callable[[Progress, Any], Any]) -> Callable[..., None]:
    """The C form of a preview callback (progress, latents)."""

    def call(pointer: Any, _user: Any) -> None:
        raw = pointer.contents
        stage = (raw.stage or b"").decode("utf-8", "replace")
        function(Progress(stage, raw.step, raw.steps, raw.seconds), copied(raw.latents))

    return call
