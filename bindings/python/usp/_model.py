"""What all models have in common: loading, parameters by name, saving, the report."""

from __future__ import annotations

import ctypes
import json
import os
from typing import Any, ClassVar, Dict, List, Mapping, Optional, Sequence, Tuple, TypeVar, Union

import numpy as np

from . import _abi, _layouts as layouts
from ._arrays import dtype_name, from_view
from ._call import call, composed, encoded, options, view_text
from ._config import Config, config_text, read_config
from ._errors import ArgumentError
from ._handles import Handle
from ._library import lib
from .checkpoint import Checkpoint
from .random import drawn

Self = TypeVar("Self", bound="Model")
Source = Union[str, "os.PathLike[str]", Checkpoint, Mapping[str, Any]]
#: rows and columns of patches; one number for both
Grid = Union[int, Tuple[int, int], None]


#: names of arrays and parameters, or the start of these: several, or one text with commas
Names = Union[str, Sequence[str], None]


def joined(names: Names) -> Optional[str]:
    """Names as the library takes them."""
    return names if names is None or isinstance(names, str) else ",".join(names)


def grid_sides(grid: Grid) -> Tuple[Any, Any]:
    """Rows and columns of a grid given as one side or both; None is not given."""
    sides: Any = (grid, grid) if np.ndim(grid) == 0 else tuple(grid)  # type: ignore
    if len(sides) != 2:
        raise ArgumentError(f"grid: {grid}, expected one side, or rows and columns")
    return sides[0], sides[1]


def model_of(value: Any, name: str, *kinds: "type[Model]", other: str = "") -> Any:
    """The model of one of these classes that an argument is, or that a stage's `Training` has.

    `other` is what else would do, for the error.
    """
    made = getattr(value, "model", None)
    model = made if isinstance(made, Model) else value
    if not isinstance(model, kinds):
        expected = " or ".join(f"usp.{kind.__name__}" for kind in kinds)
        raise ArgumentError(f"{name}: {type(model).__name__}, expected a {expected}{other}")
    return model


class LoadReport(str):
    """What was loaded, renamed, ignored and why, for people; `data` is the same as a dict."""

    data: Dict[str, Any]


