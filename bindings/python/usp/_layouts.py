"""Folders of pretrained models: config.json in the words of this library, diffusers and timm."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import Any, Dict, Optional, Tuple

import numpy as np

from ._call import encoded
from ._errors import ArgumentError, UnsupportedError
from ._library import lib

LAYOUTS = ("usp", "diffusers", "timm")


def written(model: Any, layout: Optional[str]) -> Tuple[str, Dict[str, Any], Any]:
    """The name of the weights' file, config.json, and the weights."""
    if layout in (None, "usp"):
        return "model.safetensors", {
            "library_name": "usp", "family": model.family, **asdict(model.config)}, model.checkpoint
    if layout == "diffusers":
        return "diffusion_pytorch_model.safetensors", diffusers(model), _checkpoint(
            model, "diffusers")
    if layout == "timm":
        return "model.safetensors", timm(model), _timm_arrays(model)
    raise ArgumentError(f"layout: {layout!r}, expected one of {', '.join(LAYOUTS)}")


def _checkpoint(model: Any, layout: str) -> Any:
    from .checkpoint import Checkpoint

    return Checkpoint._made(lib.usp_model_written, model.handle, encoded(layout))


def diffusers(model: Any) -> Dict[str, Any]:
    """The configuration of AutoencoderKL or AutoencoderTiny."""
    if model.family != "VAE":
        raise UnsupportedError(
            f"layout: diffusers' of a {model.family}; the tool's `convert --dialect diffusers` writes "
            "its names and says what they do not tell")
    config = model.config
    if not isinstance(model.scale, float) or not isinstance(model.shift, float):
        raise UnsupportedError("layout: diffusers has no place for one latent scale a channel")
    common = {
        "in_channels": config.image_channels, "out_channels": config.image_channels,
        "latent_channels": config.latent_channels, "scaling_factor": model.scale}
    if config.tiny:
        if model.shift or config.strided_stem or config.pooled_blocks:
            raise UnsupportedError("layout: AutoencoderTiny has no shift, strided stem, pooled blocks")
        return {
            "_class_name": "AutoencoderTiny", **common, "act_fn": "relu",
            "encoder_block_out_channels": [config.base_width] * len(config.encoder_blocks),
            "decoder_block_out_channels": list(config.decoder_widths),
            "num_encoder_blocks": list(config.encoder_blocks),
            "num_decoder_blocks": list(config.decoder_blocks)}
    if not config.double_z:
        raise UnsupportedError(
            "layout: diffusers' AutoencoderKL gives mean and variance, this one a mean only (double_z "
            "False)")
    levels = range(len(config.multipliers))
    return {
        "_class_name": "AutoencoderKL", **common, "shift_factor": model.shift, "act_fn": "silu",
        "block_out_channels": [config.base_width * m for m in config.multipliers],
        "down_block_types": [
            ("AttnDownEncoderBlock2D" if level in config.encoder_attention else "DownEncoderBlock2D")
            for level in levels],
        "up_block_types": [
            ("AttnUpDecoderBlock2D" if level in config.decoder_attention else "UpDecoderBlock2D")
            for level in reversed(levels)],
        "layers_per_block": config.blocks_per_level, "norm_num_groups": config.groups,
        "mid_block_add_attention": config.mid_attention, "use_quant_conv": config.quant_conv,
        "use_post_quant_conv": config.quant_conv}


_TIMM_ACTIVATIONS = {
    "gelu_erf": "gelu", "gelu_tanh": "gelu_tanh", "gelu_quick": "quick_gelu", "silu": "silu",
    "relu": "relu"}
# timm's configurations have no epsilon, but its architectures: all else is said beside them.
_TIMM_ARCHITECTURES = {1e-6: "vit_base_patch16_224", 1e-5: "vit_base_patch16_clip_224"}


