"""Callbacks into Python: exceptions are kept, stop the run, and are raised after the call."""

from __future__ import annotations

import signal
import sys
import threading
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

from . import _abi
from ._call import check, file_error, last_error, status_of
from ._errors import ArgumentError, FileError


class Progress:
    """What a progress callback is given: `stage`, `step`, `steps` (0 if unknown), `seconds`."""

    __slots__ = ("stage", "step", "steps", "seconds")

    def __init__(self, stage: str, step: int, steps: int, seconds: float):
        self.stage, self.step, self.steps, self.seconds = stage, step, steps, seconds

    def __repr__(self) -> str:
        return (
            f"Progress({self.stage!r}, step={self.step}, steps={self.steps}, "
            f"seconds={self.seconds:.2f})")


class Callbacks:
    """The callbacks of one call of the library.

    Keeps their thunks alive, notes the first exception of any of them, and lets Ctrl-C through:
    Python sees a signal only while Python code runs, and an interrupt raised between the library
    and a callback would be lost, so the handler only notes it and the next callback raises it.
    """

    def __init__(self) -> None:
        self.exception: Optional[BaseException] = None
        self._thunks: List[Any] = []
        self._interrupted: Optional[Tuple[Any, ...]] = None
        self._handler: Any = None

    def wrap(self, kind: Any, function: Callable[..., Any]) -> Any:
        """A C function pointer that returns 0 if `function` went well, else 1."""

        def thunk(*arguments: Any) -> int:
            if self.exception is not None:
                return 1
            try:
                self._raise_interrupt()
                function(*arguments)
                return 0
            except BaseException as error:
                self.exception = error
                return 1

        pointer = kind(thunk)
        self._thunks.append(pointer)
        return pointer

    def progress(self, function: "Callable[[Progress], Any] | bool | None") -> Any:
        """The trampoline of a progress callback; always there, so that Ctrl-C works."""
        shown = shower(function, tqdm_progress)

        def report(pointer: Any, _user: Any) -> None:
            if shown is None:
                return
            raw = pointer.contents
            stage = (raw.stage or b"").decode("utf-8", "replace")
            if shown(Progress(stage, raw.step, raw.steps, raw.seconds)) is False:
                from ._errors import Cancelled

                raise Cancelled("the progress callback returned False")

        return self.wrap(_abi.usp_progress_fn, report)

    def call(self, function: Callable[..., int], *arguments: Any) -> None:
        """Calls the library; an exception of a callback is raised in preference to the status."""
        self._begin()
        try:
            status = status_of(function, *arguments)
        finally:
            self._end()
        # Not kept here: its traceback knows this call's arguments, through which ctypes' own
        # objects, which the collector does not see, lead back to the callbacks and so to this
        # object.
        exception, self.exception = self.exception, None
        try:
            if exception is not None:
                raise exception
        finally:
            exception = None
        if status == FileError.status:
            raise file_error(last_error())
        check(status)
        self._raise_interrupt()

    def _raise_interrupt(self) -> None:
        pending, self._interrupted = self._interrupted, None
        if pending is not None and callable(self._handler):
            self._handler(*pending)

    def _begin(self) -> None:
        self._handler = None
        if threading.current_thread() is threading.main_thread():
            current = signal.getsignal(signal.SIGINT)
            if callable(current):
                self._handler = current
                signal.signal(signal.SIGINT, self._note)

    def _note(self, number: int, frame: Any) -> None:
        self._interrupted = (number, frame)

    def _end(self) -> None:
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)


def shower(progress: Any, bars: Callable[[], Any]) -> Any:
    """What is told of progress: a function, bars for True, or nothing."""
    if progress is True:
        return bars()
    if progress is None or progress is False or callable(progress):
        return progress or None
    raise ArgumentError(
        f"progress: {type(progress).__name__}, expected a function, True or None")


def plain_progress() -> Callable[[Progress], Any]:
    """A line of the standard error that tells how far a stage is, twice a second."""
    told: Dict[str, float] = {}

    def show(progress: Progress) -> None:
        now, is_last = time.monotonic(), 0 < progress.steps <= progress.step
        if now - told.get(progress.stage, 0) < 0.5 and not is_last:
            return
        told[progress.stage] = now
        of_all = f" of {progress.steps}" if progress.steps else ""
        sys.stderr.write(
            f"\r{progress.stage}: {progress.step}{of_all}, {progress.seconds:.0f} s"
            + ("\n" if is_last else ""))
        sys.stderr.flush()

    return show


def tqdm_progress() -> Callable[[Progress], Any]:
    """A progress bar; a plain line where tqdm is not installed."""
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return plain_progress()
    bars: Dict[str, Any] = {}

    def show(progress: Progress) -> None:
        if progress.stage not in bars:
            bars[progress.stage] = tqdm(total=progress.steps or None, desc=progress.stage)
        bar = bars[progress.stage]
        bar.update(progress.step - bar.n)
        if progress.steps and progress.step >= progress.steps:
            bar.close()

    return show
