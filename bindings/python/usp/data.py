"""Folders of images and files of latents, batch by batch."""

from __future__ import annotations

import ctypes
import os
from typing import Any, Callable, List, Optional, Sequence, Tuple, Union

import numpy as np

from . import _abi
from ._arrays import dtype_name, result
from ._call import call, encoded, numbers_text, options, view_text
from ._callbacks import Callbacks
from ._errors import ArgumentError
from ._handles import Handle, handle_of
from ._library import lib
from .checkpoint import Checkpoint
from ._model import Model, model_of
from .images import Images, to_uint8
from .ranks import Ranks
from .vae import VAE, GivenVAE, vae_of


class Data(Handle):
    """Images or latents, by class or without. Immutable: any thread.

    What a step sees depends on seed and step alone, so a run that is restored goes on with the data
    that it would have seen.

    Parameters
    ----------
    path : a folder of PNG and JPEG images, with one subfolder for each class or without any; a file
        of latents (what a cache is; or an array `latents` [N, C, h, w], normalised, with `labels`);
        or a folder of the original's npz files
    vae : an autoencoder, or its file: images become its latents; without it they stay images, -1 to 1
    progress : callable or True (tqdm); told while a cache is made

    Other Parameters
    ----------------
    batch : int, default 64
        Samples of a step, over all ranks; those that do not fill one wait for another epoch. 1 or
        more. Default: 64.
    size : int, default 256
        Side of the square that images are cut to. 1 to 16384. Default: 256. Part in: folder of
        images.
    channels : Optional[int], optional
        1 makes images grey, 3 RGB; absent: what the autoencoder takes, else 3. 1 to 3. Part in:
        folder of images.
    augmentation : str, default "generation"
        Random crops, mirrored half of the time, of 20 to 100 % of the area (pretraining) or 8 to
        100 % (classification; probe by TensorFlow's rule); ADM's crop of the middle, likewise
        mirrored (generation); to measure, the middle 224 of 256 pixels (evaluation) or ADM's crop
        (middle). Latents of a file were cut before: they are mirrored where it has both. One of
        pretraining, classification, probe, generation, evaluation, middle. Default: generation.
    mirror : Optional[float], optional
        Share of images that are mirrored; absent: the augmentation's own. 0 to 1. Part in: folder
        of images.
    crop_area : Optional[str], optional
        Smallest and largest share of the area of random crops, such as 0.2,1; empty: the
        augmentation's own. 0 to 1. Default: none. Part in: folder of images.
    sample_posterior : bool, default False
        Draw latents from the posterior, where it is known; else they are its mean. Default: no.
    cache : Optional[str], optional
        File of latents: every image is encoded once, cut in the middle, and the posterior of both
        orientations is kept there, or taken from there. Part in: folder of images.
    order : str, default "shuffled"
        Shuffled anew in every epoch from the seed, or as they are found. One of shuffled,
        sequential. Default: shuffled.
    seed : int, default 0
        Seed of the order, of crops, mirror images and drawn latents. Default: 0.
    ranks : Optional[Ranks], optional
        This process among those that train together, kept; absent: it sees whole batches.
    as_stored : bool, default False
        Read images as PIL gives them to the originals; else they are turned upright by the camera's
        note (Exif, XMP). Default: no. Part in: folder of images.
    skip_unreadable : bool, default False
        Another image of its class takes the place of one that cannot be read, or that is gone since
        an earlier run; else such an image is an error. Default: no. Part in: folder of images.
    masks : Optional[str], optional
        A folder with a label map for each image, 8-bit indices of classes (255: none) under the
        same path but for the ending. Samples are then crops of images rescaled by 0.5 to 2,
        flipped, with other colours (evaluation, middle: the middle), and their maps. Part in:
        folder of images.
    reduce_zero_label : bool, default False
        Label 0 is no class and the others move down by one, as in ADE20K. Default: no. Part in:
        folder of images.
    teacher : Optional[Model], optional
        A frozen ViT, kept, whose tokens of each image are the features that training with align
        compares with (REPA); a cache keeps them beside the latents, of one orientation. Part in:
        folder of images.
    teacher_encoder : Optional[str], optional
        How the teacher's images are prepared; absent: as its file tells (DINOv2's does). One of
        dinov2, jepa, clip, mae, mocov3, dinov1. Part in: folder of images.
    teacher_size : Optional[int], optional
        Side of the square that the teacher is shown; absent: of its patches as many as the image
        has pixels over 16, 224 for patches of 14 and images of 256. 1 to 16384. Part in: folder of
        images.
    feature_type : str, default "f16"
        Type of features in a cache. One of f32, f16, bf16. Default: f16. Part in: folder of images.
    rand_augment : Optional[str], optional
        RandAugment of each image, behind its crop and mirror image, in timm's words:
        rand-m9-mstd0.5-inc1 is what MAE and USP fine-tune with; absent: none. Part in: folder of
        images.
    erasing : float, default 0.0
        Chance of an image to have a box of it erased. 0 to 1. Default: 0. Part in: folder of
        images.
    erasing_fill : str, default "pixel"
        What is in the box: noise for each value, one random number for each channel, or 0. One of
        pixel, color, constant. Default: pixel. Part in: folder of images.
    erasing_count : int, default 1
        Boxes in such an image. 1 to 100. Default: 1. Part in: folder of images.
    mixup : float, default 0.0
        Parameter of mixup's beta distribution (published: 0.8); 0: no mixup. 0 or more. Default: 0.
    cutmix : float, default 0.0
        Parameter of CutMix's beta distribution (published: 1); 0: no CutMix. 0 or more. Default: 0.
    mixing_probability : float, default 1.0
        Chance that anything is mixed. 0 to 1. Default: 1.
    switch_probability : float, default 0.5
        Chance of CutMix, not mixup, where both are on. 0 to 1. Default: 0.5.
    mixing_unit : str, default "batch"
        What has a draw of its own. One of batch, pair, sample. Default: batch.
    label_smoothing : float, default 0.1
        What of each label, where labels are shares, is spread evenly over all classes. 0 to 1.
        Default: 0.1.
    mix_pixels : bool, default False
        Mix images before they are encoded, not their latents. Default: no. Part in: folder of
        images.
    normalization : str, default "half"
        What pixels of images with masks become where no autoencoder takes them: half, -1 to 1;
        imagenet, by ImageNet's mean and deviation, as networks of mmsegmentation, BEiT and MAE have
        learned to see. One of half, imagenet. Default: half. Part in: folder of images.

    Examples
    --------
    >>> usp.Checkpoint({"latents": usp.random.normal((8, 4, 4, 4))}).save("latents.npz")
    >>> data = usp.Data("latents.npz", batch=4)
    >>> len(data), data.batch(0)[0].shape
    (8, (4, 4, 4, 4))
    """

    kind = "usp_data"

    def __init__(
        self, path: "Union[str, os.PathLike[str]]", *, vae: GivenVAE = None,
        progress: "Union[Callable[..., Any], bool, None]" = None,
        # options: usp_data_options
        batch: int = 64, size: int = 256, channels: Optional[int] = None,
        augmentation: str = "generation", mirror: Optional[float] = None,
        crop_area: Optional[str] = None, sample_posterior: bool = False,
        cache: Optional[str] = None, order: str = "shuffled", seed: int = 0,
        ranks: Optional[Ranks] = None, as_stored: bool = False, skip_unreadable: bool = False,
        masks: Optional[str] = None, reduce_zero_label: bool = False,
        teacher: Optional[Model] = None, teacher_encoder: Optional[str] = None,
        teacher_size: Optional[int] = None, feature_type: str = "f16",
        rand_augment: Optional[str] = None, erasing: float = 0.0, erasing_fill: str = "pixel",
        erasing_count: int = 1, mixup: float = 0.0, cutmix: float = 0.0,
        mixing_probability: float = 1.0, switch_probability: float = 0.5,
        mixing_unit: str = "batch", label_smoothing: float = 0.1, mix_pixels: bool = False,
        normalization: str = "half",
        # end of options
    ):
        given = options(
            _abi.usp_data_options, batch=batch, size=size, channels=channels,
            augmentation=augmentation, mirror=mirror, crop_area=numbers_text(crop_area),
            sample_posterior=sample_posterior, cache=cache, order=order, seed=seed,
            as_stored=as_stored, skip_unreadable=skip_unreadable, masks=masks,
            reduce_zero_label=reduce_zero_label, normalization=normalization,
            teacher_encoder=teacher_encoder, teacher_size=teacher_size, feature_type=dtype_name(feature_type),
            rand_augment=rand_augment, erasing=erasing, erasing_fill=erasing_fill,
            erasing_count=erasing_count, mixup=mixup, cutmix=cutmix,
            mixing_probability=mixing_probability, switch_probability=switch_probability,
            mixing_unit=mixing_unit, label_smoothing=label_smoothing, mix_pixels=mix_pixels)
        if isinstance(teacher, (str, os.PathLike)):
            teacher = Model._load(teacher)
        if teacher is not None:
            teacher = model_of(teacher, "teacher", Model, other=", or its file")
        given.teacher = handle_of(teacher, "teacher", Model)
        vae = vae_of(vae)
        given.ranks = handle_of(ranks, "ranks", Ranks)
        #: what differs from the defaults, for stages that read the same images in their own way
        self.said = {
            name: value for name, value, usual in (
                ("batch", batch, 64), ("augmentation", augmentation, "generation"),
                ("mirror", mirror, None), ("crop_area", numbers_text(crop_area), None),
                ("sample_posterior", sample_posterior, False), ("order", order, "shuffled"),
                ("rand_augment", rand_augment, None), ("erasing", erasing, 0.0),
                ("erasing_fill", erasing_fill, "pixel"), ("erasing_count", erasing_count, 1),
                ("mixup", mixup, 0.0), ("cutmix", cutmix, 0.0),
                ("mixing_probability", mixing_probability, 1.0),
                ("switch_probability", switch_probability, 0.5),
                ("mixing_unit", mixing_unit, "batch"), ("mix_pixels", mix_pixels, False),
                ("label_smoothing", label_smoothing, 0.1))
            if value != usual}
        callbacks = Callbacks()
        given.progress = callbacks.progress(progress)
        pointer = ctypes.POINTER(_abi.usp_data)()
        callbacks.call(
            lib.usp_data_open, encoded(path, "path", "a folder or a file"), handle_of(vae, "vae", VAE),
            ctypes.byref(given), ctypes.byref(pointer))
        self._attach(pointer, lib.usp_data_free)

    @classmethod
    def _of_stage(cls, stage: Handle) -> "Data":
        """The data of a stage of the pipeline."""
        self = cls._made(lib.usp_stage_data, stage.handle)
        self.said = {}
        return self

    def preview(self, count: int = 16) -> Images:
        """So many images, spread over all, as uint8 pixels that show themselves."""
        if self.shape[0] not in (1, 3):
            raise ArgumentError(f"preview: samples {list(self.shape)} are latents, not images")
        count = min(count, len(self))
        numbers = [index * len(self) // count for index in range(count)]
        return to_uint8(np.stack([self[number][0] for number in numbers]))

    def __len__(self) -> int:
        return int(lib.usp_data_count(self.handle))

    def __repr__(self) -> str:
        if self.closed:
            return "Data(closed)"
        return f"Data({len(self)} of {list(self.shape)}, {lib.usp_data_classes(self.handle)} classes)"

    @property
    def feature_shape(self) -> Optional[Tuple[int, int]]:
        """(T, Z) of the teacher's features of a sample; None without a teacher."""
        tensor = _abi.usp_tensor()
        call(lib.usp_data_feature, self.handle, ctypes.byref(tensor))
        return (tensor.shape[0], tensor.shape[1]) if tensor.rank else None

    def features(self, step: int) -> np.ndarray:
        """The teacher's features [B, T, Z] of the samples that `batch(step)` gives."""
        if self.feature_shape is None:
            raise ArgumentError("data: has no features of a teacher")
        size = int(lib.usp_data_batch_size(self.handle))
        tensor, array = result(None, (size, *self.feature_shape))
        call(lib.usp_data_features, self.handle, step, ctypes.byref(tensor))
        return array

    @property
    def shape(self) -> Tuple[int, ...]:
        """Of one sample, (C, h, w)."""
        sample = _abi.usp_tensor()
        call(lib.usp_data_sample, self.handle, ctypes.byref(sample))
        return tuple(sample.shape[: sample.rank])

    @property
    def classes(self) -> List[str]:
        """Names of the classes, in the order of their labels; their numbers where they have none."""
        count = int(lib.usp_data_classes(self.handle))
        names = [lib.usp_data_class_name(self.handle, index) for index in range(count)]
        return [str(i) if name is None else view_text(name) for i, name in enumerate(names)]

    @property
    def remarks(self) -> List[str]:
        """What in a folder is none of the images, and images that could not be read so far, others
        of whose class took their places (skip_unreadable)."""
        lines: List[str] = []
        while (line := lib.usp_data_remark(self.handle, len(lines))) is not None:
            lines.append(view_text(line))
        return lines

    @property
    def batch_size(self) -> int:
        """Samples of a step on this rank."""
        return int(lib.usp_data_batch_size(self.handle))

    @property
    def steps_per_epoch(self) -> int:
        return int(lib.usp_data_steps_per_epoch(self.handle))

    def latent_statistics(self) -> Checkpoint:
        """Mean and unbiased deviation of each channel of encoded latents, not normalised.

        Arrays `mean` and `std` [C] float32, as `VAE.load(statistics=...)` takes them; of samples of
        the posterior where log variances are known.
        """
        found = {name: np.empty(self.shape[0], np.float32) for name in ("mean", "std")}
        outs = [result(array, array.shape, name)[0] for name, array in found.items()]
        call(lib.usp_data_latent_statistics, self.handle, *map(ctypes.byref, outs))
        return Checkpoint(found)

    def batch(self, step: int) -> Tuple[np.ndarray, Optional[np.ndarray]]:
        """Inputs [B, C, h, w] and labels [B] (None without), masks [B, H, W] uint8, or shares of the
        classes [B, K] float32 where samples are mixed, of a step, 0 the first of all."""
        if self.steps_per_epoch == 0:
            raise ArgumentError(
                f"batch: there are {len(self)} samples, fewer than a step has; "
                f"give usp.Data(batch={len(self)}) or less")
        return self._read(lib.usp_data_batch, step, self.batch_size)

    def __getitem__(self, index: "Union[int, slice]") -> Tuple[np.ndarray, Any]:
        """A sample [C, h, w] with its label, or several; neither mirrored nor drawn."""
        if isinstance(index, slice):
            numbers = range(*index.indices(len(self)))
            if numbers.step != 1:
                raise ArgumentError(f"index: step {numbers.step}, expected 1")
            return self._read(lib.usp_data_samples, numbers.start, len(numbers))
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        inputs, labels = self._read(lib.usp_data_samples, place, 1)
        if labels is None:
            return inputs[0], None
        return inputs[0], int(labels[0]) if labels.ndim == 1 else labels[0]

    def _read(
        self, function: Any, place: int, count: int
    ) -> Tuple[np.ndarray, Optional[np.ndarray]]:
        inputs, array = result(None, (count, *self.shape))
        label = _abi.usp_tensor()
        call(lib.usp_data_label, self.handle, ctypes.byref(label))
        shape = tuple(label.shape[: label.rank])
        has_labels = shape != (0,)
        kind = {2: np.uint8, 1: np.float32}.get(len(shape) if has_labels else 0, np.int64)
        if kind is np.float32 and function is lib.usp_data_samples:
            shape, kind = (), np.int64  # not mixed
        labels, numbers = result(None, (count, *shape) if has_labels else (count,), "labels", kind)
        call(
            function, self.handle, place, ctypes.byref(inputs),
            ctypes.byref(labels) if has_labels else None)
        return array, numbers if has_labels else None
