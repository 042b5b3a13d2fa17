"""How robust networks are, and where in a diffusion transformer the classes are."""

from __future__ import annotations

import ctypes
import json
import os
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Union

import numpy as np

from . import _abi
from ._arrays import as_tensor, result
from ._call import call, encoded, numbers_text, options, view_text
from ._callbacks import Callbacks, Progress
from ._errors import ArgumentError
from ._handles import Handle, handle_of
from ._library import lib
from ._model import model_of
from .data import Data
from .dit import DiT
from .vae import VAE, GivenVAE, vae_of
from .vit import ViT

Tell = Union[Callable[[Progress], Any], bool, None]


class Measurement:
    """What a measurement has found.

    Attributes
    ----------
    numbers : levels and accuracies, as the JSON has them
    table : the same in a few lines
    pictures : name -> SVG
    """

    def __init__(self, handle: Handle):
        self.numbers: Dict[str, Any] = json.loads(view_text(lib.usp_measurement_json(handle.handle)))
        self.table = view_text(lib.usp_measurement_table(handle.handle))
        self.pictures: Dict[str, str] = {}
        while (name := lib.usp_measurement_picture_name(handle.handle, len(self.pictures))) is not None:
            svg = lib.usp_measurement_picture(handle.handle, len(self.pictures))
            self.pictures[view_text(name)] = view_text(svg)

    def save(self, folder: "Union[str, os.PathLike[str]]", name: str = "measurement") -> List[str]:
        """Writes NAME.json and NAME-PICTURE.svg into a folder, which is made; gives the paths."""
        os.makedirs(folder, exist_ok=True)
        texts = {f"{name}.json": json.dumps(self.numbers, indent=2) + "\n"}
        texts.update({f"{name}-{title}.svg": svg for title, svg in self.pictures.items()})
        paths = []
        for file, text in texts.items():
            paths.append(os.path.join(folder, file))
            with open(paths[-1], "w", encoding="utf-8") as target:
                target.write(text)
        return paths

    def __repr__(self) -> str:
        return f"<usp.Measurement: {', '.join(self.pictures)}>\n{self.table}"

    def _repr_html_(self) -> str:
        return "".join(self.pictures.values())


class _MeasurementHandle(Handle):
    kind = "usp_measurement"


def _measured(function: Any, options: Any, progress: Tell, *arguments: Any) -> Measurement:
    callbacks = Callbacks()
    options.progress = callbacks.progress(progress)
    handle = _MeasurementHandle.__new__(_MeasurementHandle)
    handle._adopt(function, *arguments, ctypes.byref(options), through=callbacks)
    with handle:
        return Measurement(handle)


def robustness(
    models: "Union[ViT, Mapping[str, ViT]]", data: Data, vae: GivenVAE = None, *,
    progress: Tell = None,
    # options: usp_robustness_options
    sigmas: str = "0.08,0.12,0.18,0.26,0.38", steps: str = "50,100,200,300,400,500,600",
    shares: str = "0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8", samples: Optional[int] = None, seed: int = 0,
    # end of options
) -> Measurement:
    """The accuracy of classifiers, side by side, on the same samples with the same noise.

    The paper's first observation is that networks pretrained on latents stay accurate on noisy ones.

    Parameters
    ----------
    models : a classifier, or several by name; each takes the data's samples or the latents of `vae`.
        A probe of an encoder (`usp.finetune(..., probe=True)`) is one as well
    data : with labels; of images each noise has its part (they are cut as to measure on them), of
        latents those that are not of pixels, and `numbers["note"]` says so
    vae : what images go through, or its file; None: what `data` has
    progress : function(Progress) or True (tqdm); False from the function stops

    Other Parameters
    ----------------
    sigmas : str, default "0.08,0.12,0.18,0.26,0.38"
        Deviations of noise in pixels of 0 to 1, in ImageNet-C's steps (0.08 to 0.38); images are
        then cut to 256 levels; none: without. Latents have no pixels. 0 to 10. Default:
        0.08,0.12,0.18,0.26,0.38.
    steps : str, default "50,100,200,300,400,500,600"
        Steps of DDPM's 1,000 after which a model's inputs, latents or pixels, are shown; none:
        without. 1 to 1000. Default: 50,100,200,300,400,500,600.
    shares : str, default "0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8"
        Shares s of noise on SiT's path, (1 - s) x + s e; none: without. 0 to 1. Default:
        0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8.
    samples : Optional[int], optional
        Samples, evenly over the data; absent: all of them. 1 or more.
    seed : int, default 0
        Seed of the noise, which is the same at all levels and for all models. Default: 0.

    Returns
    -------
    Measurement
        `numbers["pixels"]`, `["ddpm"]` and `["linear"]` have the levels ("sigma", "t", "share"; 0,
        no noise, is first) and "accuracy", a list for each model's name

    Examples
    --------
    >>> model = usp.ViT.create(grid=2, channels=4, patch=2, width=16, depth=1, heads=2, classes=3)
    >>> latents = usp.random.normal((9, 4, 4, 4))
    >>> usp.Checkpoint({"latents": latents, "labels": np.arange(9) % 3}).save("latents.npz")
    >>> found = usp.robustness({"untrained": model}, usp.Data("latents.npz", batch=3), shares="0.5")
    >>> found.numbers["linear"]["share"], sorted(found.pictures)
    ([0.0, 0.5], ['ddpm', 'linear'])
    """
    if isinstance(models, Mapping):
        named = {name: model_of(model, f"models: {name}", ViT) for name, model in models.items()}
    else:
        named = {"model": model_of(
            models, "models", ViT, other=', or several by name, {"name": model, ...}')}
    vae = vae_of(vae)
    given = options(
        _abi.usp_robustness_options, sigmas=numbers_text(sigmas), steps=numbers_text(steps),
        shares=numbers_text(shares), samples=samples, seed=seed)
    handles = (ctypes.POINTER(_abi.usp_model) * max(len(named), 1))(
        *(model.handle for model in named.values()))
    names = (ctypes.c_char_p * max(len(named), 1))(*(encoded(name) for name in named))
    return _measured(
        lib.usp_robustness, given, progress, handles, names, len(named),
        handle_of(data, "data", Data), handle_of(vae, "vae", VAE))


