"""Golden position tables: sincos, plain and antialiased bicubic resizing, time embedding waves."""

import math

import torch
import torch.nn.functional as F

from common import Case, normal
from reference_vit import sincos_table


def resize(table, rows, columns, antialias=False):
    """[1, h * w, D] tables are resized as images of D channels, in float32 as users run it."""
    image = table.permute(2, 0, 1)[None]
    out = F.interpolate(image, size=(rows, columns), mode="bicubic", align_corners=False,
                        antialias=antialias)
    return out[0].permute(1, 2, 0)


def make():
    case = Case(
        "positions/sincos", "MAE, arXiv 2111.06377: column half first, sines before cosines",
        {"width": 48}, 1e-6)
    case.put("out.8x8", sincos_table(48, 8, 8)[0])
    case.put("out.8x8_with_class", sincos_table(48, 8, 8, 1)[0])
    case.put("out.4x6", sincos_table(48, 4, 6)[0])
    case.save()

    case = Case("positions/bicubic", "torch interpolate(bicubic, align_corners=False), a = -0.75",
                {"layout": "[rows, columns, width]"}, 1e-6)
    for rows, columns, targets in (
            (14, 14, ((16, 16), (32, 32), (14, 14))), (16, 16, ((14, 14),)), (7, 5, ((4, 9),)),
            (7, 7, ((8, 8),))):
        table = normal(f"bicubic/{rows}x{columns}", rows, columns, 6)
        case.put(f"in.{rows}x{columns}", table)
        for height, width in targets:
            name = f"{rows}x{columns}_to_{height}x{width}"
            case.put(f"out.{name}", resize(table, height, width))
            case.put(f"out.antialiased.{name}", resize(table, height, width, True))
    case.note("antialiased", "a = -0.5, filter widened when shrinking (timm's resampler)").save()

    case = Case("positions/time_waves", "DiT/SiT timestep embedding: cosines, then sines, float32",
                {"width": 256, "period": 10000}, 1e-5)
    times = torch.tensor([0.0, 0.37, 0.5, 1.0, 3.0, 417.0, 999.0])
    rates = torch.exp(-math.log(10000) * torch.arange(128, dtype=torch.float32) / 128)
    angles = times[:, None] * rates
    case.put("in.t", times).put("out.rates", rates)
    case.put("out.waves", torch.cat([angles.cos(), angles.sin()], dim=1)).save()


if __name__ == "__main__":
    make()
