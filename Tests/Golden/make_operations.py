"""Golden cases of single operations, computed in float64 from float32 inputs."""

import torch
import torch.nn.functional as F

from common import Case, error, integers, normal, uniform


def record_case(name, source, inputs, function, config=None, tolerance=2e-6, loss=False):
    """Run a function in float64, give its output a seeded cotangent, and store all gradients."""
    case = Case(f"operations/{name}", source, config, tolerance)
    leaves = {key: value.double().requires_grad_() if value.is_floating_point() else value
              for key, value in inputs.items()}
    output = function(**leaves)
    single = function(**{key: value for key, value in inputs.items()}).detach()
    for key, value in inputs.items():
        case.put(f"in.{key}", value)
    case.put("out.y", output)
    cotangent = torch.ones_like(output) if loss else normal(
        f"{name}/grad_out", *output.shape).double()
    if not loss:
        case.put("grad_out.y", cotangent)
    (output * cotangent).sum().backward()
    for key, value in leaves.items():
        if value.is_floating_point():
            case.put(f"grad_in.{key}", value.grad)
    case.note("torch_f32_error", error(single, output.detach()))
    case.save()


def make_linear():
    inputs = {
        "x": normal("linear/x", 5, 7, 24),
        "weight": normal("linear/weight", 36, 24, scale=0.2),
        "bias": normal("linear/bias", 36, scale=0.2),
    }
    activations = {
        "none": lambda v: v,
        "gelu_erf": lambda v: F.gelu(v),
        "gelu_tanh": lambda v: F.gelu(v, approximate="tanh"),
        "silu": F.silu,
    }
    for kind, activation in activations.items():
        record_case(
            f"linear_{kind}", "torch.nn.functional.linear then activation", inputs,
            lambda x, weight, bias, act=activation: act(F.linear(x, weight, bias)),
            {"activation": kind, "shape": "x [5, 7, 24], weight [36, 24]"})
        if kind != "none":
            record_case(
                f"activation_{kind}", f"torch {kind}",
                {"x": torch.linspace(-12, 12, 97)}, lambda x, act=activation: act(x),
                {"activation": kind})


def make_mlp():
    inputs = {
        "x": normal("mlp/x", 3, 5, 24),
        "fc1_weight": normal("mlp/w1", 96, 24, scale=0.2),
        "fc1_bias": normal("mlp/b1", 96, scale=0.2),
        "fc2_weight": normal("mlp/w2", 24, 96, scale=0.1),
        "fc2_bias": normal("mlp/b2", 24, scale=0.2),
    }
    for kind in ("none", "tanh"):
        def mlp(x, fc1_weight, fc1_bias, fc2_weight, fc2_bias, kind=kind):
            hidden = F.gelu(F.linear(x, fc1_weight, fc1_bias), approximate=kind)
            return F.linear(hidden, fc2_weight, fc2_bias)
        record_case(f"mlp_gelu_{'erf' if kind == 'none' else kind}", "two linears with gelu",
                    inputs, mlp, {"approximate": kind})


