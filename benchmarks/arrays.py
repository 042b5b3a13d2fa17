"""What both sides read: the models' sizes, and each work's weights and inputs."""

import zlib

import numpy as np

# width, depth, heads
TRANSFORMERS = {"S": (384, 12, 6), "B": (768, 12, 12), "L": (1024, 24, 16), "XL": (1152, 28, 16)}
# Width, depth and heads of the masked autoencoder's decoder.
DECODER = (512, 8, 16)
CLASSES = 1000
KEPT = 0.25
# Width, depth, heads of MAR's encoder and decoder; width and depth of its head.
AUTOREGRESSIVE = {"B": (768, 12, 12, 1024, 6), "L": (1024, 16, 16, 1280, 8)}
# Its buffer, copies of the loss, hidden tokens of a training step (the mean of what is drawn), reverse
# steps of a token and guidance.
BUFFER, COPIES, HIDDEN, REVERSE, GUIDANCE = 64, 4, 222, 100, 2.9
# Of the segmentation network's head: classes, channels of its maps, cells along a side of its pools.
LABELS, MAPS, CELLS = 150, 768, (1, 2, 3, 6)
# Channels of VA-VAE's latents; rows and columns of pixels in DINOv2's patch.
ALIGNED, SQUARE = 32, 14
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


