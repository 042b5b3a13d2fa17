"""DiT's Gaussian process: samplers, losses, tables."""

from __future__ import annotations

import ctypes
from typing import Any, Dict, Optional, Tuple

import numpy as np

from . import _abi
from ._arrays import as_tensor, result
from ._call import call, encoded, options
from ._handles import Handle
from ._library import lib
from ._sampling import Run, sample
from .random import drawn


class Diffusion(Handle):
    """One Gaussian diffusion process; any thread may use it.

    Parameters
    ----------
    respacing : steps that a run uses: "250", "10,10,20", "ddim50"; None or "" = all, which is
        what training wants
    schedule : "linear" or "cosine"
    learn_sigma : whether the model's output has a second half for the variances
    prediction : "epsilon", "start" or "previous" (predict_xstart is the original's word for
        "start")
    variance : "learned-range", "learned", "fixed-small", "fixed-large"; None = by learn_sigma and
        sigma_small, as the original
    loss : "mse", "rescaled-mse", "kl", "rescaled-kl"; None = by use_kl and rescale_learned_sigmas
    diffusion_steps : steps that the model was trained with

    A `model` below is a library model or any callable (x, t, y) -> array of numpy arrays.

    Examples
    --------
    >>> process = usp.Diffusion("ddim10", learn_sigma=False)
    >>> noise = usp.random.normal((1, 4, 2, 2), seed=0)
    >>> process.ddim_sample_loop(lambda x, t, y: x, noise).shape
    (1, 4, 2, 2)
    """

    kind = "usp_diffusion"

    def __init__(
        self, respacing: Optional[Any] = "250", schedule: str = "linear", learn_sigma: bool = True,
        *, prediction: Optional[str] = None, variance: Optional[str] = None,
        loss: Optional[str] = None, diffusion_steps: int = 1000, predict_xstart: bool = False,
        sigma_small: bool = False, use_kl: bool = False, rescale_learned_sigmas: bool = False,
    ):
        fixed = "fixed-small" if sigma_small else "fixed-large"
        rescaled = "rescaled-kl" if use_kl else "rescaled-mse" if rescale_learned_sigmas else "mse"
        if isinstance(respacing, (list, tuple)):
            respacing = ",".join(str(count) for count in respacing)
        if variance is None:
            variance = "learned-range" if learn_sigma else fixed
        if loss is None:
            loss = rescaled
        given = options(
            _abi.usp_diffusion_options, training_steps=diffusion_steps, schedule=schedule,
            respacing=None if respacing is None else str(respacing),
            prediction=prediction or ("start" if predict_xstart else "epsilon"),
            variance=variance, loss=loss)
        bound = ("vb",) if "kl" in loss or variance.startswith("learned") else ()
        self._parts = bound if "kl" in loss else ("mse", *bound)
        self._adopt(lib.usp_diffusion_create, ctypes.byref(given))

    @property
    def steps(self) -> int:
        """Steps of a run, after respacing."""
        return int(lib.usp_diffusion_steps(self.handle))

    num_timesteps = steps

    def table(self, name: str) -> np.ndarray:
        """A table of the process, [steps] float64: "betas", "alphas_cumprod", "timestep_map", …"""
        tensor, array = result(None, (self.steps,), dtype=np.float64)
        call(lib.usp_diffusion_table, self.handle, encoded(name), ctypes.byref(tensor))
        return array

    def q_sample(self, x0: Any, t: Any, noise: Any) -> np.ndarray:
        """Clean latents [B, C, H, W] noised to the level of a step each."""
        run = Run()
        start, shape = run.latents(x0, "x0")
        out, array = run.output(None, shape)
        call(
            lib.usp_diffusion_noise, self.handle, start, run.numbers(t, "t", np.int64, shape[0]),
            run.array(noise, "noise", shape=shape), out)
        return array

    def p_sample_loop(
        self, model: Any, z: Any, y: Any = None, noise: Any = None, clip_denoised: bool = False,
        cfg_scale: Any = None, *, cfg_channels: Optional[int] = None,
        cfg_interval: Optional[Tuple[float, float]] = None, null_class: Optional[int] = None,
        out: Any = None, **common: Any,
    ) -> np.ndarray:
        """Latents from noise z [B, C, H, W] by ancestral sampling.

        `noise` [steps, B, C, H, W] is consumed in order; without it, it is drawn from `seed`
        (one stream a sample; generator="torch" or "torch-cuda" draws as the original scripts).
        A batch that is part of a larger run gives first_sample, its first sample's number, and
        total_samples where torch's generators draw: so it gets the noise of its samples.
        Further keywords: seed, generator, progress, preview, preview_interval; denoised_fn, which
        changes the predicted latents x0 -> x0 of each step before they are clipped; reuse_interval,
        reuse_threshold, reuse_order and null_interval, as usp.sample has them.
        """
        return sample(
            lib.usp_diffusion_sample, self, model, z, y, out, dict(common, noise=noise),
            (cfg_scale, cfg_channels, cfg_interval, null_class), method="ddpm", clip=clip_denoised)

    def ddim_sample_loop(
        self, model: Any, z: Any, y: Any = None, noise: Any = None, clip_denoised: bool = False,
        cfg_scale: Any = None, eta: float = 0.0, *, cfg_channels: Optional[int] = None,
        cfg_interval: Optional[Tuple[float, float]] = None, null_class: Optional[int] = None,
        out: Any = None, **common: Any,
    ) -> np.ndarray:
        """As p_sample_loop by DDIM; eta 0 is deterministic, 1 as noisy as ancestral sampling."""
        return sample(
            lib.usp_diffusion_sample, self, model, z, y, out, dict(common, noise=noise),
            (cfg_scale, cfg_channels, cfg_interval, null_class), method="ddim",
            clip=clip_denoised, eta=eta)

    def dpm_sample_loop(
        self, model: Any, z: Any, y: Any = None, clip_denoised: bool = False,
        cfg_scale: Any = None, stochastic: bool = False, *, cfg_channels: Optional[int] = None,
        cfg_interval: Optional[Tuple[float, float]] = None, null_class: Optional[int] = None,
        out: Any = None, **common: Any,
    ) -> np.ndarray:
        """As p_sample_loop by DPM-Solver++ (2M): for processes respaced to ten to twenty steps."""
        return sample(
            lib.usp_diffusion_sample, self, model, z, y, out, common,
            (cfg_scale, cfg_channels, cfg_interval, null_class),
            method="dpm++sde" if stochastic else "dpm++", clip=clip_denoised)

    def ddim_reverse_loop(
        self, model: Any, x: Any, y: Any = None, clip_denoised: bool = False, cfg_scale: Any = None,
        *, cfg_channels: Optional[int] = None, cfg_interval: Optional[Tuple[float, float]] = None,
        null_class: Optional[int] = None, out: Any = None, **common: Any,
    ) -> np.ndarray:
        """Noise from latents: DDIM run backwards."""
        return sample(
            lib.usp_diffusion_invert, self, model, x, y, out, common,
            (cfg_scale, cfg_channels, cfg_interval, null_class), clip=clip_denoised)

    def training_losses(
        self, model: Any, x0: Any, t: Any = None, y: Any = None, noise: Any = None, seed: Optional[int] = 0
    ) -> Dict[str, np.ndarray]:
        """Losses per sample: "loss", and its parts "mse" and "vb" where it has them.

        x0 [B, C, H, W] clean latents; t [B] steps 0 … steps - 1 and noise are drawn from seed
        where they are not given.
        """
        run = Run()
        start, shape = run.latents(x0, "x0")
        denoiser = run.denoiser(model, shape[0])
        loss, losses = run.output(None, shape[:1])
        parts = {name: run.output(None, shape[:1]) for name in self._parts}
        run.callbacks.call(
            lib.usp_diffusion_losses, self.handle, denoiser, start,
            run.numbers(t, "t", np.int64, shape[0]), run.numbers(y, "y", np.int64, shape[0]),
            run.array(noise, "noise", shape=shape), drawn(seed), loss,
            *(parts[name][0] if name in parts else None for name in ("mse", "vb")))
        return {"loss": losses, **{name: part[1] for name, part in parts.items()}}

    def calc_bpd_loop(
        self, model: Any, x0: Any, y: Any = None, clip_denoised: bool = True, noise: Any = None,
        seed: Optional[int] = 0, *, progress: Any = None,
    ) -> Dict[str, np.ndarray]:
        """The whole variational bound of x0 [B, C, H, W] in bits per dimension.

        Evaluates every step once. "total_bpd" and "prior_bpd" are [B]; "vb", "xstart_mse" and "mse"
        are [B, steps], the noisiest step first. `noise` [steps, B, C, H, W] is consumed in order.
        """
        run = Run()
        start, shape = run.latents(x0, "x0")
        sizes = {
            "total_bpd": shape[:1], "prior_bpd": shape[:1], "vb": (shape[0], self.steps),
            "xstart_mse": (shape[0], self.steps), "mse": (shape[0], self.steps)}
        outputs = {name: run.output(None, size) for name, size in sizes.items()}
        run.callbacks.call(
            lib.usp_diffusion_bits_per_dimension, self.handle, run.denoiser(model, shape[0]), start,
            run.numbers(y, "y", np.int64, shape[0]),
            run.sampling(
                shape, {"noise": noise, "seed": seed, "progress": progress}, clip=clip_denoised),
            *(pointer for pointer, _ in outputs.values()))
        return {name: array for name, (_, array) in outputs.items()}
