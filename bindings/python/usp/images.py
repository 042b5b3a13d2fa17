"""Images as people have them: uint8 pixels, files, pictures of PIL; and as models take them."""

from __future__ import annotations

import ctypes
import math
import os
import tempfile
from typing import Any, Optional, Sequence, Union

import numpy as np

from . import _abi
from ._arrays import as_numpy, as_tensor, from_view, widened
from ._call import call, encoded
from ._errors import ArgumentError, DTypeError, ShapeError
from ._handles import Handle
from ._library import lib

Path = Union[str, "os.PathLike[str]"]
_open = open


class Images(np.ndarray):
    """uint8 pixels [N, H, W, C] that save themselves, and show themselves in a notebook."""

    def save(self, path: Path, columns: Optional[int] = None) -> None:
        """Writes all in one picture, row by row (.png), or as they are (.npz: `arr_0`, as suites
        that evaluate read them; .npy)."""
        ending = os.path.splitext(os.fspath(path))[1].lower()
        if ending in (".npz", ".npy"):
            with _open(path, "wb") as file:
                if ending == ".npz":
                    np.savez(file, np.asarray(self))
                else:
                    np.save(file, np.asarray(self))
            return
        save(path, np.asarray(self), columns)

    def _repr_png_(self) -> Optional[bytes]:
        """What a notebook shows; None of what is no image any more, such as a mean of some."""
        is_image = self.dtype == np.uint8 and self.size > 0 and self.ndim in (2, 3, 4)
        if not is_image or (self.ndim > 2 and self.shape[-1] > 4):
            return None
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "images.png")
            self.save(path)
            with _open(path, "rb") as file:
                return file.read()


class _Image(Handle):
    kind = "usp_image"


def open(path: Path, *, as_stored: bool = False) -> np.ndarray:
    """The pixels of a file, uint8 [H, W, C] with C 1 to 4: PNG, JPEG, BMP, PNM, and WebP, TIFF and
    GIF where Debian's library for it is installed.

    They are turned upright by the camera's note; `as_stored` gives what PIL gives.
    """
    image = _Image._made(lib.usp_image_open, encoded(path, "path", "a file's path"), int(as_stored))
    tensor = _abi.usp_tensor()
    call(lib.usp_image_pixels, image.handle, ctypes.byref(tensor))
    return from_view(tensor, image._owner).copy()


def save(path: Path, image: Any, columns: Optional[int] = None) -> None:
    """Writes a PNG: uint8 [H, W, C] or [H, W], or several [N, H, W, C] as a grid; a PIL image will
    do, too. The file appears complete or not at all."""
    given = encoded(path, "path", "a file's path")
    pixels = pixels_of(image, "image")
    if pixels.ndim == 4:
        pixels = grid(pixels, columns)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if os.path.splitext(os.fspath(path))[1].lower() != ".png":
        raise ArgumentError(f"{os.fspath(path)}: images are written as .png")
    tensor, _keep = as_tensor(
        np.ascontiguousarray(pixels), "image", dtype=np.uint8, shape=["H", "W", "C"])
    call(lib.usp_image_write, given, ctypes.byref(tensor))


def to_uint8(images: Any) -> Images:
    """float32 [B, C, H, W] in -1 … 1 (or one [C, H, W]) to uint8 [B, H, W, C] by DiT's and SiT's
    rule: 127.5 x + 128, limited to 0 … 255, then truncated."""
    array, is_bfloat16 = as_numpy(images, "images")
    values = widened(array) if is_bfloat16 else np.asarray(array)
    if values.dtype.kind != "f":
        raise DTypeError(f"images: dtype {values.dtype}, expected real numbers in -1 … 1")
    if values.ndim == 3:
        values = values[None]
    if values.ndim != 4:
        raise ShapeError(f"images: shape {list(values.shape)}, expected [B, C, H, W]")
    if np.isnan(values).any():
        raise ArgumentError("images: a pixel is not a number")
    scaled = np.float32(127.5) * values.astype(np.float32) + np.float32(128)
    bytes_first = np.clip(scaled, 0, 255).astype(np.uint8)
    pixels: Images = bytes_first.transpose(0, 2, 3, 1).copy().view(Images)
    return pixels


