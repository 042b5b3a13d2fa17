"""The Inception network that published scores of generated images are measured with."""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple, Optional

import numpy as np

from . import _abi
from ._arrays import as_tensor, dtype_name, result
from ._call import call, options
from ._library import lib
from ._model import Model, Names, Source


class Features(NamedTuple):
    """What scores are made of, float32, a row an image."""

    #: [N, 2048]: FID (`usp.evaluate.frechet`), precision and recall
    pool: np.ndarray
    #: [N, 2023]: sFID, the same distance
    spatial: np.ndarray
    #: [N, 1008], without the last layer's bias: `usp.evaluate.inception_score`
    logits: np.ndarray


class Inception(Model):
    """TensorFlow's Inception of 2015-12-05 with 1008 outputs.

    Loads `pt_inception-2015-12-05-6726825d.pth` (of pytorch-fid) and
    `weights-inception-2015-12-05-6726825d.pth` (of torch-fidelity), which hold the same weights;
    torchvision's own Inception, whose features give other numbers, is refused.

    Examples
    --------
    >>> features = usp.Inception.create(seed=0).features(np.zeros((1, 64, 48, 3), np.uint8))
    >>> features.pool.shape, features.logits.shape
    ((1, 2048), (1, 1008))
    """

    _family = "Inception"

    @classmethod
    def load(
        cls, source: Source, *, exact: bool = False, dtype: Any = None,
        table: Optional[str] = None, ignore: Names = None, strict: bool = True,
    ) -> "Inception":
        """Loads a file or checkpoint; for published numbers leave `dtype` at float32."""
        return cls._load(
            source, compute=dtype_name(dtype), exact=int(exact), table=table, ignore=ignore,
            strict=strict)

    @classmethod
    def create(cls, *, seed: Optional[int] = 0) -> "Inception":
        """Random weights, for tests: published numbers need published weights."""
        return cls._create("Inception", seed, {})

    def features(self, images: Any, *, preprocessing: Optional[str] = None) -> Features:
        """Features of RGB images [N, H, W, 3] uint8 of any size.

        `preprocessing`: "tensorflow" (the default) resizes to 299x299 as TensorFlow 1 does: the
        numbers of ADM's evaluator and torch-fidelity. "pytorch-fid": those of that package, which
        differ a little. Features of one image do not depend on the others.
        """
        tensor, array = as_tensor(images, "images", dtype=np.uint8, shape=["N", "H", "W", 3])
        given = options(_abi.usp_inception_options, preprocessing=preprocessing)
        made = [result(None, (len(array), width)) for width in (2048, 2023, 1008)]
        call(
            lib.usp_inception_features, self.handle, ctypes.byref(tensor), ctypes.byref(given),
            *(ctypes.byref(out) for out, _ in made))
        return Features(*(values for _, values in made))
