"""Runs of training: they resume to the bit, log and save."""

from __future__ import annotations

import ctypes
import json
import os
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Union

from . import _abi
from ._call import call, encoded, options
from ._errors import Cancelled
from ._handles import Handle, handle_of
from ._library import lib
from .data import Data
from .trainer import Trainer

if TYPE_CHECKING:
    from .stage import Stage


class RunProgress:
    """Where a run stands after a step."""

    __slots__ = ("step", "steps", "epoch", "loss", "rate", "images_per_second", "seconds")

    step: int
    steps: int
    epoch: float
    loss: float
    rate: float
    images_per_second: float
    seconds: float

    def __init__(self, raw: Any):
        for name in self.__slots__:
            setattr(self, name, getattr(raw, name))


class Run(Handle):
    """A fresh trainer on a data set, from step to step up to a number. One thread at a time.

    Beside the model OUT stand OUT-state.safetensors, of which a run with the same options goes on
    to the same bits, and OUT-log.jsonl. A run that ends early (Ctrl-C, `cancel`) has saved all
    three; of several ranks, rank 0 writes. Until `train` returns, or the run is closed, another run
    with the same output is refused, in any process. What was read so far is known by its content:
    a run does not go on with samples that are others, and says which.

    Parameters
    ----------
    output : the model to write, .safetensors or .pt

    Other Parameters
    ----------------
    steps : Optional[int], optional
        Steps in all, those of earlier runs included; absent: as epochs say. 0 or more.
    epochs : Optional[float], optional
        Passes over the data; absent: as steps say. 0 to 1000000000.
    save_every : int, default 1000
        Save after so many steps, and every ten minutes. 1 or more. Default: 1000.
    log_every : int, default 10
        Add a line to the log every so many steps. 1 or more. Default: 10.
    restart : bool, default False
        Start anew, whatever an earlier run has left. Default: no.
    averaged : bool, default False
        Write the model with the moving average's values. Default: no.
    command : str, default "run"
        What the log and messages call the run. Default: run.
    evaluate_every : Optional[int], optional
        Measure every so many steps, beside the end of each epoch; absent: then alone. 1 or more.
    log_dir : Optional[str], optional
        A folder for TensorBoard, which is made: event files with the numbers of the log, and the
        pictures that a stage draws.

    Examples
    --------
    >>> usp.Checkpoint({"latents": usp.random.normal((8, 4, 4, 4))}).save("latents.npz")
    >>> model = usp.MaskedAutoencoder.create(
    ...     grid=2, width=16, depth=1, heads=2, decoder_width=16, decoder_depth=1, decoder_heads=2)
    >>> run = usp.Run(
    ...     trainer=usp.Trainer(model), data=usp.Data("latents.npz", batch=4),
    ...     output="mae.safetensors", epochs=3)
    >>> _ = run.train()
    >>> usp.load("mae.safetensors").config.width
    16
    """

    kind = "usp_run"

    def __init__(
        self, trainer: Trainer, data: Data, output: "Union[str, os.PathLike[str]]", *,
        # options: usp_run_options
        steps: Optional[int] = None, epochs: Optional[float] = None, save_every: int = 1000,
        log_every: int = 10, restart: bool = False, averaged: bool = False, command: str = "run",
        evaluate_every: Optional[int] = None, log_dir: Optional[str] = None,
        # end of options
    ):
        given = self._prepare(
            trainer, data, output, steps=steps, epochs=epochs, save_every=save_every,
            log_every=log_every, restart=restart, averaged=averaged, command=command,
            evaluate_every=evaluate_every, log_dir=log_dir)
        given.evaluate = self._callbacks.wrap(_abi.usp_run_evaluate_fn, self._measure)
        self._adopt(
            lib.usp_run_create, handle_of(trainer, "trainer", Trainer), handle_of(data, "data", Data),
            encoded(output), ctypes.byref(given),
            through=self._callbacks)

    def _prepare(
        self, trainer: Trainer, data: Data, output: "Union[str, os.PathLike[str]]", **given: Any
    ) -> Any:
        """The options, with what tells of progress."""
        handle_of(trainer, "trainer", Trainer)
        encoded(output, "output", "a file's path")
        self.trainer, self.data, self.output = trainer, data, os.fspath(output)
        self._callbacks = trainer._callbacks  # an all-reduce's exceptions end the run, too
        self._progress: Optional[Callable[[RunProgress], Any]] = None
        self._evaluate: Optional[Callable[[Trainer], Any]] = None
        struct = options(_abi.usp_run_options, **given)
        struct.progress = self._callbacks.wrap(_abi.usp_run_progress_fn, self._tell)
        return struct

    @classmethod
    def _of_stage(
        cls, stage: "Stage", output: "Union[str, os.PathLike[str]]", **given: Any
    ) -> "Run":
        """The run of a stage of the pipeline, which measures by itself."""
        self = cls.__new__(cls)
        struct = self._prepare(stage.trainer, stage.data, output, **given)
        self._adopt(
            lib.usp_stage_run, stage.handle, encoded(output), ctypes.byref(struct),
            through=self._callbacks)
        return self

    def train(
        self, *, progress: "Optional[Callable[[RunProgress], Any]]" = None,
        evaluate: "Optional[Callable[[Trainer], Mapping[str, float]]]" = None,
    ) -> List[Dict[str, Any]]:
        """Trains to the end, writes the model, and returns the log's lines.

        Parameters
        ----------
        progress : told after every step; False stops the run when all is saved
        evaluate : called with the trainer at the end of each epoch and of the run; the numbers that
            it gives by name are logged
        """
        self._progress, self._evaluate = progress, evaluate
        self._callbacks.call(lib.usp_run_train, self.handle)
        return self.history

    @property
    def history(self) -> List[Dict[str, Any]]:
        """The lines of the log so far; none on a rank that does not write it."""
        stem = os.path.splitext(self.output)[0]
        try:
            with open(f"{stem}-log.jsonl", encoding="utf-8") as log:
                return [json.loads(line) for line in log][1:]
        except FileNotFoundError:
            return []

    @property
    def steps(self) -> int:
        """Steps in all."""
        return int(lib.usp_run_steps(self.handle))

    @property
    def resumed(self) -> int:
        """Steps that an earlier run had made."""
        return int(lib.usp_run_resumed(self.handle))

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{self.trainer.steps} of {self.steps} steps"
        return f"<usp.Run: {self.output}, {state}>"

    def cancel(self) -> None:
        """Stops after the step under way, when all is saved; any thread may call it."""
        lib.usp_run_cancel(self.handle)

    def save(self) -> None:
        """Saves after the step under way, and goes on; any thread, or a signal's handler, may call
        it."""
        lib.usp_run_save(self.handle)

    def _tell(self, pointer: Any, _user: Any) -> None:
        if self._progress is not None and self._progress(RunProgress(pointer.contents)) is False:
            raise Cancelled("the progress callback returned False")

    def _measure(self, _run: Any, _user: Any) -> None:
        if self._evaluate is None:
            return
        for name, value in (self._evaluate(self.trainer) or {}).items():
            call(lib.usp_run_metric, self.handle, encoded(name), float(value))
