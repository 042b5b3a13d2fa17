"""The pipeline in one call a stage, by the recipes of the papers: the tool's code and bytes.

    data = usp.Data("photos", size=64)
    vae = usp.autoencoder(data, factor=4)
    run = usp.pretrain(data, vae, epochs=200, log_dir="runs/1")
    sit = usp.train(data, vae, start=run.model)
    images = usp.sample(sit, vae, classes=["water"], num=8, steps=9)
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Sequence
from typing import Any, Callable, Dict, List, Mapping, Optional, Union

from ._call import encoded
from ._callbacks import Progress, shower, tqdm_progress
from ._errors import ArgumentError
from ._plot import Plot
from .data import Data
from .dit import SiT
from .random import drawn
from .run import Run, RunProgress
from .stage import Stage, recipe_values
from .vae import VAE, GivenVAE

Start = Any
Path = Union[str, "os.PathLike[str]"]
Callback = Callable[[Dict[str, Any]], Any]

_log = logging.getLogger("usp")


def told_seed(name: str, seed: Optional[int]) -> int:
    """The seed; one that is drawn is told, so that what comes of it can be made again."""
    key = drawn(seed)
    if seed is None:
        _log.info("%s: seed %d, drawn", name, key)
    return key


class Training:
    """What a stage has done.

    Attributes
    ----------
    model : the trained model; of a diffusion transformer its averaged weights
    history : the lines of the log, dicts of step, epoch, loss, rate, ... in order
    metrics : what was measured at the end: top1 and top5, or psnr
    notes : what was transferred, left out or made smaller
    log_dir : where model, state and log are; None where they were not kept
    """

    def __init__(
        self, model: Any, history: List[Dict[str, Any]], metrics: Dict[str, float],
        notes: List[str], log_dir: Optional[str],
    ):
        self.model, self.history, self.metrics = model, history, metrics
        self.notes, self.log_dir = notes, log_dir

    @property
    def accuracy(self) -> Optional[float]:
        """Share of the validation data whose class is the first guess; None without such data."""
        return self.metrics.get("top1")

    def plot(self, *names: str) -> Plot:
        """The curves of these numbers of the log over steps; by default the loss. An SVG, which a
        notebook shows and `.save(path)` writes."""
        return Plot(self.history, names or ("loss",))

    def __repr__(self) -> str:
        last = self.history[-1] if self.history else {}
        numbers = ", ".join(f"{name} {value:.4g}" for name, value in self.metrics.items())
        return (
            f"<usp.Training: {self.model!r}, {last.get('step', 0)} steps"
            + (f", {numbers}" if numbers else "") + ">")


def recipe(name: str, **changes: Any) -> Dict[str, Any]:
    """What a stage does where nothing is said: "autoencoder", "pretrain", "finetune", "probe" or
    "train". Names are those of the stage's keywords; values at their general defaults are left out.
    """
    return recipe_values(name, changes)


def autoencoder(
    data: Data, *, factor: int = 8, steps: Optional[int] = None, epochs: Optional[float] = None,
    val: Optional[Data] = None, log_dir: Optional[Path] = None, seed: Optional[int] = 0,
    callbacks: "Union[Callback, Sequence[Callback], None]" = None, progress: Any = None,
    **settings: Any,
) -> VAE:
    """A small KL autoencoder of these images, with latents of unit variance.

    `factor`, a power of 2, is how many image pixels a latent one stands for along each side. A part
    of the images (`held_out`, 0.05) is kept to measure on, or `val` is; the ratio of signal to noise
    is logged. With `align` and data that has a teacher the latents are aligned with its features, as
    VA-VAE's (`distmat_margin`, `cos_margin`). Other settings: `batch`, `rate`, `latent_channels`,
    `base_width`, `kl_weight`, `reconstruction` ("absolute" or "squared"), `start` (a VAE to go on with),
    and others as for `pretrain`. See `usp.recipe("autoencoder")`.
    """
    done = _run(
        "autoencoder", data, None, settings.pop("start", None), val, log_dir, callbacks, progress,
        dict(settings, factor=factor, steps=steps, epochs=epochs, seed=seed))
    model: VAE = done.model
    return model


def pretrain(
    data: Data, vae: GivenVAE = None, *, epochs: Optional[float] = None,
    steps: Optional[int] = None, start: Start = None, log_dir: Optional[Path] = None,
    seed: Optional[int] = 0, callbacks: "Union[Callback, Sequence[Callback], None]" = None,
    progress: Any = None, **settings: Any,
) -> Training:
    """USP's first stage: a masked autoencoder on the latents of these images.

    Parameters
    ----------
    data : images, whose size stays; crops, batch and order are the recipe's, where `data` does not
        say otherwise; or latents
    vae : what images go through, or its file; None: what `data` has
    epochs, steps : the length, one of them; by default the recipe's 800 epochs
    start : a masked autoencoder, what `pretrain` returned, a file or a usp.Checkpoint to go on from; by
        default a fresh one
    log_dir : folder of model, state and log; the same call goes on after an interruption. None
        keeps nothing
    seed : of everything random; None draws one, which the log of Python's logging "usp" tells
    callbacks : function, or functions, called with each line of the log
    progress : function(RunProgress), called after each step, or True (tqdm)
    settings : `model` (a published name, "MAE-B/2"), or sizes (`patch`, `width`, `depth`, `heads`,
        `decoder_width`, `decoder_depth`, `decoder_heads`), `batch`, `blr` or `rate`, `warmup_epochs`,
        `save_every`, `log_every`, and options of `usp.Trainer` (`mask_ratio`, `dtype`, ...) and
        `usp.Data` (`augmentation`, `mirror`, ...) by name. What samples are is said where the data is
        opened: their side, channels, cache, masks, teacher. See `usp.recipe("pretrain")`
    """
    return _run(
        "pretrain", data, vae, start, None, log_dir, callbacks, progress,
        dict(settings, epochs=epochs, steps=steps, seed=seed))


def finetune(
    data: Data, vae: GivenVAE = None, *, start: Start = None, val: Optional[Data] = None,
    probe: bool = False, recipe: Optional[str] = None, epochs: Optional[float] = None,
    steps: Optional[int] = None, log_dir: Optional[Path] = None, seed: Optional[int] = 0,
    callbacks: "Union[Callback, Sequence[Callback], None]" = None, progress: Any = None,
    **settings: Any,
) -> Training:
    """A classifier of these images from pretrained weights; `.accuracy` is on `val`.

    `start` is a model of any family, what `pretrain` returned, or a file; without it the classifier
    starts from scratch.
    `probe` trains a linear classifier on the frozen encoder. `recipe` names published values, with
    RandAugment and random erasing: "usp-b", "mae-b", "mae-l" (with mixup and CutMix too); on latents,
    whose images were encoded before, `notes` tell what of it is left out. Other parameters as for
    `pretrain`; see `usp.recipe("finetune")`, `usp.recipe("mae-b")` and `usp.recipe("probe")`.
    """
    if recipe is not None and (probe or recipe not in ("finetune", "usp-b", "mae-b", "mae-l")):
        raise ArgumentError(
            f"recipe: {recipe!r}, expected 'usp-b', 'mae-b' or 'mae-l', and none in a probe")
    return _run(
        "probe" if probe else recipe or "finetune", data, vae, start, val, log_dir, callbacks,
        progress, dict(settings, epochs=epochs, steps=steps, seed=seed),
        called="probe" if probe else "finetune")


def train(
    data: Data, vae: GivenVAE = None, *, start: Start = None, val: Optional[Data] = None,
    steps: Optional[int] = None, epochs: Optional[float] = None, log_dir: Optional[Path] = None,
    seed: Optional[int] = 0, callbacks: "Union[Callback, Sequence[Callback], None]" = None,
    progress: Any = None, **settings: Any,
) -> SiT:
    """A diffusion transformer of these images' classes: its averaged weights, to sample from.

    `start` is a DiT or SiT to go on with; or another transformer, such as a masked autoencoder,
    whose weights are transferred (to a SiT, or to `family="DiT"`), which the log of Python's
    logging "usp" tells; or None: a fresh SiT-B/2, or of other sizes. A `usp.MAR` to start from, or
    `family="MAR"`, trains a masked autoregressive model by `usp.recipe("autoregress")` and returns it,
    with `copies`, `dropout`, `buffer`, `head_width`, `head_depth` and `decoder_rule` beside the other
    options; a masked autoencoder gives its decoder where it fits. The loss on `val` is logged
    each epoch; `sample_every=N` writes a picture of 32 samples into log_dir every N steps,
    `frechet_every=N` with `judge` (a classifier or an Inception, or its file) logs their
    distance. Other parameters as for `pretrain`; see `usp.recipe("train")`.
    """
    if settings.get("sample_every") is not None and log_dir is None:
        raise ArgumentError("sample_every: needs log_dir, where the pictures are written")
    done = _run(
        "train", data, vae, start, val, log_dir, callbacks, progress,
        dict(settings, epochs=epochs, steps=steps, seed=seed))
    model: SiT = done.model
    return model


def segment(
    data: Data, vae: GivenVAE = None, *, classes: int, head: str = "upernet",
    start: Start = None, val: Optional[Data] = None, epochs: Optional[float] = None,
    steps: Optional[int] = None, log_dir: Optional[Path] = None, seed: Optional[int] = 0,
    callbacks: "Union[Callback, Sequence[Callback], None]" = None, progress: Any = None,
    **settings: Any,
) -> Training:
    """A network that gives every pixel a class, from pretrained weights.

    `data` and `val` are `usp.Data(images, masks=...)`; masks have the labels 0 to classes - 1, or
    255. `head` is "upernet", mmsegmentation's recipe, or "linear", DINOv2's on a frozen encoder whose
    maps are made once. `.metrics` has miou, macc and aacc on `val`, at the files' sizes. Other
    parameters as for `pretrain`; see `usp.recipe("segment")` and `usp.recipe("segment-linear")`.
    """
    if head not in ("upernet", "linear"):
        raise ArgumentError(f"head: {head!r}, expected 'upernet' or 'linear'")
    return _run(
        "segment" if head == "upernet" else "segment-linear", data, vae, start, val, log_dir,
        callbacks, progress,
        dict(settings, classes=classes, epochs=epochs, steps=steps, seed=seed))


def _run(
    name: str, data: Data, vae: GivenVAE, start: Start, val: Optional[Data],
    log_dir: Optional[Path], callbacks: "Union[Callback, Sequence[Callback], None]", progress: Any,
    settings: Mapping[str, Any], called: Optional[str] = None,
) -> Training:
    if log_dir is not None:
        encoded(log_dir, "log_dir", "a folder's path")
    functions = [callbacks] if callable(callbacks) else callbacks or ()
    if not isinstance(functions, Sequence) or not all(map(callable, functions)):
        raise ArgumentError(
            f"callbacks: {type(callbacks).__name__}, expected a function, or several in a list")
    shown = shower(progress, lambda: bar(called or name))
    settings = dict(settings, seed=told_seed(called or name, settings["seed"]))
    options: Dict[str, Any] = {
        key: settings[key] for key in ("save_every", "log_every") if key in settings}
    rest = {key: value for key, value in settings.items() if key not in options}
    stage = Stage(name, data, vae, start=start, val=val, **rest)
    name = called or name
    for note in stage.notes:
        _log.info("%s: %s", name, note)
    with tempfile.TemporaryDirectory() as scratch:
        folder = scratch if log_dir is None else os.fspath(log_dir)
        os.makedirs(folder, exist_ok=True)
        output = os.path.join(folder, f"{name}.safetensors")
        if log_dir is not None:
            options["log_dir"] = folder
        run = Run._of_stage(stage, output, **options)
        history = run.train(progress=_LogReader(output, functions, shown))
        model = stage.model()
        if log_dir is not None and name == "autoencoder":
            model.save(output)  # with the scale, which is measured at the end
    return Training(
        model, history, stage.metrics, stage.notes, None if log_dir is None else folder)


class _LogReader:
    """Gives each new line of a run's log to functions, after the step that wrote it."""

    def __init__(self, output: str, functions: Sequence[Callback], progress: Any):
        self._log = os.path.splitext(output)[0] + "-log.jsonl"
        self._functions, self._place = functions, 0
        self._progress = progress
        if functions:
            self._skip()

    def _skip(self) -> None:
        """Lines of an earlier run are not told again."""
        try:
            self._place = os.path.getsize(self._log)
        except OSError:
            self._place = 0

    def __call__(self, told: RunProgress) -> Any:
        if self._functions:
            self._tell()
        return None if self._progress is None else self._progress(told)

    def _tell(self) -> None:
        with open(self._log, "rb") as file:
            if os.path.getsize(self._log) < self._place:
                self._place = 0  # begun anew
            file.seek(self._place)
            lines = file.read()
        self._place += len(lines)
        for line in lines.splitlines():
            entry = json.loads(line)
            if "step" not in entry:
                continue  # the heading
            for function in self._functions:
                function(entry)


def bar(title: str) -> Callable[[RunProgress], Any]:
    """A progress bar."""
    show = tqdm_progress()
    return lambda told: show(Progress(title, told.step, told.steps, told.seconds))
