"""Numbers that say how good images or predictions are."""

from __future__ import annotations

import ctypes
from typing import Any, Tuple

import numpy as np

from ._arrays import as_tensor, vector
from ._call import call
from ._library import lib


def frechet(a: Any, b: Any) -> float:
    """Frechet distance between features [N, D] and [M, D] float32: FID, over Inception's."""
    first, _a = as_tensor(a, "a", shape=["N", "D"])
    second, _b = as_tensor(b, "b", shape=["M", "D"])
    result = ctypes.c_double()
    call(lib.usp_evaluate_frechet, ctypes.byref(first), ctypes.byref(second), ctypes.byref(result))
    return result.value


def frechet_statistics(mean_a: Any, covariance_a: Any, mean_b: Any, covariance_b: Any) -> float:
    """The same from means [D] and covariances [D, D], float64, as reference files store them."""
    named = {
        "mean_a": mean_a, "covariance_a": covariance_a, "mean_b": mean_b,
        "covariance_b": covariance_b}
    tensors = [as_tensor(value, name, dtype=np.float64) for name, value in named.items()]
    result = ctypes.c_double()
    call(
        lib.usp_evaluate_frechet_statistics, *(ctypes.byref(t) for t, _ in tensors),
        ctypes.byref(result))
    return result.value


def inception_score(logits: Any, split_size: int = 5000) -> Tuple[float, float]:
    """Inception score of logits [N, K]: mean and deviation over consecutive splits."""
    tensor, _keep = as_tensor(logits, "logits", shape=["N", "K"])
    mean, deviation = ctypes.c_double(), ctypes.c_double()
    call(
        lib.usp_evaluate_inception, ctypes.byref(tensor), split_size, ctypes.byref(mean),
        ctypes.byref(deviation))
    return mean.value, deviation.value


def precision_recall(reference: Any, samples: Any, neighbours: int = 3) -> Tuple[float, float]:
    """Improved precision and recall of samples [M, D] against a reference [N, D]."""
    first, _a = as_tensor(reference, "reference", shape=["N", "D"])
    second, _b = as_tensor(samples, "samples", shape=["M", "D"])
    precision, recall = ctypes.c_double(), ctypes.c_double()
    call(
        lib.usp_evaluate_precision_recall, ctypes.byref(first), ctypes.byref(second), neighbours,
        ctypes.byref(precision), ctypes.byref(recall))
    return precision.value, recall.value


def accuracy(logits: Any, labels: Any, k: int = 1) -> float:
    """Share of samples whose label is among the k largest of its logits [N, K]."""
    tensor, _a = as_tensor(logits, "logits", shape=["N", "K"])
    numbers = vector(labels, "labels", np.int64)
    label_tensor, _b = as_tensor(numbers, "labels", dtype=np.int64)
    result = ctypes.c_double()
    call(
        lib.usp_evaluate_accuracy, ctypes.byref(tensor), ctypes.byref(label_tensor), k,
        ctypes.byref(result))
    return result.value


def mean_iou(predicted: Any, target: Any, classes: int, ignored: int = 255) -> float:
    """Mean intersection over union of int64 label maps, over the classes that occur."""
    first, _a = as_tensor(predicted, "predicted", dtype=np.int64)
    second, _b = as_tensor(target, "target", dtype=np.int64)
    result = ctypes.c_double()
    call(
        lib.usp_evaluate_mean_iou, ctypes.byref(first), ctypes.byref(second), classes, ignored,
        ctypes.byref(result))
    return result.value


#: The name that the literature uses for the Frechet distance over Inception features.
fid = frechet