def timm(model: Any) -> Dict[str, Any]:
    """The configuration of timm's VisionTransformer.

    Raises UnsupportedError naming what of the model timm's constructor would not make.
    """
    config = model.config
    if model.family != "ViT" or config.head != "linear":
        raise UnsupportedError(f"layout: timm's is of classifiers with a linear head, not {model!r}")
    epsilon = next((known for known in _TIMM_ARCHITECTURES if _near(known, config.epsilon)), None)
    own = epsilon if config.rms_norm else 1e-5
    untold = [
        f"{name} {getattr(config, name)}" for name, is_untold in (
            ("swiglu", config.swiglu), ("rope", config.rope),
            ("activation", config.activation not in _TIMM_ACTIVATIONS),
            ("epsilon", epsilon is None or (config.rms_norm and not _near(1e-6, config.epsilon))),
            ("attention_epsilon", config.attention_epsilon not in (None, config.epsilon)),
        ) if is_untold]
    if config.qk_norm and epsilon is not None and own != epsilon:
        untold.append(
            f"qk_norm (which adds {own:g} to a variance, timm's what the blocks' norms add, "
            f"{epsilon:g})")
    if untold or epsilon is None:
        raise UnsupportedError(f"layout: timm's configuration has no place for {', '.join(untold)}")
    side = [config.grid_height * config.patch, config.grid_width * config.patch]
    pool = "token" if config.pool == "token" else "avg"
    shape = [config.channels, *side]
    hidden = int(model.parameters["blocks.0.mlp.fc1.weight"].shape[0])
    ratio = config.mlp_ratio
    if int(config.width * ratio) != hidden:
        ratio = (hidden + 0.5) / config.width  # timm rounds down
    return {
        "architecture": _TIMM_ARCHITECTURES[epsilon], "num_classes": config.classes,
        "num_features": config.width, "global_pool": pool,
        "model_args": {
            "img_size": side, "patch_size": config.patch, "in_chans": config.channels,
            "embed_dim": config.width, "depth": config.depth, "num_heads": config.heads,
            "mlp_ratio": ratio, "act_layer": _TIMM_ACTIVATIONS[config.activation],
            **({"norm_layer": "rmsnorm"} if config.rms_norm else {}),
            "class_token": config.class_token, "global_pool": pool,
            "no_embed_class": config.registers > 0 or (
                config.class_token and not config.class_position),
            "reg_tokens": config.registers, "pre_norm": config.pre_norm,
            "fc_norm": pool == "avg" if config.fc_norm is None else config.fc_norm,
            "qk_norm": config.qk_norm, "init_values": 1e-5 if config.layer_scale else None},
        "pretrained_cfg": {
            "input_size": shape, "mean": [0.5] * config.channels, "std": [0.5] * config.channels,
            "num_classes": config.classes, "classifier": "head", "first_conv": "patch_embed.proj",
            "label_names": model.class_names or None}}


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= 1e-6 * one


def _timm_arrays(model: Any) -> Any:
    """The weights in timm's names. Where there are registers, its table of positions has either none
    in front of the patches or one for each: the class token takes its own into itself."""
    from .checkpoint import Checkpoint

    arrays = _checkpoint(model, "official")
    config = model.config
    if not config.registers:
        return arrays
    values = {name: np.array(arrays[name]) for name in arrays}
    values["reg_token"] = values.pop("register_tokens")
    if config.class_token and config.class_position:
        values["cls_token"] = values["cls_token"] + values["pos_embed"][:, :1]
        values["pos_embed"] = np.ascontiguousarray(values["pos_embed"][:, 1:])
    return Checkpoint(values)


def expect(folder: Any, layout: Optional[str], family: Optional[str]) -> None:
    """Raises ArgumentError where a folder is of another layout, or says it is of another family."""
    encoded(folder, "folder", "a folder's path")
    if layout is not None and layout not in LAYOUTS:
        raise ArgumentError(f"layout: {layout!r}, expected one of {', '.join(LAYOUTS)}")
    try:
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
            found = json.load(file)
    except FileNotFoundError:
        return
    own = (
        "diffusers" if "_class_name" in found else "timm" if "architecture" in found else "usp")
    if layout not in (None, own):
        raise ArgumentError(f"layout: {layout}, but {os.fspath(folder)} is of {own}")
    told = found.get("family") if own == "usp" else None
    if family is not None and told not in (None, family):
        raise ArgumentError(f"folder: {os.fspath(folder)} is of the family {told}, expected {family}")
