"""Golden cases of what newer transformer blocks are made of, in float64 from float32 inputs."""

import torch
import torch.nn.functional as F

from common import Case, normal
from make_operations import record_case


def rms_norm(x, weight=None, eps=1e-6):
    y = x * torch.rsqrt((x ** 2).mean(-1, keepdim=True) + eps)
    return y if weight is None else y * weight


def make_norms():
    x = normal("block/x", 3, 5, 40, scale=1.5, mean=0.7)
    weight = normal("block/weight", 40, scale=0.2, mean=1)
    shift = normal("block/shift", 3, 40, scale=0.5)
    scale = normal("block/scale", 3, 40, scale=0.5)
    eps = {"eps": 1e-6}
    record_case("rms_norm_plain", "x * rsqrt(mean(x^2) + eps)", {"x": x}, rms_norm, eps)
    record_case("rms_norm_affine", "x * rsqrt(mean(x^2) + eps) * weight",
                {"x": x, "weight": weight}, rms_norm, eps)
    record_case(
        "rms_norm_affine_modulated", "RMS(x) * weight * (1 + scale) + shift",
        {"x": x, "weight": weight, "shift": shift, "scale": scale},
        lambda x, weight, shift, scale: rms_norm(x, weight) * (1 + scale[:, None])
        + shift[:, None], eps)
    record_case(
        "rms_norm_affine_scaled", "RMS(x) * weight * (1 + scale)",
        {"x": x, "weight": weight, "scale": scale},
        lambda x, weight, scale: rms_norm(x, weight) * (1 + scale[:, None]), eps)
    record_case(
        "layer_norm_scaled", "LN(x) * (1 + scale), without shift", {"x": x, "scale": scale},
        lambda x, scale: F.layer_norm(x, (40,), eps=1e-6) * (1 + scale[:, None]), eps)


def make_swiglu():
    inputs = {
        "x": normal("swiglu/x", 3, 5, 24),
        "w12_weight": normal("swiglu/w12", 74, 24, scale=0.2),
        "w12_bias": normal("swiglu/b12", 74, scale=0.2),
        "w3_weight": normal("swiglu/w3", 24, 37, scale=0.15),
        "w3_bias": normal("swiglu/b3", 24, scale=0.2),
    }

    def gated(x, w12_weight, w12_bias):
        a, b = F.linear(x, w12_weight, w12_bias).chunk(2, dim=-1)
        return F.silu(a) * b

    first = {key: inputs[key] for key in ("x", "w12_weight", "w12_bias")}
    record_case("swiglu_hidden", "silu(a) * b of the halves of one linear", first, gated,
                {"hidden": 37})
    record_case(
        "swiglu", "w3(silu(a) * b), a and b the halves of w12(x)", inputs,
        lambda x, w12_weight, w12_bias, w3_weight, w3_bias: F.linear(
            gated(x, w12_weight, w12_bias), w3_weight, w3_bias), {"hidden": 37})


def make_quick_gelu():
    def quick(x):
        return x * torch.sigmoid(1.702 * x)

    record_case("activation_gelu_quick", "x * sigmoid(1.702 x)",
                {"x": torch.linspace(-12, 12, 97)}, quick)
    record_case(
        "linear_gelu_quick", "linear then x * sigmoid(1.702 x)",
        {"x": normal("quick/x", 3, 5, 24), "weight": normal("quick/weight", 36, 24, scale=0.2),
         "bias": normal("quick/bias", 36, scale=0.2)},
        lambda x, weight, bias: quick(F.linear(x, weight, bias)), {"activation": "gelu_quick"})


def make_cosines():
    a, b = normal("cosine/a", 3, 5, 37), normal("cosine/b", 3, 5, 37)
    record_case("cosine_short", "torch cosine_similarity of rows shorter than epsilon",
                {"a": a * 1e-10, "b": b},
                lambda a, b: F.cosine_similarity(a, b, dim=-1), {"eps": 1e-8})
    record_case("cosine_similarity", "torch cosine_similarity over the last axis", {"a": a, "b": b},
                lambda a, b: F.cosine_similarity(a, b, dim=-1), {"eps": 1e-8})
    record_case("cosine_normalized", "sum of the product of torch's normalize of both",
                {"a": a[:1], "b": b[:1]},
                lambda a, b: (F.normalize(a, dim=-1) * F.normalize(b, dim=-1)).sum(-1),
                {"eps": 1e-12})