def from_uint8(images: Any) -> np.ndarray:
    """uint8 [B, H, W, C], one [H, W, C] or [H, W], a PIL image, or a list of such, to what models
    take: float32 [B, C, H, W] in -1 … 1, (byte / 255 - 0.5) / 0.5."""
    if isinstance(images, np.ndarray) and images.dtype.kind == "f":
        raise DTypeError(f"images: dtype {images.dtype}, expected uint8 pixels")
    if isinstance(images, (list, tuple)):
        all_pixels = [_with_channels(pixels_of(image, f"images[{i}]"))
                      for i, image in enumerate(images)]
        shapes = {pixels.shape for pixels in all_pixels}
        if len(shapes) != 1:
            raise ShapeError(f"images: shapes {sorted(shapes)}, expected one or more of one shape")
        pixels = np.stack(all_pixels)
    else:
        pixels = _with_channels(pixels_of(images, "images"))
        pixels = pixels[None] if pixels.ndim == 3 else pixels
    if pixels.ndim != 4:
        raise ShapeError(f"images: shape {list(pixels.shape)}, expected [B, H, W, C]")
    table = (np.arange(256, dtype=np.float32) / np.float32(255) - np.float32(0.5)) / np.float32(0.5)
    return np.ascontiguousarray(table[pixels].transpose(0, 3, 1, 2))


def grid(images: Any, columns: Optional[int] = None, gap: int = 0) -> np.ndarray:
    """uint8 [N, H, W, C] (or float32 [N, C, H, W] in -1 … 1) as one picture, row by row: by
    default as wide as it is high. `gap` white pixels stand between them."""
    pixels = pixels_of(images, "images")
    if pixels.ndim == 3:
        pixels = pixels[None]
    if pixels.ndim != 4 or len(pixels) == 0:
        raise ShapeError(f"images: shape {list(pixels.shape)}, expected [N, H, W, C]")
    count, height, width, channels = pixels.shape
    across = math.ceil(math.sqrt(count)) if columns is None else columns
    if across < 1:
        raise ArgumentError(f"columns: {columns}, expected 1 or more")
    across = min(across, count)
    down = math.ceil(count / across)
    result = np.full(
        (down * (height + gap) - gap, across * (width + gap) - gap, channels), 255, np.uint8)
    for index, image in enumerate(pixels):
        y, x = (index // across) * (height + gap), (index % across) * (width + gap)
        result[y:y + height, x:x + width] = image
    return result


def pixels_of(images: Any, name: str) -> np.ndarray:
    """uint8 pixels of whatever an image can be."""
    if isinstance(images, (list, tuple)):
        return np.stack([_with_channels(pixels_of(image, name)) for image in images])
    if isinstance(images, np.ndarray):
        array: Any = images.view(np.ndarray)
    elif hasattr(images, "__array__") or hasattr(images, "__array_interface__"):
        mode = getattr(images, "mode", "RGB")
        if mode not in ("L", "LA", "RGB", "RGBA"):
            raise ArgumentError(f"{name}: a PIL image of mode {mode}; pass image.convert('RGB')")
        array = np.asarray(images)
    else:
        array = as_numpy(images, name)[0]
    if array.dtype.kind == "f" and array.ndim in (3, 4):
        return to_uint8(array).view(np.ndarray)
    if array.dtype != np.uint8:
        raise DTypeError(f"{name}: dtype {array.dtype}, expected uint8 pixels")
    return np.asarray(array)


def _with_channels(pixels: np.ndarray) -> np.ndarray:
    return pixels[..., None] if pixels.ndim == 2 else pixels


__all__: Sequence[str] = ["Images", "from_uint8", "grid", "open", "save", "to_uint8"]