class Model(Handle):
    """Base of all models. Immutable: any number of threads may run one at the same time.

    By default large float32 products and 3x3 convolutions take fewer multiplications (Strassen's
    and Winograd's methods), with results within 1e-5 of the largest value of exact arithmetic;
    `load(..., exact=True)` sums plainly everywhere.

    `load(..., dtype=)` is the type of products' inputs, whatever the file's: "f32", "bf16" with f32
    sums, norms and softmax, or "int8", for inference alone: the linear layers of transformer blocks
    multiply integers of 8 bits with exact sums, a scale for each output and each token. All else is
    then f32, or bf16 in attention where the processor has it. Files of 8-bit weights
    (`save(..., dtype="int8")`) are multiplied as they are.

    Loading is strict: what does not fit is one error. `load(..., ignore=["head", "step"])` leaves
    arrays of the file aside and starts parameters of the model by their rule, by their names or the
    start of these; `strict=False` does so with whatever does not fit. `report` tells all of it.
    """

    kind = "usp_model"
    #: what usp_model_open is told; None goes by the file
    _family: Optional[str] = None
    #: the class of each family's models
    _families: "ClassVar[Dict[str, type[Model]]]" = {}

    def __init_subclass__(cls, **given: Any) -> None:
        super().__init_subclass__(**given)
        if isinstance(family := vars(cls).get("_family"), str):
            Model._families[family] = cls

    @classmethod
    def _made(cls: "type[Self]", function: Any, *arguments: Any) -> Self:
        return super()._made(function, *arguments)._typed()

    def _typed(self: Self) -> Self:
        """The model as one of its family's class, where none was asked for."""
        if type(self) is Model:
            self.__class__ = Model._families[self.family]  # type: ignore[assignment]
        return self

    @classmethod
    def _load(
        cls: "type[Self]", source: Source, grid: Grid = None, *, ignore: Names = None,
        strict: bool = True, **values: Any,
    ) -> Self:
        height, width = grid_sides(grid)
        given = options(
            _abi.usp_model_options, grid_height=height, grid_width=width, ignore=joined(ignore),
            strict=int(strict), **{"family": cls._family, **values})
        if isinstance(source, Mapping):
            checkpoint = source if isinstance(source, Checkpoint) else Checkpoint(source)
            return cls._made(lib.usp_model_load, checkpoint.handle, ctypes.byref(given))
        path = encoded(source, "source", "a file, a usp.Checkpoint or arrays by name")
        return cls._made(lib.usp_model_open, path, ctypes.byref(given))

    @classmethod
    def _create(cls: "type[Self]", name: str, seed: Optional[int], sizes: Mapping[str, Any]) -> Self:
        return cls._made(
            lib.usp_model_create, encoded(name, "name"), encoded(config_text(sizes)), drawn(seed))

    @property
    def config(self) -> Config:
        """All sizes and switches: attributes of the names that `create` takes."""
        return read_config(self.family, composed(lib.usp_model_config, self.handle))

    @property
    def family(self) -> str:
        """A name of `usp.create`: "VAE", "MAE", "ViT", "LightningDiT", "DiT", "SiT", "MAR", …"""
        return view_text(lib.usp_model_family(self.handle))

    @property
    def class_names(self) -> List[str]:
        """Names of the classes that it was trained on, by label; empty where it knows none."""
        count = int(lib.usp_model_class_count(self.handle))
        return [view_text(lib.usp_model_class_name(self.handle, i)) for i in range(count)]

    @property
    def fingerprint(self) -> str:
        """What two models of the same names and values have in common."""
        return view_text(lib.usp_model_fingerprint(self.handle))

    @property
    def autoencoder(self) -> Optional[str]:
        """The fingerprint of the autoencoder whose latents it was trained on, if it is known."""
        return view_text(lib.usp_model_autoencoder(self.handle)) or None

    @property
    def size(self) -> int:
        """Number of values of all parameters."""
        return int(lib.usp_model_size(self.handle))

    @property
    def parameters(self) -> Dict[str, np.ndarray]:
        """name -> read-only view of the parameter."""
        result = {}
        for index in range(lib.usp_model_parameter_count(self.handle)):
            name = view_text(lib.usp_model_parameter_name(self.handle, index))
            tensor = _abi.usp_tensor()
            call(lib.usp_model_parameter, self.handle, encoded(name), ctypes.byref(tensor))
            result[name] = from_view(tensor, self._owner)
        return result

    def input_shape(self, batch: int) -> Tuple[int, ...]:
        """[B, C, H, W] that the model takes ([B, H, W, 3] an Inception); free extents are 0."""
        tensor = _abi.usp_tensor()
        call(lib.usp_model_input, self.handle, batch, ctypes.byref(tensor))
        return tuple(tensor.shape[: tensor.rank])

    @property
    def report(self) -> LoadReport:
        """What was loaded, renamed, ignored and why; empty for a model that was made."""
        result = LoadReport(composed(lib.usp_model_report, self.handle))
        result.data = json.loads(composed(lib.usp_model_report_json, self.handle))
        return result

    @property
    def checkpoint(self) -> Checkpoint:
        """The parameters as a checkpoint over the same memory."""
        return Checkpoint._made(lib.usp_model_checkpoint, self.handle)

    def save(
        self, path: "Union[str, os.PathLike[str]]", *, format: Optional[str] = None,
        dtype: Optional[str] = None, checksums: bool = False,
    ) -> None:
        """Writes a file that loads as the same model: safetensors, or for torch.load.

        `dtype` "f16" or "bf16" rounds; "int8" (safetensors) gives weights of products 8 bits and a
        scale a row, a quarter of their size, and leaves the others as they are.
        `checksums`: safetensors get a CRC-32 of each array, verified when it is read; torch's files
        have them anyway.
        """
        given = options(
            _abi.usp_save_options, format=format, dtype=dtype_name(dtype),
            checksums=int(checksums))
        call(lib.usp_model_save, self.handle, encoded(path, "path", "a file's path"), ctypes.byref(given))

    def save_pretrained(
        self, folder: "Union[str, os.PathLike[str]]", *, layout: Optional[str] = None
    ) -> None:
        """Writes a folder with config.json and the weights beside it, which `from_pretrained` and
        `load` read.

        `layout` None is the library's own; "diffusers" is what diffusers' from_pretrained takes
        (autoencoders); "timm" is what timm.create_model("local-dir:...") takes (classifiers that are
        linear on the class token or the average).
        """
        name, configuration, weights = layouts.written(self, layout)
        os.makedirs(folder, exist_ok=True)
        weights.save(os.path.join(folder, name))
        with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
            json.dump(configuration, file, indent=2)
            file.write("\n")

    @classmethod
    def from_pretrained(
        cls: "type[Self]", folder: "Union[str, os.PathLike[str]]", *, layout: Optional[str] = None
    ) -> Self:
        """Reads a folder of `save_pretrained`, diffusers or timm; its files say which it is, and
        `layout`, where it is given, has to be that.

        `usp.Model.from_pretrained` takes any family and gives a model of its class; that of a family's
        class refuses a folder that says it is of another, whose weights its `load` may still read.
        """
        layouts.expect(folder, layout, cls._family)
        return cls._load(folder)

    @classmethod
    def borrow(cls: "type[Self]", address: int) -> Self:
        """Wraps a usp_model handle that a C host owns and keeps alive; never freed here."""
        pointer = ctypes.cast(address, ctypes.POINTER(_abi.usp_model))
        family = lib.usp_model_family(pointer)
        if family is None:
            raise ArgumentError(f"address: {address:#x} is not a live usp_model")
        if cls._family not in (None, view_text(family)):
            raise ArgumentError(
                f"address: a model of the family {view_text(family)}, expected {cls._family}")
        self = cls.__new__(cls)
        self._attach(pointer)
        return self._typed()

    def __copy__(self: Self) -> Self:
        """Another handle of the same parameters, which never change."""
        copy = type(self).__new__(type(self))
        vars(copy).update(vars(self))
        return copy

    def __deepcopy__(self: Self, _memo: Any) -> Self:
        return self.__copy__()

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{self.family}, {self.size:,} parameters"
        return f"<usp.{type(self).__name__}: {state}>"
