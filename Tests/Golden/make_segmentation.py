"""Golden cases of what segmentation networks are made of, in float64 from float32 inputs."""

import torch
import torch.nn.functional as F

from common import Case, integers, normal
from make_operations import record_case


def make_batch_norms():
    inputs = {
        "x": normal("segmentation/norm", 3, 24, 5, 6, scale=1.4, mean=0.8),
        "weight": normal("segmentation/norm_weight", 24, scale=0.3, mean=1),
        "bias": normal("segmentation/norm_bias", 24, scale=0.3),
    }
    for rectifies in (False, True):
        def norm(x, weight, bias, on=rectifies):
            y = F.batch_norm(x, None, None, weight, bias, training=True, eps=1e-5)
            return F.relu(y) if on else y
        record_case(f"batch_norm_image{'_relu' if rectifies else ''}",
                    "torch batch_norm with batch statistics", inputs, norm, {"eps": 1e-5})
    mean, variance = torch.zeros(24), torch.ones(24)
    F.batch_norm(inputs["x"], mean, variance, training=True, momentum=0.1)
    case = Case("operations/batch_norm_running", "running statistics after one batch",
                {"momentum": 0.1}, 2e-6)
    case.put("in.x", inputs["x"]).put("out.mean", mean).put("out.variance", variance).save()


def make_resizing():
    record_case(
        "transposed_conv_2x2", "torch conv_transpose2d, stride 2",
        {"x": normal("segmentation/up", 2, 6, 3, 5),
         "weight": normal("segmentation/up_weight", 6, 10, 2, 2, scale=0.3),
         "bias": normal("segmentation/up_bias", 10, scale=0.3)},
        lambda x, weight, bias: F.conv_transpose2d(x, weight, bias, stride=2))
    for name, sides, size in (("up", (3, 5), (12, 20)), ("odd", (4, 7), (9, 5)),
                              ("down", (9, 8), (3, 5))):
        record_case(
            f"resize_bilinear_{name}", "torch interpolate, bilinear, align_corners=False",
            {"x": normal(f"segmentation/resize_{name}", 2, 6, *sides)},
            lambda x, size=size: F.interpolate(
                x, size=size, mode="bilinear", align_corners=False), {"size": size})
    for cells in (1, 2, 3, 6):
        record_case(
            f"adaptive_pool_{cells}", "torch adaptive_avg_pool2d",
            {"x": normal("segmentation/pool", 2, 6, 5, 7)},
            lambda x, cells=cells: F.adaptive_avg_pool2d(x, cells), {"cells": cells})
    record_case("max_pool_2", "torch max_pool2d(2)", {"x": normal("segmentation/max", 2, 6, 5, 7)},
                lambda x: F.max_pool2d(x, 2))


def make_losses():
    labels = integers("segmentation/labels", 7, 2, 4, 5)
    labels[0, 1, 2:] = 255
    labels[1, 0, :3] = 255
    inputs = {"logits": normal("segmentation/logits", 2, 7, 4, 5, scale=2), "labels": labels}
    for kind, divide in (("all", labels.numel()), ("labelled", int((labels != 255).sum()))):
        record_case(
            f"pixel_cross_entropy_{kind}", "torch cross_entropy, ignore_index 255, sum / count",
            inputs, lambda logits, labels, count=divide: F.cross_entropy(
                logits, labels, ignore_index=255, reduction="sum") / count,
            {"ignored": 255}, loss=True)


def relative_index(height, width):
    """BEiT's table rows for all pairs of tokens, class token first: [1 + T, 1 + T]."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    rows, columns = rows.flatten(), columns.flatten()
    size = (2 * height - 1) * (2 * width - 1) + 3
    index = torch.empty(height * width + 1, height * width + 1, dtype=torch.int64)
    index[1:, 1:] = ((rows[:, None] - rows[None] + height - 1) * (2 * width - 1)
                     + columns[:, None] - columns[None] + width - 1)
    index[0], index[:, 0], index[0, 0] = size - 3, size - 2, size - 1
    return index, size


def make_biased_attention():
    heads, batch, width, grid = 3, 2, 72, (4, 5)
    index, size = relative_index(*grid)

    def attend(qkv, table):
        parts = qkv.reshape(batch, -1, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
        bias = table[index].permute(2, 0, 1)
        mixed = F.scaled_dot_product_attention(*parts.unbind(0), attn_mask=bias[None])
        return mixed.transpose(1, 2).reshape(batch, -1, width)

    record_case(
        "attention_relative_bias", "torch attention with BEiT's relative position bias",
        {"qkv": normal("segmentation/qkv", batch, 21, 3 * width),
         "table": normal("segmentation/table", size, heads)}, attend,
        {"heads": heads, "grid": grid}, 5e-6)


def make():
    make_batch_norms()
    make_resizing()
    make_losses()
    make_biased_attention()


if __name__ == "__main__":
    make()
