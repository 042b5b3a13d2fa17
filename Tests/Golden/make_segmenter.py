"""Golden cases of segmentation networks: outputs, losses and all gradients, with running and with
batch statistics, in the names of mmsegmentation, of BEiT and of our own files."""

import torch

from common import Case, integers, normal, save_params, uniform
from reference_segmenter import Sizes, loss, resized, segment, shapes

ORIGINAL = "mmsegmentation 1.2.2 (Apache-2.0): MAE, Feature2Pyramid, UPerHead, FCNHead"
#: dialect: sizes
CASES = {
    "mmseg": Sizes(relative_positions=True, layer_scale=True),
    "beit": Sizes(grid=(5, 5), depth=3, out_indices=(0, 0, 1, 2), head_channels=12,
                  relative_positions=True, absolute_positions=False, layer_scale=True),
    "plain": Sizes(grid=(4, 6), depth=2, out_indices=(0, 0, 1, 1)),
    "linear": Sizes(grid=(4, 5), depth=3, head="linear", out_indices=(1, 2)),
}
#: with a gradient of rounding alone where batch norms see the batch
ROUNDING = ("the keys' third of qkv biases and, with batch statistics, biases before a batch norm "
            "have no gradient in exact arithmetic")


def draw(name, sizes):
    result = {}
    for key, shape in shapes(sizes).items():
        if key.endswith("running_var"):
            result[key] = 0.5 + uniform(f"{name}/{key}", *shape)
            continue
        fan_in = torch.Size(shape[1:]).numel()
        scale = fan_in ** -0.5 if len(shape) in (2, 4) else 0.2
        isnorm = key.endswith("weight") and len(shape) == 1 or "gamma" in key
        result[key] = normal(f"{name}/{key}", *shape, scale=scale, mean=1.0 if isnorm else 0.0)
    return result


def beit_names(params, width):
    """As BEiT and implus name them: without biases of keys."""
    result = {}
    for key, value in params.items():
        for old, new in (("backbone.layers.", "backbone.blocks."), (".ln1", ".norm1"),
                         (".ln2", ".norm2"), ("ffn.layers.0.0", "mlp.fc1"),
                         ("ffn.layers.1", "mlp.fc2"), ("projection", "proj"),
                         ("neck.upsample_4x", "backbone.fpn1"),
                         ("neck.upsample_2x", "backbone.fpn2")):
            key = key.replace(old, new)
        if key.endswith("attn.qkv.bias"):
            result[key.replace("qkv.bias", "q_bias")] = value[:width]
            result[key.replace("qkv.bias", "v_bias")] = value[2 * width:]
        else:
            result[key] = value
    return result


def own_names(params):
    result = {}
    for key, value in params.items():
        for old, new in (("backbone.layers.", "backbone.blocks."), ("backbone.ln1", "backbone.norm"),
                         (".ln1", ".norm1"), (".ln2", ".norm2"), ("ffn.layers.0.0", "mlp.fc1"),
                         ("ffn.layers.1", "mlp.fc2"), ("projection", "proj")):
            key = key.replace(old, new)
        result[key] = value
    return result


def named(name, params, sizes):
    if name == "beit":
        return beit_names(params, sizes.width)
    return params if name == "mmseg" else own_names(params)


def make_case(name, sizes):
    case_name = f"segmenter_{name}"
    params = draw(case_name, sizes)
    if name == "beit":
        for key, value in params.items():
            if key.endswith("qkv.bias"):
                value[sizes.width:2 * sizes.width] = 0
    save_params(f"models/{case_name}_params", named(name, params, sizes),
                f"seeded values, {name} key names")
    side = [edge * sizes.patch for edge in sizes.grid]
    images = normal(f"{case_name}/images", 3, sizes.channels, *side)
    # Labels are larger than the maps and no multiple of them.
    labels = integers(f"{case_name}/labels", sizes.classes, 3, 4 * sizes.grid[0] + 5, 31)
    labels[uniform(f"{case_name}/ignored", *labels.shape) < 0.2] = 255
    config = {"heads": sizes.heads, "grid": sizes.grid, "out_indices": sizes.out_indices}
    case = Case(f"models/{case_name}", ORIGINAL, config, 1e-5, f"models/{case_name}_params")
    case.put("in.images", images).put("in.labels", labels)
    with torch.no_grad():
        double = {key: value.double() for key, value in params.items()}
        main, auxiliary, _ = segment(double, sizes, images.double())
        case.put("out.logits", main).put("out.resized", resized(main, (19, 23)))
        if auxiliary is not None:
            case.put("out.auxiliary", auxiliary)
        if not sizes.relative_positions:
            other = normal(f"{case_name}/other", 1, sizes.channels, side[0] + 6, side[1] - 2)
            case.put("in.other", other)
            case.put("out.other", segment(double, sizes, other.double())[0])
    for key, training, average in (("all", False, "all"), ("valid", False, "valid"),
                                   ("batch", True, "all")):
        leaves = {name: value.double().requires_grad_("running" not in name)
                  for name, value in params.items()}
        total, moved = loss(leaves, sizes, images.double(), labels, training, average)
        total.backward()
        case.put(f"out.loss.{key}", total)
        if key == "valid":
            continue
        gradients = {name: value.grad for name, value in leaves.items() if value.requires_grad}
        case.put_all(f"grad_{key}", named(name, gradients, sizes))
        if training:
            case.put_all("moved", named(name, moved, sizes))
    case.note("ill_determined", ROUNDING).save()


def make():
    for name, sizes in CASES.items():
        make_case(name, sizes)


if __name__ == "__main__":
    make()
