"""Exceptions: one for each status of the library, each also the builtin that callers expect."""

from __future__ import annotations

from ._abi import usp_status


class USPError(Exception):
    """Any failure of the library. `status` is the number of `usp_status`."""

    status: int = int(usp_status.USP_ERROR_INTERNAL)

    def __init__(self, message: str = ""):
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class ArgumentError(USPError, ValueError):
    """A value out of range, an unknown name, a closed handle."""

    status = int(usp_status.USP_ERROR_ARGUMENT)


class ShapeError(ArgumentError):
    """An array, or two together, of the wrong extents."""

    status = int(usp_status.USP_ERROR_SHAPE)


class DTypeError(USPError, TypeError):
    """An array of the wrong element type."""

    status = int(usp_status.USP_ERROR_DTYPE)


class FileError(USPError, OSError):
    """A file that the system could not open, read or write; `filename` and `errno` where it is one
    that was named in the call."""

    status = int(usp_status.USP_ERROR_IO)


class MissingFileError(FileError, FileNotFoundError):
    """A file or folder that is not there; `filename` is its path."""


class FormatError(USPError, ValueError):
    """A file that is damaged, hostile or of no known format."""

    status = int(usp_status.USP_ERROR_FORMAT)


class MissingWeightError(USPError, KeyError):
    """A checkpoint that does not hold what the model needs."""

    status = int(usp_status.USP_ERROR_MISSING_WEIGHT)


class UnsupportedError(USPError, NotImplementedError):
    """Understood, but not possible."""

    status = int(usp_status.USP_ERROR_UNSUPPORTED)


class OutOfMemory(USPError, MemoryError):
    """The system has not that much memory."""

    status = int(usp_status.USP_ERROR_MEMORY)


class Cancelled(USPError):
    """A progress callback or a cancel call stopped the run."""

    status = int(usp_status.USP_ERROR_CANCELLED)


class CallbackError(USPError):
    """A callback of the host reported a failure."""

    status = int(usp_status.USP_ERROR_CALLBACK)


class InternalError(USPError):
    """A defect of the library: please report it."""

    status = int(usp_status.USP_ERROR_INTERNAL)


class NotFiniteError(USPError, FloatingPointError):
    """A loss or a prediction is infinite or no number: training or sampling has diverged."""

    status = int(usp_status.USP_ERROR_NOT_FINITE)


BY_STATUS = {
    kind.status: kind
    for kind in (
        ArgumentError, ShapeError, DTypeError, FileError, FormatError, MissingWeightError,
        UnsupportedError, OutOfMemory, Cancelled, CallbackError, InternalError,
        NotFiniteError,
    )
}