def make_layer_scale():
    record_case(
        "layer_scale", "residual + gamma * linear(x)",
        {"residual": normal("scale/residual", 3, 5, 24), "x": normal("scale/x", 3, 5, 36),
         "weight": normal("scale/weight", 24, 36, scale=0.2),
         "bias": normal("scale/bias", 24, scale=0.2), "gamma": normal("scale/gamma", 24)},
        lambda residual, x, weight, bias, gamma: residual + gamma * F.linear(x, weight, bias))


def rotation(width, height, columns):
    """cos and sin [T, width] in float32: rows in the first half, columns in the second."""
    half = width // 2
    rates = 10000.0 ** (-torch.arange(0, half, 2)[: half // 2].float() / half)
    rows = (torch.arange(height).float()[:, None] * rates).repeat_interleave(2, dim=-1)
    cells = (torch.arange(columns).float()[:, None] * rates).repeat_interleave(2, dim=-1)
    angles = torch.cat([rows[:, None].expand(-1, columns, -1),
                        cells[None].expand(height, -1, -1)], dim=-1).reshape(-1, width)
    return angles.cos(), angles.sin()


def rotate(x, cos, sin, leading):
    """Interleaved pairs of x [.., T, d]; the first tokens stay."""
    turned = torch.stack([-x[..., 1::2], x[..., ::2]], dim=-1).flatten(-2)
    cos = torch.cat([torch.ones(leading, cos.shape[-1], dtype=x.dtype), cos.to(x.dtype)])
    sin = torch.cat([torch.zeros(leading, sin.shape[-1], dtype=x.dtype), sin.to(x.dtype)])
    return x * cos + turned * sin


def make_heads():
    heads, batch, width, grid = 3, 2, 72, (4, 5)
    depth = width // heads
    cos, sin = rotation(depth, *grid)
    norms = {
        "q_weight": normal("heads/q_weight", depth, scale=0.3, mean=1),
        "k_weight": normal("heads/k_weight", depth, scale=0.3, mean=1),
    }
    biases = {"q_bias": normal("heads/q_bias", depth, scale=0.3),
              "k_bias": normal("heads/k_bias", depth, scale=0.3)}

    def attend(qkv, norm, leading, rotates):
        parts = qkv.reshape(batch, -1, 3, heads, depth).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind(0)
        query, key = norm(query, "q"), norm(key, "k")
        if rotates:
            query, key = (rotate(part, cos, sin, leading) for part in (query, key))
        mixed = F.scaled_dot_product_attention(query, key, value)
        return mixed.transpose(1, 2).reshape(batch, -1, width)

    for kind in ("none", "rms", "layer"):
        for rotates in (False, True):
            if kind == "none" and not rotates:
                continue
            leading = 0 if kind == "layer" else 2
            inputs = {"qkv": normal("heads/qkv", batch, 20 + leading, 3 * width)}
            if kind != "none":
                inputs |= norms
            if kind == "layer":
                inputs |= biases

            def run(qkv, kind=kind, leading=leading, rotates=rotates, **values):
                def norm(x, name):
                    if kind == "none":
                        return x
                    weight = values[f"{name}_weight"]
                    if kind == "rms":
                        return rms_norm(x, weight)
                    return F.layer_norm(x, (depth,), weight, values[f"{name}_bias"], 1e-5)
                return attend(qkv, norm, leading, rotates)

            record_case(
                f"heads_{kind}{'_rotated' if rotates else ''}",
                "norm of queries and keys over a head, rotation, attention", inputs, run,
                {"heads": heads, "grid": grid, "leading": leading, "rotates": rotates,
                 "eps": {"none": None, "rms": 1e-6, "layer": 1e-5}[kind]}, 5e-6)


def make_rotations():
    for width, height, columns in ((24, 4, 5), (64, 16, 16), (72, 7, 7)):
        cos, sin = rotation(width, height, columns)
        case = Case(f"positions/rope_{width}_{height}x{columns}",
                    "2-D rotary angles in float32 (EVA-02), rows first",
                    {"width": width, "grid": [height, columns]}, 2e-6)
        case.put("out.cos", cos).put("out.sin", sin).save()


def make():
    make_norms()
    make_swiglu()
    make_quick_gelu()
    make_cosines()
    make_layer_scale()
    make_heads()
    make_rotations()


if __name__ == "__main__":
    make()