def probe_diffusion(
    model: DiT, data: Data, val: Optional[Data] = None, *, progress: Tell = None,
    # options: usp_probe_options
    times: Optional[str] = None, blocks: Optional[str] = None, samples: int = 5000,
    test_samples: Optional[int] = None, steps: int = 200, final_epochs: float = 90.0,
    batch: int = 500, rate: Optional[float] = None, seed: int = 0,
    # end of options
) -> Measurement:
    """Where in a diffusion transformer the classes are: linear probes after blocks, at times.

    Each probe is a batch norm and a linear layer on the mean of the tokens for the null class, trained
    by LARS. The features of a time are made once, for all blocks; the best cell is trained to the end.

    Parameters
    ----------
    model : DiT, SiT or LightningDiT, REPA's too; with a null class
    data : latents with labels, or images with their autoencoder, cut in the middle
    val : of the same classes; None: every fifth sample of `data`. The best cell is chosen on it as well
    progress : function(Progress) or True (tqdm); False from the function stops

    Other Parameters
    ----------------
    times : Optional[str], optional
        Times on the model's scale: steps 0 to 999 of a DiT; 0 to 1 of a flow, where 1 is data (SiT)
        or noise (REPA, its file tells). Empty: eight steps up to 700, or seven shares of noise up
        to 0.7. 0 to 999. Default: none.
    blocks : Optional[str], optional
        Blocks, from 1. Empty: all. 1 to 65536. Default: none.
    samples : int, default 5000
        Samples to learn from, evenly over the data; absent: all. 2 or more. Default: 5000.
    test_samples : Optional[int], optional
        Samples to measure on; absent: all. 1 or more.
    steps : int, default 200
        Steps of the probe of a cell. 1 to 1000000. Default: 200.
    final_epochs : float, default 90.0
        Passes over the samples by which the best cell is trained to the end; 0: it is not. 0 to
        100000. Default: 90.
    batch : int, default 500
        Features of a step. 1 or more. Default: 500.
    rate : Optional[float], optional
        LARS's rate for a batch of 256, in proportion for others; absent: the best of 0.3, 1, 3, 10
        and 30 on a tenth of the samples, on the middle block at the first time. 0 or more.
    seed : int, default 0
        Seed of the noise, of the probes and of their order. Default: 0.

    Returns
    -------
    Measurement
        `numbers` has "blocks", "times", "accuracy" (a row for each block), "rate" and "best" (block,
        time, accuracy; trained: its accuracy at the end); the picture "map" is the heat map

    Examples
    --------
    >>> model = usp.SiT.create(grid=2, width=16, depth=2, heads=2, classes=3)
    >>> latents = usp.random.normal((30, 4, 4, 4))
    >>> usp.Checkpoint({"latents": latents, "labels": np.arange(30) % 3}).save("latents.npz")
    >>> found = usp.probe_diffusion(
    ...     model, usp.Data("latents.npz", batch=3), times="1,0.5", steps=5, rate=1, final_epochs=1)
    >>> found.numbers["blocks"], np.shape(found.numbers["accuracy"])
    ([1, 2], (2, 2))
    """
    model = model_of(model, "model", DiT)
    given = options(
        _abi.usp_probe_options, times=numbers_text(times), blocks=numbers_text(blocks),
        samples=samples, test_samples=test_samples, steps=steps, final_epochs=final_epochs,
        batch=batch, rate=rate, seed=seed)
    return _measured(
        lib.usp_probe_diffusion, given, progress, model.handle, handle_of(data, "data", Data),
        handle_of(val, "val", Data))


def principal_colours(tokens: Any) -> np.ndarray:
    """Tokens [N, T, D] as colours uint8 [N, T, 3], as people look at DINOv2.

    The first three principal components of all tokens together, each from its 1st to its 99th
    percentile as 0 to 255 of red, green and blue; its largest weight is positive.

    Examples
    --------
    >>> model = usp.ViT.create(grid=4, channels=3, patch=4, width=32, depth=2, heads=2, classes=10)
    >>> images = usp.random.normal((2, 3, 16, 16), seed=1)
    >>> [tokens] = model.features(images, layers=[2], tokens=True)
    >>> usp.principal_colours(tokens).reshape(2, 4, 4, 3).shape
    (2, 4, 4, 3)
    """
    tensor, array = as_tensor(tokens, "tokens", shape=["N", "T", "D"])
    out, colours = result(None, (*array.shape[:2], 3), dtype=np.uint8)
    call(lib.usp_principal_colours, ctypes.byref(tensor), ctypes.byref(out))
    return colours