def make_attention():
    heads, batch, tokens, width = 3, 2, 17, 72

    def core(qkv):
        parts = qkv.reshape(qkv.shape[0], qkv.shape[1], 3, heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind(0)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return mixed.transpose(1, 2).reshape(qkv.shape[0], qkv.shape[1], -1)

    config = {"heads": heads, "head_width": 24, "tokens": tokens,
              "layout": "qkv rows are q, k, v; inside each head-major"}
    record_case("attention_core", "torch scaled_dot_product_attention",
                {"qkv": normal("attention/qkv", batch, tokens, 3 * width)}, core, config)
    inputs = {
        "x": normal("attention/x", batch, tokens, width),
        "qkv_weight": normal("attention/qkv_weight", 3 * width, width, scale=0.2),
        "qkv_bias": normal("attention/qkv_bias", 3 * width, scale=0.2),
        "proj_weight": normal("attention/proj_weight", width, width, scale=0.1),
        "proj_bias": normal("attention/proj_bias", width, scale=0.2),
    }
    record_case(
        "attention", "timm-style multi-head self attention", inputs,
        lambda x, qkv_weight, qkv_bias, proj_weight, proj_bias: F.linear(
            core(F.linear(x, qkv_weight, qkv_bias)), proj_weight, proj_bias), config, 5e-6)


def make_norms():
    x = normal("norm/x", 3, 5, 40, scale=1.5, mean=0.7)
    weight = normal("norm/weight", 40, scale=0.2, mean=1)
    bias = normal("norm/bias", 40, scale=0.2)
    shift = normal("norm/shift", 3, 40, scale=0.5)
    scale = normal("norm/scale", 3, 40, scale=0.5)
    eps = {"eps": 1e-6}
    record_case("layer_norm_plain", "torch layer_norm", {"x": x},
                lambda x: F.layer_norm(x, (40,), eps=1e-6), eps)
    record_case("layer_norm_affine", "torch layer_norm", {"x": x, "weight": weight, "bias": bias},
                lambda x, weight, bias: F.layer_norm(x, (40,), weight, bias, 1e-6), eps)
    record_case(
        "layer_norm_modulated", "LN(x) * (1 + scale) + shift, shift and scale a sample",
        {"x": x, "shift": shift, "scale": scale},
        lambda x, shift, scale: F.layer_norm(x, (40,), eps=1e-6) * (1 + scale[:, None])
        + shift[:, None], eps)
    record_case(
        "layer_norm_affine_modulated", "(LN(x) * weight + bias) * (1 + scale) + shift",
        {"x": x, "weight": weight, "bias": bias, "shift": shift, "scale": scale},
        lambda x, weight, bias, shift, scale: F.layer_norm(x, (40,), weight, bias, 1e-6)
        * (1 + scale[:, None]) + shift[:, None], eps)
    record_case(
        "gated_residual", "x + gate * f, gate a sample",
        {"x": x, "f": normal("norm/f", 3, 5, 40), "gate": shift},
        lambda x, f, gate: x + gate[:, None] * f)
    image = {
        "x": normal("group/x", 2, 64, 6, 5, scale=1.3, mean=0.4),
        "weight": normal("group/weight", 64, scale=0.2, mean=1),
        "bias": normal("group/bias", 64, scale=0.2),
    }
    for activated in (True, False):
        record_case(
            "group_norm_silu" if activated else "group_norm", "torch group_norm, 32 groups", image,
            lambda x, weight, bias, on=activated: F.silu(F.group_norm(x, 32, weight, bias, 1e-6))
            if on else F.group_norm(x, 32, weight, bias, 1e-6), {"groups": 32, **eps})
    record_case(
        "batch_norm_evaluation", "torch batch_norm without affine, evaluation mode",
        {"x": normal("batch/x", 6, 40), "mean": normal("batch/mean", 40),
         "variance": uniform("batch/variance", 40) + 0.5},
        lambda x, mean, variance: (x - mean) / torch.sqrt(variance + 1e-6), eps)
    record_case(
        "batch_norm_training", "torch batch_norm without affine, batch statistics",
        {"x": normal("batch/x", 6, 40)},
        lambda x: F.batch_norm(x, None, None, training=True, eps=1e-6), eps)


def make_convolutions():
    def inputs(kernel, height=7, width=9):
        return {
            "x": normal(f"conv/x{kernel}", 2, 6, height, width),
            "weight": normal(f"conv/weight{kernel}", 10, 6, kernel, kernel, scale=0.2),
            "bias": normal(f"conv/bias{kernel}", 10, scale=0.2),
        }

    record_case("conv_3x3", "torch conv2d padding 1", inputs(3),
                lambda x, weight, bias: F.conv2d(x, weight, bias, padding=1), {"padding": 1})
    for height, width in ((8, 10), (7, 9)):
        record_case(
            f"conv_3x3_stride_2_{height}x{width}", "pad right and bottom by 1, stride 2",
            inputs(3, height, width),
            lambda x, weight, bias: F.conv2d(F.pad(x, (0, 1, 0, 1)), weight, bias, stride=2),
            {"padding": [0, 1, 0, 1], "stride": 2})
    record_case("conv_1x1", "torch conv2d", inputs(1),
                lambda x, weight, bias: F.conv2d(x, weight, bias))
    record_case("upsample_conv", "nearest by 2 then conv2d padding 1", inputs(3, 4, 5),
                lambda x, weight, bias: F.conv2d(
                    F.interpolate(x, scale_factor=2, mode="nearest"), weight, bias, padding=1))
    record_case("patch_embed", "conv2d with kernel = stride = 2, tokens row by row",
                {"x": normal("patch/x", 2, 4, 6, 10),
                 "weight": normal("patch/weight", 24, 4, 2, 2, scale=0.2),
                 "bias": normal("patch/bias", 24, scale=0.2)},
                lambda x, weight, bias: F.conv2d(x, weight, bias, stride=2).flatten(2)
                .transpose(1, 2), {"patch": 2})


def make_losses():
    logits = normal("loss/logits", 6, 11, scale=2)
    labels = integers("loss/labels", 11, 6)
    soft = torch.softmax(normal("loss/soft", 6, 11), dim=-1)
    for smoothing in (0.0, 0.1):
        record_case(f"cross_entropy_smoothing_{smoothing}", "torch cross_entropy, mean",
                    {"logits": logits, "labels": labels},
                    lambda logits, labels, s=smoothing: F.cross_entropy(
                        logits, labels, label_smoothing=s),
                    {"smoothing": smoothing}, loss=True)
    record_case(
        "cross_entropy_soft", "mean over samples of -sum(target * log softmax)",
        {"logits": logits, "target": soft},
        lambda logits, target: -(target * F.log_softmax(logits, -1)).sum(-1).mean(), loss=True)
    record_case("mean_squared_error", "mean of squared difference",
                {"x": normal("loss/a", 4, 9), "target": normal("loss/b", 4, 9)},
                lambda x, target: ((x - target) ** 2).mean(), loss=True)
    make_masked_losses()
    record_case(
        "kl_standard_normal", "0.5 * sum(mean^2 + var - 1 - logvar) a sample, logvar clamped",
        {"moments": normal("loss/moments", 3, 8, 4, 4, scale=2)}, kl, {"clamp": [-30, 20]})


def kl(moments):
    mean, logvar = moments.chunk(2, dim=1)
    logvar = logvar.clamp(-30, 20)
    return 0.5 * (mean ** 2 + logvar.exp() - 1 - logvar).sum(dim=(1, 2, 3))


def make_masked_losses():
    target = normal("loss/patches", 2, 16, 16, scale=1.4, mean=0.3)
    mask = torch.zeros(2, 16)
    mask[0, torch.randperm(16, generator=torch.Generator().manual_seed(1))[:12]] = 1
    mask[1, torch.randperm(16, generator=torch.Generator().manual_seed(2))[:12]] = 1
    for kind, dims in (("none", None), ("patch", (-1,)), ("image", (-2, -1))):
        def loss(pred, target, mask, dims=dims):
            if dims:
                target = (target - target.mean(dims, keepdim=True)) / torch.sqrt(
                    target.var(dims, keepdim=True, unbiased=True) + 1e-6)
            each = ((pred - target) ** 2).mean(-1)
            return (each * mask).sum() / mask.sum()
        record_case(f"masked_error_norm_{kind}", "masked autoencoder loss, unbiased variance",
                    {"pred": normal("loss/pred", 2, 16, 16), "target": target, "mask": mask}, loss,
                    {"normalise": kind, "eps": 1e-6}, loss=True)


def make():
    make_linear()
    make_mlp()
    make_attention()
    make_norms()
    make_convolutions()
    make_losses()


if __name__ == "__main__":
    make()
