"""Scores against numpy's own arithmetic."""

import warnings

import numpy as np
import pytest

import usp


def test_frechet_of_known_gaussians():
    a = usp.random.normal((4000, 6), 1)
    b = 2 * usp.random.normal((4000, 6), 2) + 1
    distance = usp.evaluate.fid(a, b)
    assert abs(distance - 12) < 0.6
    assert usp.evaluate.fid(a, a) < 1e-6
    means = [x.astype(np.float64).mean(0) for x in (a, b)]
    covariances = [np.cov(x.astype(np.float64), rowvar=False) for x in (a, b)]
    again = usp.evaluate.frechet_statistics(means[0], covariances[0], means[1], covariances[1])
    assert again == pytest.approx(distance, rel=1e-6)


def test_few_samples_for_many_features_are_told():
    few, many = usp.random.normal((6, 8), 1), usp.random.normal((40, 8), 2)
    with pytest.warns(UserWarning, match="a: 6 samples for features of width 8: the covariance"):
        usp.evaluate.fid(few, many)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        usp.evaluate.fid(many, many[:9])


def test_inception_score():
    logits = np.full((12, 3), -50, np.float32)
    logits[np.arange(12), np.arange(12) % 3] = 50
    mean, deviation = usp.evaluate.inception_score(logits, split_size=6)
    assert mean == pytest.approx(3, rel=1e-5) and deviation == pytest.approx(0, abs=1e-5)


def test_precision_recall_of_the_same_set():
    a = usp.random.normal((50, 4), 3)
    assert usp.evaluate.precision_recall(a, a) == (1.0, 1.0)
    assert usp.evaluate.precision_recall(a, a + 1000) == (0.0, 0.0)


def test_accuracy_and_mean_iou():
    logits = np.eye(4, dtype=np.float32)
    assert usp.evaluate.accuracy(logits, [0, 1, 2, 0]) == 0.75
    assert usp.evaluate.accuracy(logits, [0, 1, 2, 3], k=2) == 1.0
    target = np.array([[0, 0], [1, 255]])
    assert usp.evaluate.mean_iou(np.array([[0, 1], [1, 1]]), target, 2) == pytest.approx(0.5)


@pytest.mark.parametrize("kinds", [("u1", "u1"), ("i8", "u1"), ("u1", "i8"), ("i4", "i8")])
def test_confusion_and_its_scores(kinds):
    rng = np.random.default_rng(4)
    target = rng.integers(0, 5, (3, 40, 50))
    predicted = np.where(rng.random(target.shape) < 0.7, target, rng.integers(0, 5, target.shape))
    target[rng.random(target.shape) < 0.1] = 255
    target[target == 4] = 3  # predicted, never labelled
    predicted[predicted == 2] = 1  # labelled, never predicted
    kept = target != 255
    expected = np.bincount(target[kept] * 6 + predicted[kept], minlength=36).reshape(6, 6)
    matrix = sum(
        usp.evaluate.confusion(p.astype(kinds[0]), t.astype(kinds[1]), 6)
        for p, t in zip(predicted, target))
    np.testing.assert_array_equal(matrix, expected)
    scores = usp.evaluate.segmentation_scores(matrix)
    right = np.diag(expected)
    with np.errstate(invalid="ignore"):
        iou = right / (expected.sum(0) + expected.sum(1) - right)
        accuracy = right / expected.sum(1)
    np.testing.assert_array_equal(scores.iou, iou)
    np.testing.assert_array_equal(scores.class_accuracy, accuracy)
    assert scores.iou[2] == scores.iou[4] == 0 and np.isnan(scores.iou[5])
    assert scores.class_accuracy[2] == 0 and np.isnan(scores.class_accuracy[4:]).all()
    assert scores.mean_iou == pytest.approx(np.nanmean(iou), rel=1e-15)
    assert scores.mean_accuracy == pytest.approx(np.nanmean(accuracy), rel=1e-15)
    assert scores.accuracy == right.sum() / expected.sum()
    assert usp.evaluate.mean_iou(
        predicted.astype(kinds[0]), target.astype(kinds[1]), 6) == pytest.approx(scores.mean_iou)


def test_confusion_of_nothing_and_of_what_cannot_be():
    ignored = np.full((2, 2), 255, np.uint8)
    scores = usp.evaluate.segmentation_scores(usp.evaluate.confusion(ignored, ignored, 3))
    assert all(np.isnan(x).all() for x in scores)
    with pytest.raises(usp.ArgumentError, match="pixel 1: label 3, prediction 0, expected 3 cl"):
        usp.evaluate.confusion(np.zeros(2, np.uint8), np.array([0, 3], np.uint8), 3)
    with pytest.raises(usp.ArgumentError, match="pixel 0: label 0, prediction 7"):
        usp.evaluate.confusion(np.array([7]), np.array([0]), 3)
    with pytest.raises(usp.ShapeError, match="predicted: shape"):
        usp.evaluate.confusion(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), 3)
    with pytest.raises(usp.DTypeError):
        usp.evaluate.confusion(np.zeros(2, np.float32), np.zeros(2, np.uint8), 3)


def test_errors_name_the_argument():
    with pytest.raises(usp.ShapeError, match="b: shape"):
        usp.evaluate.frechet(np.zeros((3, 2), np.float32), np.zeros((3, 4), np.float32))
    with pytest.raises(usp.ArgumentError, match="label"):
        usp.evaluate.accuracy(np.eye(2, dtype=np.float32), [0, 7])
    with pytest.raises(usp.ArgumentError, match="logits: row 1 has NaN for class 0"):
        usp.evaluate.accuracy(np.array([[0, 1], [np.nan, 1]], np.float32), [1, 1])
    with pytest.raises(usp.ShapeError, match="expected at least one sample"):
        usp.evaluate.accuracy(np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    mean, good = np.zeros(2), np.eye(2)
    for wrong, told in (
        ([[1, 0.5], [0, 1]], r"covariance: \[1, 0\] is 0.0, but \[0, 1\] is 0.5"),
        ([[-1, 0], [0, 1]], r"covariance \[0, 0\]: is -1.0"),
        ([[1, 2], [2, 1]], "eigenvalue -1"),
    ):
        for pair in ((np.array(wrong, float), good), (good, np.array(wrong, float))):
            with pytest.raises(usp.ArgumentError, match=told):
                usp.evaluate.frechet_statistics(mean, pair[0], mean, pair[1])