def lightning_shapes(work):
    """RMS norms, gated MLPs and rotary tables, patches of one pixel."""
    width, depth, heads = TRANSFORMERS[work.model]
    hidden = 8 * width // 3
    shapes = {"pos_embed": (1, work.tokens, width)}
    shapes |= {f"feat_rope.freqs_{part}": (work.tokens, width // heads) for part in ("cos", "sin")}
    shapes |= convolution("x_embedder.proj", ALIGNED, width, 1)
    shapes |= linear("t_embedder.mlp.0", 256, width) | linear("t_embedder.mlp.2", width, width)
    shapes |= {"y_embedder.embedding_table.weight": (CLASSES + 1, width)}
    for i in range(depth):
        name = f"blocks.{i}"
        shapes |= {f"{name}.norm1.weight": (width,), f"{name}.norm2.weight": (width,)}
        shapes |= linear(f"{name}.attn.qkv", width, 3 * width)
        shapes |= linear(f"{name}.attn.proj", width, width)
        shapes |= linear(f"{name}.mlp.w12", width, 2 * hidden)
        shapes |= linear(f"{name}.mlp.w3", hidden, width)
        shapes |= linear(f"{name}.adaLN_modulation.1", width, 6 * width)
    shapes |= {"final_layer.norm_final.weight": (width,)}
    shapes |= linear("final_layer.adaLN_modulation.1", width, 2 * width)
    return shapes | linear("final_layer.linear", width, ALIGNED)


def dinov2_shapes(work):
    width, depth, _ = TRANSFORMERS[work.model]
    shapes = {"cls_token": (1, 1, width), "pos_embed": (1, work.tokens + 1, width)}
    shapes |= convolution("patch_embed.proj", 3, width, SQUARE)
    for i in range(depth):
        shapes |= block(f"blocks.{i}", width, affine=True, modulated=False)
        shapes |= {f"blocks.{i}.ls{half}.gamma": (width,) for half in (1, 2)}
    return shapes | norm("norm", width)


def mar_shapes(work):
    width, depth, _, own, layers = AUTOREGRESSIVE[work.model]
    tokens, values, head = work.size ** 2, 16, "diffloss.net"
    shapes = {"fake_latent": (1, width), "mask_token": (1, 1, width),
              "class_emb.weight": (CLASSES, width),
              "diffusion_pos_embed_learned": (1, tokens, width)}
    shapes |= linear("z_proj", values, width) | norm("z_proj_ln", width)
    shapes |= linear("decoder_embed", width, width)
    for side in ("encoder", "decoder"):
        shapes |= {f"{side}_pos_embed_learned": (1, BUFFER + tokens, width)}
        for i in range(depth):
            shapes |= block(f"{side}_blocks.{i}", width, affine=True, modulated=False)
        shapes |= norm(f"{side}_norm", width)
    shapes |= linear(f"{head}.time_embed.mlp.0", 256, own)
    shapes |= linear(f"{head}.time_embed.mlp.2", own, own)
    shapes |= linear(f"{head}.cond_embed", width, own) | linear(f"{head}.input_proj", values, own)
    for i in range(layers):
        name = f"{head}.res_blocks.{i}"
        shapes |= norm(f"{name}.in_ln", own) | linear(f"{name}.adaLN_modulation.1", own, 3 * own)
        shapes |= linear(f"{name}.mlp.0", own, own) | linear(f"{name}.mlp.2", own, own)
    shapes |= linear(f"{head}.final_layer.adaLN_modulation.1", own, 2 * own)
    return shapes | linear(f"{head}.final_layer.linear", own, 2 * values)


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


def batch_norm(name, width):
    return norm(name, width) | {
        f"{name}.running_mean": (width,), f"{name}.running_var": (width,)}


def unit(name, inputs, outputs, kernel):
    """A convolution without bias, a batch norm and ReLU; kernel is a side, or two."""
    sides = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    weight = {f"{name}.conv.weight": (outputs, inputs, *sides)}
    return weight | batch_norm(f"{name}.bn", outputs)


def segmenter_shapes(work):
    """The encoder's names are timm's, the rest mmsegmentation's; no head that only training has."""
    width, depth, _ = TRANSFORMERS[work.model]
    shapes = {"cls_token": (1, 1, width), "pos_embed": (1, work.tokens + 1, width)}
    shapes |= convolution("patch_embed.proj", 4, width, 2)
    for i in range(depth):
        shapes |= block(f"blocks.{i}", width, affine=True, modulated=False)
    shapes = {f"backbone.{name}": shape for name, shape in shapes.items()}
    shapes |= convolution("neck.upsample_4x.0", width, width, 2)
    shapes |= batch_norm("neck.upsample_4x.1", width)
    shapes |= convolution("neck.upsample_4x.3", width, width, 2)
    shapes |= convolution("neck.upsample_2x.0", width, width, 2)
    for i in range(len(CELLS)):
        shapes |= unit(f"decode_head.psp_modules.{i}.1", width, MAPS, 1)
    shapes |= unit("decode_head.bottleneck", width + len(CELLS) * MAPS, MAPS, 3)
    for level in range(3):
        shapes |= unit(f"decode_head.lateral_convs.{level}", width, MAPS, 1)
        shapes |= unit(f"decode_head.fpn_convs.{level}", MAPS, MAPS, 3)
    shapes |= unit("decode_head.fpn_bottleneck", 4 * MAPS, MAPS, 3)
    return shapes | convolution("decode_head.conv_seg", MAPS, LABELS, 1)


def inception_units():
    """(name, inputs, outputs, kernel, side of what it makes of 299x299) of each convolution."""
    units = [("Conv2d_1a_3x3", 3, 32, 3, 149), ("Conv2d_2a_3x3", 32, 32, 3, 147),
             ("Conv2d_2b_3x3", 32, 64, 3, 147), ("Conv2d_3b_1x1", 64, 80, 1, 73),
             ("Conv2d_4a_3x3", 80, 192, 3, 71)]

    def branch(block, name, width, *layers):
        for part, outputs, kernel, side in layers:
            units.append((f"{block}.{name}{part}", width, outputs, kernel, side))
            if not part.endswith("a"):  # its twin reads the same
                width = outputs

    for block, width, pool in (("5b", 192, 32), ("5c", 256, 64), ("5d", 288, 64)):
        block = f"Mixed_{block}"
        branch(block, "branch1x1", width, ("", 64, 1, 35))
        branch(block, "branch5x5", width, ("_1", 48, 1, 35), ("_2", 64, 5, 35))
        branch(block, "branch3x3dbl", width, ("_1", 64, 1, 35), ("_2", 96, 3, 35), ("_3", 96, 3, 35))
        branch(block, "branch_pool", width, ("", pool, 1, 35))
    branch("Mixed_6a", "branch3x3", 288, ("", 384, 3, 17))
    branch("Mixed_6a", "branch3x3dbl", 288, ("_1", 64, 1, 35), ("_2", 96, 3, 35), ("_3", 96, 3, 17))
    for block, inner in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)):
        block = f"Mixed_{block}"
        branch(block, "branch1x1", 768, ("", 192, 1, 17))
        branch(block, "branch7x7", 768, ("_1", inner, 1, 17), ("_2", inner, (1, 7), 17),
               ("_3", 192, (7, 1), 17))
        branch(block, "branch7x7dbl", 768, ("_1", inner, 1, 17), ("_2", inner, (7, 1), 17),
               ("_3", inner, (1, 7), 17), ("_4", inner, (7, 1), 17), ("_5", 192, (1, 7), 17))
        branch(block, "branch_pool", 768, ("", 192, 1, 17))
    branch("Mixed_7a", "branch3x3", 768, ("_1", 192, 1, 17), ("_2", 320, 3, 8))
    branch("Mixed_7a", "branch7x7x3", 768, ("_1", 192, 1, 17), ("_2", 192, (1, 7), 17),
           ("_3", 192, (7, 1), 17), ("_4", 192, 3, 8))
    for block, width in (("Mixed_7b", 1280), ("Mixed_7c", 2048)):
        branch(block, "branch1x1", width, ("", 320, 1, 8))
        branch(block, "branch3x3", width, ("_1", 384, 1, 8), ("_2a", 384, (1, 3), 8),
               ("_2b", 384, (3, 1), 8))
        branch(block, "branch3x3dbl", width, ("_1", 448, 1, 8), ("_2", 384, 3, 8),
               ("_3a", 384, (1, 3), 8), ("_3b", 384, (3, 1), 8))
        branch(block, "branch_pool", width, ("", 192, 1, 8))
    return units


