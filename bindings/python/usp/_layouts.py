"""Folders of pretrained models: config.json in the words of this library, diffusers and timm."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import Any, Dict, Optional, Tuple

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
        return "model.safetensors", timm(model), _checkpoint(model, "official")
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


def timm(model: Any) -> Dict[str, Any]:
    """The configuration of timm's VisionTransformer."""
    config = model.config
    if model.family != "ViT" or config.head != "linear":
        raise UnsupportedError(f"layout: timm's is of classifiers with a linear head, not {model!r}")
    side = [config.grid_height * config.patch, config.grid_width * config.patch]
    pool = "token" if config.pool == "token" else "avg"
    shape = [config.channels, *side]
    return {
        "architecture": "vit_base_patch16_224", "num_classes": config.classes,
        "num_features": config.width, "global_pool": pool,
        "model_args": {
            "img_size": side, "patch_size": config.patch, "in_chans": config.channels,
            "embed_dim": config.width, "depth": config.depth, "num_heads": config.heads,
            "class_token": config.class_token, "global_pool": pool},
        "pretrained_cfg": {
            "input_size": shape, "mean": [0.5] * config.channels, "std": [0.5] * config.channels,
            "num_classes": config.classes, "classifier": "head", "first_conv": "patch_embed.proj",
            "label_names": model.class_names or None}}


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
