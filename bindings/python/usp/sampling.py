"""Pictures from a generator: classes by name, noise, solver, decoder in one call."""

from __future__ import annotations

import difflib
import warnings
from typing import Any, List, Optional, Sequence, Tuple, Union

import numpy as np

from ._call import composed, whole_number
from ._errors import ArgumentError, ShapeError
from ._library import lib
from ._model import Source, model_of
from .diffusion import Diffusion
from .dit import DiT, SiT
from .images import Images, to_uint8
from .mar import MAR
from .random import drawn, normal
from .transport import Transport
from .vae import VAE, vae_of

Classes = Union[None, int, str, Sequence[Union[int, str]]]


def sample(
    model: Union[DiT, MAR], vae: "Union[VAE, Source]", *, classes: Classes = None, num: Optional[int] = None,
    steps: Optional[int] = None, solver: Optional[str] = None, cfg_scale: Any = 1.0,
    cfg_interval: Optional[Tuple[float, float]] = None, seed: Optional[int] = 0, batch: int = 8,
    process: "Union[Transport, Diffusion, None]" = None, progress: Any = None,
    iterations: Optional[int] = None, cfg_schedule: Optional[str] = None,
    temperature: Optional[float] = None, last_steps: Optional[int] = None,
    reuse_interval: Optional[int] = None, reuse_threshold: Optional[float] = None,
    reuse_order: Optional[int] = None, null_interval: Optional[int] = None,
) -> Images:
    """Images uint8 [N, H, W, C] of classes; `.save("grid.png")` writes them, a notebook shows them.

    Parameters
    ----------
    model : a SiT; a DiT, which is asked by DDPM's steps; or a MAR
    vae : the autoencoder whose latents it was trained on, or its file; another one gets a warning
    classes : names (see `model.class_names`) or numbers, taken in turn; None: every class
    num : how many images; by default one for each class, at most 16 where none is named
    steps : points of time (SiT, 50), steps (DiT, 250), or reverse steps of a token (MAR, 100)
    solver : of a SiT, see `usp.Transport.sample_ode`; by default "adams-bashforth", which comes
        near with few steps
    cfg_scale : guidance; 1 is off. One number, or one an image (not of a MAR)
    seed : of the noise, a stream for each image; None draws afresh
    process : what the model was trained for, where it is not the usual: a Transport (SiT) or a
        respaced Diffusion (DiT)
    iterations : of a MAR, at most its tokens; by default 64, or as many as there are tokens
    cfg_schedule, temperature, last_steps : of a MAR, see `usp.MAR.sample`
    reuse_interval, reuse_threshold, reuse_order : when a SiT's or DiT's blocks are computed again: at
        every so many evaluations, or when their input has changed by so much; order 1 carries on what
        they added along a line (FORA, TeaCache, TaylorSeer)
    null_interval : guidance's null half is computed at every so many evaluations
    """
    model = model_of(model, "model", DiT, MAR)
    tokens = dict(
        iterations=iterations, cfg_schedule=cfg_schedule, temperature=temperature,
        last_steps=last_steps)
    reuse = {name: value for name, value in (
        ("reuse_interval", reuse_interval), ("reuse_threshold", reuse_threshold),
        ("reuse_order", reuse_order), ("null_interval", null_interval)) if value is not None}
    if isinstance(model, MAR):
        refuse(model, solver=solver, process=process, cfg_interval=cfg_interval, **reuse)
    else:
        refuse(model, **tokens)
    decoder: VAE = model_of(vae_of(vae), "vae", VAE)
    if decoder.latent_channels != model.config.channels:
        raise ShapeError(
            f"vae: latents of {decoder.latent_channels} channels, the model's have "
            f"{model.config.channels}")
    batch = whole_number(batch, "batch", 1)
    warn_of_other_autoencoder(model, decoder)
    labels = chosen(model, classes, num)
    key = drawn(seed)
    noise = None if isinstance(model, MAR) else normal(model.input_shape(len(labels)), key)
    parts = []
    for first in range(0, len(labels), batch):
        part = slice(first, min(first + batch, len(labels)))
        common = dict(
            seed=key, first_sample=first, total_samples=len(labels), progress=progress)
        if noise is None:
            latents = _draw_tokens(model, labels[part], steps, cfg_scale, tokens, common)
        else:
            latents = _draw(
                model, noise[part], labels[part], steps, solver, cfg_scale, cfg_interval, process,
                {**common, **reuse})
        parts.append(to_uint8(decoder.decode(latents)))
    return np.concatenate(parts).view(Images)


