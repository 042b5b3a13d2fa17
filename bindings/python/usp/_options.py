"""Generated from the tables of fields by scripts/generate_doors.py: do not edit."""

from math import nan
from typing import Any, Dict

#: struct -> field -> default
DEFAULTS: Dict[str, Dict[str, Any]] = {
    "usp_checkpoint_options": {
        "table": None,
    },
    "usp_save_options": {
        "format": None,
        "dtype": None,
        "tables": None,
    },
    "usp_denoiser": {
        "cfg_scale": 1,
        "cfg_channels": -1,
        "cfg_begin": nan,
        "cfg_end": nan,
        "null_class": -1,
        "out_channels": -1,
    },
    "usp_sample_options": {
        "method": None,
        "steps": -1,
        "seed": 0,
        "generator": None,
        "first_sample": 0,
        "total_samples": -1,
        "clip": 0,
        "eta": 0,
        "atol": 1e-06,
        "rtol": 0.001,
        "timestep_shift": 1,
        "form": "sigma",
        "norm": 1,
        "last_step": "Mean",
        "last_step_size": 0.04,
        "preview_interval": 10,
    },
    "usp_diffusion_options": {
        "training_steps": 1000,
        "schedule": "linear",
        "respacing": None,
        "prediction": "epsilon",
        "variance": "learned-range",
        "loss": "mse",
    },
    "usp_transport_options": {
        "path": "Linear",
        "prediction": "velocity",
        "loss_weight": "none",
        "train_epsilon": nan,
        "sample_epsilon": nan,
    },
    "usp_inception_options": {
        "preprocessing": "tensorflow",
    },
}