def inception_shapes(_):
    """The names of its PyTorch ports."""
    shapes = {}
    for name, inputs, outputs, kernel, _side in inception_units():
        shapes |= unit(name, inputs, outputs, kernel)
    return shapes | linear("fc", 2048, 1008)


SHAPES = {
    "dit": dit_shapes, "vit": vit_shapes, "mae": vit_shapes, "mar": mar_shapes,
    "lightning": lightning_shapes, "dinov2": dinov2_shapes, "segmenter": segmenter_shapes,
    "vae": vae_shapes, "inception": inception_shapes}


def shapes(work):
    """Name -> shape of every weight."""
    return SHAPES[work.family](work)


def random_weight(name, shape):
    """Values that keep activations near one: no zero gates, norms about the identity."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    if "feat_rope" in name:
        return rotary(*shape)[name.endswith("sin")]
    is_norm = any(part in name for part in ("norm", "_ln", ".bn.", ".ls", "upsample_4x.1."))
    if is_norm and name.endswith((".weight", ".running_var", ".gamma")):
        return 1 + 0.1 * random.standard_normal(shape, np.float32)
    if len(shape) == 1:
        return 0.02 * random.standard_normal(shape, np.float32)
    if "embedding_table" in name or "token" in name or "pos_embed" in name:
        return 0.5 * random.standard_normal(shape, np.float32)
    deviation = np.float32(np.prod(shape[1:])) ** np.float32(-0.5)
    return (0.3 if "adaLN" in name else 1) * deviation * random.standard_normal(shape, np.float32)


def rotary(tokens, width):
    """cos and sin [T, width] of a square grid: rows in the first half, columns in the second."""
    side, half = round(tokens ** 0.5), width // 2
    rates = 10000.0 ** (-np.arange(0, half, 2) / half)
    turned = np.repeat(np.arange(side)[:, None] * rates, 2, axis=1)
    angles = np.concatenate([np.repeat(turned, side, 0), np.tile(turned, (side, 1))], axis=1)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


# ---- inputs ------------------------------------------------------------------------------------

def inputs(work, seed=7):
    """Name -> array of what a run reads."""
    random = np.random.default_rng(seed)
    batch, side = work.batch, work.size
    if work.family == "vae":
        small = side // 8
        shape = (batch, 3, side, side) if work.task == "encode" else (batch, LATENT, small, small)
        return {"x": np.tanh(random.standard_normal(shape, np.float32))}
    if work.family == "mar":
        return autoregressive_inputs(work, random)
    if work.family == "inception":
        return {"x": random.integers(0, 256, (batch, side, side, 3), np.uint8)}
    channels = {"lightning": ALIGNED, "dinov2": 3}.get(work.family, 4)
    arrays = {"x": random.standard_normal((batch, channels, side, side), np.float32)}
    if work.family == "lightning":
        arrays["t"] = np.linspace(0.02, 0.98, batch).astype(np.float32)
        arrays["y"] = random.integers(0, CLASSES, batch)
    if work.family == "dit":
        arrays["t"] = np.linspace(20, 980, batch).astype(np.int64)
        arrays["y"] = random.integers(0, CLASSES, batch)
        arrays["noise"] = random.standard_normal(arrays["x"].shape, np.float32)
    if work.family == "mae":
        arrays["noise"] = random.random((batch, work.tokens), np.float32)
    return arrays


def autoregressive_inputs(work, random):
    batch, tokens = work.batch, work.size ** 2
    image = (batch, 16, work.size, work.size)
    orders = np.stack([random.permutation(tokens) for _ in range(batch)])
    labels = random.integers(0, CLASSES, batch)
    if work.task == "sample":
        return {"y": labels, "orders": orders, "x": random.standard_normal(image, np.float32),
                "noise": random.standard_normal((REVERSE, *image), np.float32)}
    mask = np.zeros((batch, tokens), np.float32)
    np.put_along_axis(mask, orders[:, :HIDDEN], 1, axis=1)
    return {"x": random.standard_normal(image, np.float32), "y": labels, "mask": mask,
            "t": random.integers(0, 1000, (COPIES, batch, tokens)),
            "noise": random.standard_normal((COPIES, *image), np.float32)}


def reverse_steps(work):
    """Those of each iteration of a sampler; with last_steps they fall evenly from 50."""
    first = 50 if work.last_steps else REVERSE
    last, intervals = work.last_steps or first, max(work.iterations - 1, 1)
    return [int(first - (first - last) * k / intervals + 0.5) for k in range(work.iterations)]


def feeds(work, seed=7):
    """The arguments of a forward pass."""
    arrays = inputs(work, seed)
    names = {"dit": ("x", "t", "y"), "lightning": ("x", "t", "y"), "mar": tuple(arrays)}.get(work.family, ("x",))
    return {name: arrays[name] for name in names}