def refuse(model: Any, **given: Any) -> None:
    """Refuses what has no part in the model."""
    for name, value in given.items():
        if value is not None:
            raise ArgumentError(f"{name}: has no part in a {type(model).__name__}")


def _draw_tokens(
    model: Any, labels: np.ndarray, steps: Optional[int], cfg_scale: Any, given: Any, common: Any,
) -> np.ndarray:
    if np.ndim(cfg_scale) > 0:
        raise ArgumentError("cfg_scale: several numbers, expected one, since a MAR's images share it")
    said = {name: value for name, value in given.items() if value is not None}
    said.setdefault("iterations", min(64, model.tokens))
    if steps is not None:
        said["respacing"] = str(steps)
    latents: np.ndarray = model.sample(labels, cfg_scale=float(cfg_scale), **said, **common)
    return latents


def _draw(
    model: Any, noise: np.ndarray, labels: np.ndarray, steps: Optional[int],
    solver: Optional[str], cfg_scale: Any, cfg_interval: Optional[Tuple[float, float]],
    process: "Union[Transport, Diffusion, None]", common: Any,
) -> np.ndarray:
    guidance = dict(cfg_scale=cfg_scale, cfg_interval=cfg_interval)
    if isinstance(model, SiT):
        flow = Transport() if process is None else process
        if not isinstance(flow, Transport):
            raise ArgumentError("process: is a Diffusion, expected a Transport for a SiT")
        return flow.sample_ode(
            model, noise, labels, method=solver or "adams-bashforth",
            steps=50 if steps is None else steps, **guidance, **common)
    if solver is not None:
        raise ArgumentError("solver: has no part in a DiT, only in a SiT")
    if process is None:
        process = Diffusion(
            str(250 if steps is None else steps), learn_sigma=bool(model.config.learn_sigma))
    elif steps is not None:
        raise ArgumentError("steps, process: exclude each other; the process has its own steps")
    if not isinstance(process, Diffusion):
        raise ArgumentError("process: is a Transport, expected a Diffusion for a DiT")
    return process.p_sample_loop(model, noise, labels, **guidance, **common)


def chosen(model: Union[DiT, MAR], classes: Classes, num: Optional[int]) -> np.ndarray:
    """The labels of `num` images, [N] int64."""
    names = model.class_names
    count = int(model.config.classes)
    if classes is None:
        wanted = list(range(count))
        number = min(count, 16) if num is None else whole_number(num, "num", 1)
    else:
        several = not isinstance(classes, str) and hasattr(classes, "__iter__")
        items: List[Any] = list(classes) if several else [classes]  # type: ignore[arg-type]
        wanted = [label_of(item, names, count) for item in items]
        number = len(wanted) if num is None else whole_number(num, "num", 1)
    if not wanted:
        raise ArgumentError("classes: none, expected one or more")
    return np.array([wanted[index % len(wanted)] for index in range(number)], np.int64)


def label_of(item: Union[int, str], names: List[str], count: int) -> int:
    """The label of a class's name or number."""
    if isinstance(item, str) and item in names:
        return names.index(item)
    if isinstance(item, str) and not item.isdigit():
        if not names:
            raise ArgumentError(
                f"classes: {item!r}: the model knows no names, expected 0 to {count - 1}")
        near = difflib.get_close_matches(item, names, 1, 0)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ArgumentError(f"classes: unknown class {item!r}{hint}")
    label = whole_number(int(item) if isinstance(item, str) else item, "classes")
    if not 0 <= label < count:
        raise ArgumentError(f"classes: {label}, expected 0 to {count - 1}")
    return label


def warn_of_other_autoencoder(model: Any, vae: VAE) -> None:
    """Warns where a model was trained on another autoencoder's latents, or on others' scale."""
    note = composed(lib.usp_model_autoencoder_note, model.handle, vae.handle)
    if note:
        warnings.warn(note, stacklevel=3)
