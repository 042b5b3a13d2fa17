"""usp: masked latent pretraining, diffusion transformers and their transfer, on a CPU.

Arrays are numpy's, or anything that speaks DLPack (torch tensors, without importing torch); they
cross without copies. Letters in shapes: B batch, C channels, H height, W width, T tokens,
D width of a token, E values of a patch, K classes.
"""

from importlib import import_module
from typing import Any

from . import alignment, augment, evaluate, images, position_embedding, random, segmentation
from ._call import call as _call
from ._errors import (
    ArgumentError,
    CallbackError,
    Cancelled,
    DTypeError,
    FileError,
    FormatError,
    InternalError,
    MissingFileError,
    MissingWeightError,
    NotFiniteError,
    OutOfMemory,
    ShapeError,
    UnsupportedError,
    USPError,
)
from ._library import lib as _lib
from ._create import create, load, presets
from ._model import LoadReport, Model
from .checkpoint import Checkpoint
from .data import Data
from .diffusion import Diffusion
from .dit import DiT, LightningDiT, SiT
from .inception import Inception
from .images import Images
from .mae import MaskedAutoencoder, MaskedOutput
from .pipeline import Training, autoencoder, finetune, pretrain, recipe, segment, train
from .mar import MAR, MAROutput
from .ranks import Ranks
from .run import Run, RunProgress
from .sampling import sample
from .segmenter import Segmenter
from .stage import Stage
from ._study import Study, study, study_settings
from .trainer import Trainer
from .transfer import TransferEntry, TransferPlan, TransferReport, transfer, transfer_plan
from .transport import Transport
from .understand import Measurement, principal_colours, probe_diffusion, robustness
from .vae import VAE, Posterior
from .vit import ViT

__version__: str = _lib.usp_version().decode()


def build_info() -> str:
    """What the library was built for and uses on this machine."""
    return str(_lib.usp_build_info().decode())


def set_threads(count: int) -> None:
    """Use this many threads from now on; 0 means one per processor that the process may use
    (affinity, cgroup quota). Never changes results."""
    _call(_lib.usp_set_threads, count)


def threads() -> int:
    """The number of threads that a computation may use."""
    return int(_lib.usp_threads())


def trim() -> None:
    """Give memory that calls are done with back to the system, as freeing a large model does."""
    _lib.usp_trim()


def __getattr__(name: str) -> Any:
    """`usp.torch`, which imports torch, when it is asked for."""
    if name == "torch":
        return import_module(".torch", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "MaskedAutoencoder", "MaskedOutput", "Posterior", "SiT", "VAE", "ViT", "position_embedding",
    "Data", "Images", "LoadReport", "MAR", "MAROutput", "Model", "Ranks", "Run", "RunProgress", "Stage", "Study", "Training",
    "autoencoder", "finetune", "images", "pretrain", "recipe", "sample", "segment", "study", "study_settings", "train",
    "ArgumentError", "CallbackError", "Cancelled", "Checkpoint", "DTypeError", "DiT", "Diffusion",
    "FileError", "FormatError", "Inception", "LightningDiT", "Segmenter", "Trainer", "Transport",
    "InternalError", "MissingFileError", "MissingWeightError", "NotFiniteError", "OutOfMemory",
    "ShapeError",
    "TransferEntry",
    "TransferPlan", "TransferReport", "USPError",
    "UnsupportedError", "alignment", "augment", "build_info", "create", "evaluate", "load", "presets",
    "Measurement", "principal_colours", "probe_diffusion", "random", "robustness",
    "segmentation", "set_threads", "threads", "transfer", "transfer_plan", "trim",
]
