"""Studies: what pretraining does on one's own images, in one call."""

from __future__ import annotations

import json
import os
import shlex
from typing import Any, Callable, Dict, Union

from ._call import composed, encoded
from ._callbacks import Callbacks, Progress
from ._config import parsed
from ._library import lib
from .pipeline import told_seed
from .stage import as_file, settings_text

#: what a study takes as its source
IMAGES = 'a folder of images, "colour" or "fashion-mnist"'


class Study:
    """What a study has found.

    Attributes
    ----------
    folder : where everything is
    page : the path of its page, one HTML file
    metrics : the numbers and curves of metrics.json, by name
    """

    def __init__(self, folder: str):
        self.folder = folder
        self.page = os.path.join(folder, "index.html")
        with open(os.path.join(folder, "metrics.json"), encoding="utf-8") as file:
            self.metrics: Dict[str, Any] = json.load(file)

    def __repr__(self) -> str:
        generation = self.metrics.get("generation", {})
        speedup = generation.get("speedup")
        return f"<usp.Study: {self.page}" + (
            f", generation {speedup:.2f} times sooner>" if speedup else ">")

    def _repr_html_(self) -> str:
        return f'<a href="{self.page}">{self.page}</a>'


def study(
    source: "Union[str, os.PathLike[str]]", out: "Union[str, os.PathLike[str]]", *,
    length: str = "standard", progress: "Union[Callable[[Progress], Any], bool, None]" = None,
    **settings: Any,
) -> Study:
    """Try USP on a folder of images, beside its controls, and write a page about it.

    Trains an autoencoder and a judge of samples, pretrains a masked transformer on the latents, and
    compares what starts from it with what starts fresh, on the same data, order and noise: the
    Frechet distance of a SiT's samples over steps, for several seeds; where there are classes also
    probes, few labels, fine-tuning, accuracy under noise; else nearest neighbours.

    Parameters
    ----------
    source : a folder of images, with one subfolder for each class or without any; "colour", the
        photographs of Debian's wallpaper packages; or "fashion-mnist"
    out : folder of the page, metrics.json, pictures and checkpoints. The same call goes on after an
        interruption, to the same bits; with other settings what they concern is made again
    length : "quick", "standard" or "full"
    progress : function(Progress), called while it works; True shows bars (tqdm); False from the
        function stops, and all is saved
    settings : what differs: seed (None draws one, told by the log of Python's logging "usp" and in
        `metrics["settings"]`, and makes all anew), seeds, size, vae (a file, "small", or a model,
        which is written into `out`), ablate="mask-ratio,gates", ...; `usp.study_settings(source)` has
        all
    """
    images, folder = encoded(source, "source", IMAGES), encoded(out, "out", "a folder's path")
    for name in ("vae", "inception"):
        as_file(settings, name, os.fspath(out))
    if "seed" in settings:
        settings["seed"] = told_seed("study", settings["seed"])
    callbacks = Callbacks()
    pointer = callbacks.progress(progress)
    callbacks.call(
        lib.usp_study_run, images, folder, encoded(length, "length"),
        encoded(settings_text(settings)), pointer, None)
    return Study(os.fspath(out))


def study_settings(
    source: "Union[str, os.PathLike[str]]", *, length: str = "standard", **settings: Any,
) -> Dict[str, Any]:
    """All settings of a study of these images, by name.

    Examples
    --------
    >>> usp.study_settings("fashion-mnist", length="quick", seeds=2)["seeds"]
    2
    """
    text = composed(
        lib.usp_study_text, encoded(source, "source", IMAGES), encoded(length, "length"),
        encoded(settings_text(settings)))
    return {
        key: parsed(key, value)
        for key, value in (item.split("=", 1) for item in shlex.split(text))}
