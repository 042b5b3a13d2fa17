"""What both sides read: the models' sizes, and each work's weights and inputs."""

import zlib

import numpy as np

# width, depth, heads
TRANSFORMERS = {"S": (384, 12, 6), "B": (768, 12, 12), "L": (1024, 24, 16), "XL": (1152, 28, 16)}
# Width, depth and heads of the masked autoencoder's decoder.
DECODER = (512, 8, 16)
CLASSES = 1000
KEPT = 0.25
# Channels of the autoencoder's levels, residual blocks of an encoder level, latent channels.
LEVELS, BLOCKS, LATENT = (128, 256, 512, 512), 2, 4


# ---- weights: names as the published checkpoints have them ------------------------------------

def linear(name, inputs, outputs):
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def norm(name, width):
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def convolution(name, inputs, outputs, kernel):
    return {f"{name}.weight": (outputs, inputs, kernel, kernel), f"{name}.bias": (outputs,)}


def block(name, width, affine, modulated):
    shapes = linear(f"{name}.attn.qkv", width, 3 * width)
    shapes |= linear(f"{name}.attn.proj", width, width)
    shapes |= linear(f"{name}.mlp.fc1", width, 4 * width)
    shapes |= linear(f"{name}.mlp.fc2", 4 * width, width)
    if affine:
        shapes |= norm(f"{name}.norm1", width) | norm(f"{name}.norm2", width)
    if modulated:
        shapes |= linear(f"{name}.adaLN_modulation.1", width, 6 * width)
    return shapes


def dit_shapes(work):
    width, depth, _ = TRANSFORMERS[work.model]
    shapes = {"pos_embed": (1, work.tokens, width)}
    shapes |= convolution("x_embedder.proj", 4, width, 2)
    shapes |= linear("t_embedder.mlp.0", 256, width) | linear("t_embedder.mlp.2", width, width)
    shapes |= {"y_embedder.embedding_table.weight": (CLASSES + 1, width)}
    for i in range(depth):
        shapes |= block(f"blocks.{i}", width, affine=False, modulated=True)
    shapes |= linear("final_layer.adaLN_modulation.1", width, 2 * width)
    return shapes | linear("final_layer.linear", width, 2 * 2 * 8)


def vit_shapes(work):
    width, depth, _ = TRANSFORMERS[work.model]
    shapes = {"cls_token": (1, 1, width), "pos_embed": (1, work.tokens + 1, width)}
    shapes |= convolution("patch_embed.proj", 4, width, 2)
    for i in range(depth):
        shapes |= block(f"blocks.{i}", width, affine=True, modulated=False)
    shapes |= norm("norm", width)
    if work.family == "vit":
        return shapes | linear("head", width, CLASSES)
    inner, layers, _ = DECODER
    shapes |= {"mask_token": (1, 1, inner), "decoder_pos_embed": (1, work.tokens + 1, inner)}
    shapes |= linear("decoder_embed", width, inner)
    for i in range(layers):
        shapes |= block(f"decoder_blocks.{i}", inner, affine=True, modulated=False)
    return shapes | norm("decoder_norm", inner) | linear("decoder_pred", inner, 16)


def residual_block(name, inputs, outputs):
    shapes = norm(f"{name}.norm1", inputs) | convolution(f"{name}.conv1", inputs, outputs, 3)
    shapes |= norm(f"{name}.norm2", outputs) | convolution(f"{name}.conv2", outputs, outputs, 3)
    if inputs != outputs:
        shapes |= convolution(f"{name}.conv_shortcut", inputs, outputs, 1)
    return shapes


def middle(side, width):
    shapes = residual_block(f"{side}.mid_block.resnets.0", width, width)
    shapes |= norm(f"{side}.mid_block.attentions.0.group_norm", width)
    for part in ("to_q", "to_k", "to_v", "to_out.0"):
        shapes |= linear(f"{side}.mid_block.attentions.0.{part}", width, width)
    return shapes | residual_block(f"{side}.mid_block.resnets.1", width, width)


def vae_shapes(_):
    """The names of the diffusers layout."""
    shapes, width = convolution("encoder.conv_in", 3, LEVELS[0], 3), LEVELS[0]
    for level, outputs in enumerate(LEVELS):
        for i in range(BLOCKS):
            shapes |= residual_block(f"encoder.down_blocks.{level}.resnets.{i}", width, outputs)
            width = outputs
        if level < len(LEVELS) - 1:
            name = f"encoder.down_blocks.{level}.downsamplers.0.conv"
            shapes |= convolution(name, width, width, 3)
    shapes |= middle("encoder", width) | norm("encoder.conv_norm_out", width)
    shapes |= convolution("encoder.conv_out", width, 2 * LATENT, 3)
    shapes |= convolution("quant_conv", 2 * LATENT, 2 * LATENT, 1)
    shapes |= convolution("post_quant_conv", LATENT, LATENT, 1)
    shapes |= convolution("decoder.conv_in", LATENT, width, 3) | middle("decoder", width)
    for level, outputs in enumerate(reversed(LEVELS)):
        for i in range(BLOCKS + 1):
            shapes |= residual_block(f"decoder.up_blocks.{level}.resnets.{i}", width, outputs)
            width = outputs
        if level < len(LEVELS) - 1:
            shapes |= convolution(f"decoder.up_blocks.{level}.upsamplers.0.conv", width, width, 3)
    shapes |= norm("decoder.conv_norm_out", width)
    return shapes | convolution("decoder.conv_out", width, 3, 3)


SHAPES = {"dit": dit_shapes, "vit": vit_shapes, "mae": vit_shapes, "vae": vae_shapes}


def shapes(work):
    """Name -> shape of every weight."""
    return SHAPES[work.family](work)


def random_weight(name, shape):
    """Values that keep activations near one: no zero gates, norms about the identity."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    if "norm" in name and name.endswith(".weight"):
        return 1 + 0.1 * random.standard_normal(shape, np.float32)
    if len(shape) == 1:
        return 0.02 * random.standard_normal(shape, np.float32)
    if "embedding_table" in name or "token" in name or "pos_embed" in name:
        return 0.5 * random.standard_normal(shape, np.float32)
    deviation = np.float32(np.prod(shape[1:])) ** np.float32(-0.5)
    return (0.3 if "adaLN" in name else 1) * deviation * random.standard_normal(shape, np.float32)


# ---- inputs ------------------------------------------------------------------------------------

def inputs(work):
    """Name -> array of what a run reads."""
    random = np.random.default_rng(7)
    batch, side = work.batch, work.size
    if work.family == "vae":
        small = side // 8
        shape = (batch, 3, side, side) if work.task == "encode" else (batch, LATENT, small, small)
        return {"x": np.tanh(random.standard_normal(shape, np.float32))}
    arrays = {"x": random.standard_normal((batch, 4, side, side), np.float32)}
    if work.family == "dit":
        arrays["t"] = np.linspace(20, 980, batch).astype(np.int64)
        arrays["y"] = random.integers(0, CLASSES, batch)
        arrays["noise"] = random.standard_normal(arrays["x"].shape, np.float32)
    if work.family == "mae":
        arrays["noise"] = random.random((batch, work.tokens), np.float32)
    return arrays


def feeds(work):
    """The arguments of a forward pass."""
    names = {"dit": ("x", "t", "y")}.get(work.family, ("x",))
    arrays = inputs(work)
    return {name: arrays[name] for name in names}
