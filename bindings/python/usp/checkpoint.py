"""Named arrays, from any file of arrays or from memory."""

from __future__ import annotations

import ctypes
import os
import warnings
from collections.abc import Mapping
from typing import Any, Dict, Iterator, Optional, Sequence, Tuple, Union

import numpy as np

from . import _abi
from ._arrays import as_tensor, dtype_name, from_view, widened
from ._call import call, composed, encoded, options, view_text
from ._errors import ArgumentError
from ._handles import Handle
from ._library import lib

Path = Union[str, "os.PathLike[str]"]


class Checkpoint(Handle, Mapping[str, np.ndarray]):
    """A mapping name -> numpy array over a file (safetensors, PyTorch, npy, npz, idx) or memory.

    Large files are mapped; an array is read when it is asked for, and views the file where it can:
    it is read-only and keeps the checkpoint's memory alive. Replace such a file by renaming; where
    it is written to instead, calls raise `FileError` until it is opened again. bfloat16 arrays come
    as float32, exactly; `raw(name)` gives their words as uint16. float8 arrays come as float16.

    Examples
    --------
    >>> weights = usp.Checkpoint({"weight": np.eye(2, dtype=np.float32)})
    >>> list(weights), weights["weight"].shape
    (['weight'], (2, 2))
    """

    kind = "usp_checkpoint"

    def __init__(self, arrays: "Mapping[str, Any]"):
        """A checkpoint in memory; the arrays are copied."""
        if not isinstance(arrays, Mapping):
            raise ArgumentError(f"arrays: {type(arrays).__name__}, expected arrays by name")
        names = list(arrays)
        described = [as_tensor(arrays[name], name, dtype=None) for name in names]
        structs = (_abi.usp_tensor * len(names))(*(tensor for tensor, _ in described))
        texts = (ctypes.c_char_p * len(names))(*(encoded(name) for name in names))
        self._adopt(lib.usp_checkpoint_create, texts, structs, len(names))

    @classmethod
    def open(cls, path: Path, table: Optional[str] = None) -> "Checkpoint":
        """Opens a file, or a folder that holds one under a usual name.

        `table` is a nested table or prefix such as "ema" or "first_stage_model"; None prefers
        averaged weights, then the model's, then the top level; "*" is everything. Warns if arrays
        of it cannot be read (`unread`).
        """
        given = options(_abi.usp_checkpoint_options, table=table)
        checkpoint = cls._made(
            lib.usp_checkpoint_open, encoded(path, "path", "a file or folder"), ctypes.byref(given))
        unread = checkpoint.unread
        if unread:
            shown = "; ".join(f"{name}: {unread[name]}" for name in list(unread)[:4])
            more = "; ..." if len(unread) > 4 else ""
            warnings.warn(
                f"{os.fsdecode(path)}: {len(unread)} arrays cannot be read: {shown}{more}",
                stacklevel=2)
        return checkpoint

    def _describe(self, function: Any, name: str) -> _abi.usp_tensor:
        if not isinstance(name, str):
            raise KeyError(name)
        tensor = _abi.usp_tensor()
        call(function, self.handle, encoded(name), ctypes.byref(tensor))
        return tensor

    def raw(self, name: str) -> np.ndarray:
        """The array in its own element type, read-only; bfloat16 as uint16 words."""
        return from_view(self._describe(lib.usp_checkpoint_tensor, name), self._owner)

    def __getitem__(self, name: str) -> np.ndarray:
        tensor = self._describe(lib.usp_checkpoint_tensor, name)
        array = from_view(tensor, self._owner)
        return widened(array) if tensor.dtype == _abi.usp_dtype.USP_BF16 else array

    def shape(self, name: str) -> Tuple[int, ...]:
        """The array's shape; nothing is read."""
        tensor = self._describe(lib.usp_checkpoint_shape, name)
        return tuple(tensor.shape[: tensor.rank])

    def dtype(self, name: str) -> str:
        """The array's element type, such as "f32" or "bf16"; nothing is read."""
        tensor = self._describe(lib.usp_checkpoint_shape, name)
        return view_text(lib.usp_dtype_name(tensor.dtype))

    def __iter__(self) -> Iterator[str]:
        for index in range(len(self)):
            yield view_text(lib.usp_checkpoint_name(self.handle, index))

    def __len__(self) -> int:
        return int(lib.usp_checkpoint_count(self.handle))

    def __contains__(self, name: object) -> bool:
        try:
            self._describe(lib.usp_checkpoint_shape, name)  # type: ignore[arg-type]
        except KeyError:
            return False
        return True

    def __hash__(self) -> int:
        return object.__hash__(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    @property
    def metadata(self) -> Dict[str, str]:
        """Texts and numbers that the file has beside its arrays."""
        return {
            view_text(lib.usp_checkpoint_metadata_key(self.handle, index)):
                view_text(lib.usp_checkpoint_metadata_value(self.handle, index))
            for index in range(lib.usp_checkpoint_metadata_count(self.handle))
        }

    @property
    def unread(self) -> Dict[str, str]:
        """Arrays of the table that are in the file and cannot be read, by full name: the reason."""
        return {
            view_text(lib.usp_checkpoint_unread_name(self.handle, index)):
                view_text(lib.usp_checkpoint_unread_reason(self.handle, index))
            for index in range(lib.usp_checkpoint_unread_count(self.handle))
        }

    @property
    def tables(self) -> Tuple[str, ...]:
        """Names of the file's tables; "" is its top level."""
        count = lib.usp_checkpoint_table_count(self.handle)
        return tuple(
            view_text(lib.usp_checkpoint_table_name(self.handle, index)) for index in range(count))

    @property
    def report(self) -> str:
        """What the file is and holds, and what was skipped and why, for people."""
        return composed(lib.usp_checkpoint_report, self.handle)

    def save(
        self, path: Path, *, format: Optional[str] = None, dtype: Any = None,
        tables: Union[str, Sequence[str], None] = None, checksums: bool = False,
    ) -> None:
        """Writes the arrays; the file appears complete or not at all.

        `format` is "safetensors" or "torch" (None goes by the ending); `dtype` converts floating
        arrays to "f32", "bf16" or "f16", or weights of products to "int8" with a scale a row (in
        safetensors); `tables` nests a torch file under keys such as "model".
        With `checksums` safetensors get a CRC-32 of each array, verified when it is read; torch's
        files have them anyway.
        """
        given = options(
            _abi.usp_save_options, format=format, dtype=dtype_name(dtype),
            checksums=int(checksums),
            tables=tables if tables is None or isinstance(tables, str) else ",".join(tables))
        call(
            lib.usp_checkpoint_save, self.handle, encoded(path, "path", "a file's path"), ctypes.byref(given))

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{len(self)} arrays"
        return f"<usp.Checkpoint: {state}>"

