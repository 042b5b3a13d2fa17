"""Numbers that say how good images or predictions are."""

from __future__ import annotations

import ctypes
import warnings
from typing import Any, NamedTuple, Tuple

import numpy as np

from ._arrays import as_numpy, as_tensor, result, vector
from ._call import call
from ._library import lib


def frechet(a: Any, b: Any) -> float:
    """Frechet distance between features [N, D] and [M, D] float32: FID, over Inception's.

    Of no more samples than features the covariance is singular and the distance biased upwards: it
    warns then.

    Examples
    --------
    >>> features = usp.random.normal((200, 8), seed=0)
    >>> round(usp.evaluate.frechet(features, features + 1), 2)     # the means are 1 apart, 8 times
    8.0
    """
    first, _a = as_tensor(a, "a", shape=["N", "D"])
    second, _b = as_tensor(b, "b", shape=["M", "D"])
    for name, tensor in (("a", first), ("b", second)):
        count, width = tensor.shape[0], tensor.shape[1]
        if 2 <= count <= width:
            warnings.warn(
                f"{name}: {count} samples for features of width {width}: the covariance is singular "
                "and the distance biased upwards", stacklevel=2)
    value = ctypes.c_double()
    call(lib.usp_evaluate_frechet, ctypes.byref(first), ctypes.byref(second), ctypes.byref(value))
    return value.value


def frechet_statistics(mean_a: Any, covariance_a: Any, mean_b: Any, covariance_b: Any) -> float:
    """The same from means [D] and covariances [D, D], float64, as reference files store them."""
    named = {
        "mean_a": mean_a, "covariance_a": covariance_a, "mean_b": mean_b,
        "covariance_b": covariance_b}
    tensors = [as_tensor(value, name, dtype=np.float64) for name, value in named.items()]
    value = ctypes.c_double()
    call(
        lib.usp_evaluate_frechet_statistics, *(ctypes.byref(t) for t, _ in tensors),
        ctypes.byref(value))
    return value.value


def inception_score(logits: Any, split_size: int = 5000) -> Tuple[float, float]:
    """Inception score of logits [N, K]: mean and deviation over consecutive splits.

    Examples
    --------
    >>> logits = np.zeros((10, 4), np.float32)                     # no class is likelier
    >>> [round(value, 6) for value in usp.evaluate.inception_score(logits, split_size=5)]
    [1.0, 0.0]
    """
    tensor, _keep = as_tensor(logits, "logits", shape=["N", "K"])
    mean, deviation = ctypes.c_double(), ctypes.c_double()
    call(
        lib.usp_evaluate_inception, ctypes.byref(tensor), split_size, ctypes.byref(mean),
        ctypes.byref(deviation))
    return mean.value, deviation.value


def precision_recall(reference: Any, samples: Any, neighbours: int = 3) -> Tuple[float, float]:
    """Improved precision and recall of samples [M, D] against a reference [N, D].

    Examples
    --------
    >>> points = usp.random.normal((50, 4), seed=0)
    >>> usp.evaluate.precision_recall(points, points)
    (1.0, 1.0)
    """
    first, _a = as_tensor(reference, "reference", shape=["N", "D"])
    second, _b = as_tensor(samples, "samples", shape=["M", "D"])
    precision, recall = ctypes.c_double(), ctypes.c_double()
    call(
        lib.usp_evaluate_precision_recall, ctypes.byref(first), ctypes.byref(second), neighbours,
        ctypes.byref(precision), ctypes.byref(recall))
    return precision.value, recall.value


def accuracy(logits: Any, labels: Any, k: int = 1) -> float:
    """Share of samples whose label is among the k largest of its logits [N, K].

    Examples
    --------
    >>> usp.evaluate.accuracy(np.array([[0.1, 0.9], [0.8, 0.2]], np.float32), [1, 1])
    0.5
    """
    tensor, _a = as_tensor(logits, "logits", shape=["N", "K"])
    numbers = vector(labels, "labels", np.int64)
    label_tensor, _b = as_tensor(numbers, "labels", dtype=np.int64)
    value = ctypes.c_double()
    call(
        lib.usp_evaluate_accuracy, ctypes.byref(tensor), ctypes.byref(label_tensor), k,
        ctypes.byref(value))
    return value.value


