"""SiT's transport: samplers, likelihood and losses."""

from __future__ import annotations

import ctypes
import warnings
from typing import Any, Dict, Optional, Tuple

import numpy as np

from . import _abi
from ._arrays import as_numpy, result
from ._call import call, composed, options, whole_number
from ._handles import Handle
from ._library import lib
from ._sampling import Run, sample
from .random import drawn

Interval = Optional[Tuple[float, float]]


class Transport(Handle):
    """Paths between noise (t = 0) and data (t = 1; with noise_at=1 the other way); any thread.

    Parameters
    ----------
    path : "Linear", "GVP" or "VP"
    prediction : "velocity", "score" or "noise"
    loss_weight : None, "velocity" or "likelihood"
    train_eps, sample_eps : how far to stay away from singular ends; None = the original's rule

    A `model` below is a library model or any callable (x, t, y) -> array of numpy arrays.

    Examples
    --------
    >>> noise = usp.random.normal((1, 4, 2, 2), seed=0)
    >>> def towards_two(x, t, y):                       # on the straight path: data - noise
    ...     return (2 - x) / (1 - t.reshape(-1, 1, 1, 1))
    >>> data = usp.Transport().sample_ode(towards_two, noise, method="euler", steps=11)
    >>> bool(np.allclose(data, 2, atol=1e-5))
    True
    """

    kind = "usp_transport"

    def __init__(
        self, path: str = "Linear", prediction: str = "velocity",
        loss_weight: Optional[str] = None, *, train_eps: Optional[float] = None,
        sample_eps: Optional[float] = None,
        # options: usp_transport_options, but path prediction loss_weight train_epsilon sample_epsilon
        noise_at: Optional[int] = None, times: str = "uniform", cosine_loss: bool = False,
        # end of options
    ):
        """As the class says.

        Other Parameters
        ----------------
        noise_at : Optional[int], optional
            The model's time of pure noise: 0 as SiT, 1 as REPA, with times and velocities that go
            the other way; absent: the model's own, 0 for functions. 0 to 1.
        times : str, default "uniform"
            How training draws its times; lognormal is the logit-normal distribution of LightningDiT
            and REPA. One of uniform, lognormal. Default: uniform.
        cosine_loss : bool, default False
            Velocity: training also turns the predicted velocity of each latent pixel towards the
            true one, by 1 - cosine along the channels (LightningDiT). Default: no.
        """
        given = options(
            _abi.usp_transport_options, path=path, prediction=prediction, loss_weight=loss_weight,
            train_epsilon=train_eps, sample_epsilon=sample_eps, noise_at=noise_at, times=times,
            cosine_loss=int(cosine_loss))
        self._parts = ("mse", "cos_loss") if cosine_loss else ()
        self._adopt(lib.usp_transport_create, ctypes.byref(given))

    def draw_times(self, count: int, seed: Optional[int] = 0) -> np.ndarray:
        """Times as training draws them, [count] float32, on the model's scale."""
        tensor, array = result(None, (whole_number(count, "count"),))
        call(lib.usp_transport_draw_times, self.handle, drawn(seed), ctypes.byref(tensor))
        return array

    def sample_ode(
        self, model: Any, z: Any, y: Any = None, method: str = "dopri5", steps: int = 50,
        atol: float = 1e-6, rtol: float = 1e-3, reverse: bool = False, cfg_scale: Any = None, *,
        cfg_channels: Optional[int] = None, cfg_interval: Interval = None,
        null_class: Optional[int] = None, timestep_shift: float = 1.0,
        last_step: Optional[str] = None, null_half: bool = False, out: Any = None, **common: Any,
    ) -> np.ndarray:
        """Latents from noise z [B, C, H, W] along the probability flow.

        `reverse` gives noise from latents.
        `method` is an ODE solver, such as "dopri5" (adaptive), "heun" or "adams-bashforth"; the
        error for an unknown one lists all. `steps` are points of time. `last_step` "Euler" takes
        the last interval as Euler's method does: with "heun" REPA's sampler of steps - 1 steps.
        With `null_half` guidance's null half has a part in an adaptive method's choice of steps, as
        in the originals' batches of both halves. Further keywords: progress, preview, preview_interval;
        reuse_interval, reuse_threshold, reuse_order and null_interval, as usp.sample has them.
        """
        self._tell_moved_ends(stochastic=False)
        function = lib.usp_transport_invert_ode if reverse else lib.usp_transport_sample_ode
        return sample(
            function, self, model, z, y, out, common,
            (cfg_scale, cfg_channels, cfg_interval, null_class), method=method, steps=steps,
            atol=atol, rtol=rtol, timestep_shift=timestep_shift, last_step=last_step,
            null_half=int(null_half))

    def sample_sde(
        self, model: Any, z: Any, y: Any = None, method: str = "Euler", form: str = "sigma",
        norm: float = 1.0, last_step: Optional[str] = "Mean", last_step_size: float = 0.04,
        steps: int = 250, noise: Any = None, cfg_scale: Any = None, *,
        cfg_channels: Optional[int] = None, cfg_interval: Interval = None,
        null_class: Optional[int] = None, out: Any = None, **common: Any,
    ) -> np.ndarray:
        """Latents from noise along an SDE with the same marginals.

        `method` is "Euler" or "Heun"; `form` is "constant", "SBDM", "sigma", "linear",
        "decreasing" or "increasing-decreasing"; `last_step` is "Mean", "Tweedie", "Euler" or None.
        `noise` [steps - 1, B, C, H, W] is consumed in order; without it, it is drawn from `seed`.
        Where an end of the run is moved off a singular time, a warning says so.
        """
        self._tell_moved_ends(
            stochastic=True, method=method, form=form, last_step=last_step or "None",
            last_step_size=last_step_size)
        return sample(
            lib.usp_transport_sample_sde, self, model, z, y, out, dict(common, noise=noise),
            (cfg_scale, cfg_channels, cfg_interval, null_class), method=method, form=form,
            norm=norm, last_step=last_step or "None", last_step_size=last_step_size, steps=steps)

    def interval(
        self, stochastic: bool = False, method: str = "Euler", form: str = "sigma",
        last_step: Optional[str] = "Mean", last_step_size: float = 0.04,
    ) -> Tuple[float, float, str]:
        """Where sample_ode, or sample_sde with these options, starts and ends: (start, end, note).

        The note says which end was moved off a time at which the field is infinite; "" = none.
        """
        run = Run()
        given = None
        if stochastic:
            given = run.sampling(
                (), {}, method=method, form=form, last_step=last_step or "None",
                last_step_size=last_step_size)
        start, end = ctypes.c_double(), ctypes.c_double()
        note = composed(
            lib.usp_transport_interval, self.handle, int(stochastic), given, ctypes.byref(start),
            ctypes.byref(end))
        return start.value, end.value, note

    def _tell_moved_ends(self, **given: Any) -> None:
        note = self.interval(**given)[2]
        if note:
            warnings.warn(note, stacklevel=3)

    def training_losses(
        self, model: Any, x1: Any, y: Any = None, t: Any = None, x0: Any = None,
        seed: Optional[int] = 0, *, features: Any = None,
    ) -> Dict[str, np.ndarray]:
        """Losses per sample: {"loss": [B]}, with cosine_loss also its parts "mse" and "cos_loss".

        x1 [B, C, H, W] clean latents; times t [B] and noise x0 are drawn from seed where they are
        not given. `features` [B, T, Z] of a teacher, or a list of one for each projector of the
        model, add "alignment" [B]: minus the mean cosine of the projected tokens with them (REPA),
        which is no part of "loss".
        """
        run = Run()
        data, shape = run.latents(x1, "x1")
        loss, losses = run.output(None, shape[:1])
        teachers = run.features(features)
        names = (*self._parts, *(["alignment"] if teachers[0] else []))
        parts = {name: run.output(None, shape[:1]) for name in names}
        run.callbacks.call(
            lib.usp_transport_losses, self.handle, run.denoiser(model, shape[0]), data,
            run.numbers(t, "t", np.float32, shape[0]), run.numbers(y, "y", np.int64, shape[0]),
            run.array(x0, "x0", shape=shape), *teachers, drawn(seed), loss,
            *(parts[name][0] if name in parts else None
              for name in ("mse", "cos_loss", "alignment")))
        return {"loss": losses, **{name: part[1] for name, part in parts.items()}}

    def likelihood(
        self, model: Any, x: Any, y: Any = None, method: str = "dopri5", steps: int = 50,
        atol: float = 1e-6, rtol: float = 1e-3, *, probe: Any = None, seed: Optional[int] = 0,
        progress: Any = None,
    ) -> Tuple[np.ndarray, np.ndarray]:
        """Log-likelihood [B] in nats of latents x, and the noise that they came from.

        The divergence is estimated along `probe` [B, C, H, W] (signs drawn from seed): exactly for
        a library model, by central differences for a function.
        """
        run = Run()
        latents, shape = run.latents(x, "x")
        logp, values = run.output(None, shape[:1])
        noise, origin = run.output(None, shape)
        stack = None if probe is None else as_numpy(probe, "probe")[0][None]
        run.callbacks.call(
            lib.usp_transport_likelihood, self.handle, run.denoiser(model, shape[0]), latents,
            run.numbers(y, "y", np.int64, shape[0]),
            run.sampling(
                shape, {"noise": stack, "seed": seed, "progress": progress}, method=method,
                steps=steps, atol=atol, rtol=rtol),
            logp, noise)
        return values, origin