def mean_iou(predicted: Any, target: Any, classes: int, ignored: int = 255) -> float:
    """Mean intersection over union of label maps, uint8 or int64, over the classes that occur.

    Examples
    --------
    >>> usp.evaluate.mean_iou(np.uint8([[0, 1]]), np.uint8([[0, 1]]), classes=2)
    1.0
    """
    first, _a = class_map(predicted, "predicted")
    second, _b = class_map(target, "target")
    value = ctypes.c_double()
    call(
        lib.usp_evaluate_mean_iou, ctypes.byref(first), ctypes.byref(second), classes, ignored,
        ctypes.byref(value))
    return value.value


def confusion(predicted: Any, target: Any, classes: int, ignored: int = 255) -> np.ndarray:
    """How often pixels of each true class were predicted as each class: int64 [K, K].

    True classes are in rows; the matrices of several images are added up. Pixels whose target is
    `ignored` are not counted.

    Parameters
    ----------
    predicted, target : uint8, int32 or int64, of one shape, 0 to K - 1

    Raises
    ------
    ArgumentError : naming the pixel whose class is out of range

    Examples
    --------
    >>> usp.evaluate.confusion(np.uint8([0, 1, 1]), np.uint8([0, 0, 1]), classes=2).tolist()
    [[1, 1], [0, 1]]
    """
    first, _a = class_map(predicted, "predicted")
    second, _b = class_map(target, "target")
    out, matrix = result(None, (classes, classes), dtype=np.int64)
    call(
        lib.usp_evaluate_confusion, ctypes.byref(first), ctypes.byref(second), classes, ignored,
        ctypes.byref(out))
    return matrix


class SegmentationScores(NamedTuple):
    """What a confusion matrix says, as mmsegmentation defines it; NaN where nothing is defined."""

    #: share of all pixels that is right (aAcc)
    accuracy: float
    #: mean of `iou` over the classes that are labelled or predicted (mIoU)
    mean_iou: float
    #: mean of `class_accuracy` over the classes that are labelled (mAcc)
    mean_accuracy: float
    #: [K] float64: right / (labelled + predicted - right)
    iou: np.ndarray
    #: [K] float64: right / labelled
    class_accuracy: np.ndarray


def segmentation_scores(confusion: Any) -> SegmentationScores:
    """The scores of a confusion matrix [K, K] int64, true classes in rows.

    Examples
    --------
    >>> scores = usp.evaluate.segmentation_scores(np.array([[2, 0], [1, 1]]))
    >>> round(scores.accuracy, 2), round(scores.mean_iou, 4)
    (0.75, 0.5833)
    """
    tensor, array = as_tensor(confusion, "confusion", dtype=np.int64, shape=["K", "K"])
    accuracy, mean, mean_accuracy = (ctypes.c_double() for _ in range(3))
    out_iou, iou = result(None, (len(array),), dtype=np.float64)
    out_each, each = result(None, (len(array),), dtype=np.float64)
    call(
        lib.usp_evaluate_segmentation, ctypes.byref(tensor), ctypes.byref(accuracy),
        ctypes.byref(mean), ctypes.byref(mean_accuracy), ctypes.byref(out_iou),
        ctypes.byref(out_each))
    return SegmentationScores(accuracy.value, mean.value, mean_accuracy.value, iou, each)


def class_map(value: Any, name: str) -> Tuple[Any, np.ndarray]:
    """A map of classes, as it is: uint8, int32, or int64 (lists become that)."""
    kind = as_numpy(value, name)[0].dtype
    return as_tensor(value, name, dtype=kind if kind in (np.uint8, np.int32) else np.int64)


#: The name that the literature uses for the Frechet distance over Inception features.
fid = frechet
