"""Hold our segmentation networks against mmsegmentation's own code: `python verify_segmenter.py`.

The networks of `reference_segmenter.py` are built of mmsegmentation's classes with the golden cases' values:
its MAE and BEiT, Feature2Pyramid, UPerHead, FCNHead, and the loss of its heads. With
`--originals DIR`, a folder with a checkout `dinov2`, DINOv2's linear head stands on them, too. Logits, losses,
all gradients and running statistics are compared in float64.

Needs, beside `requirements.txt`, what these classes import, each without its dependencies: mmsegmentation
1.2.2, mmcv-lite 2.1.0, mmengine 0.10.7, addict, yapf, platformdirs, termcolor, ftfy, wcwidth, prettytable,
matplotlib.
"""

import argparse
import importlib.util
import sys
import types
import warnings
from pathlib import Path

import torch

from common import error, integers, normal, uniform
from make_segmenter import CASES, draw
from reference_segmenter import backbone, loss, resized, segment


def module_of_stubs(name, **values):
    """A module that has whatever is imported from it."""
    def missing(key):
        if key.startswith("__"):
            raise AttributeError(key)
        return type(key, (), {})
    module = types.ModuleType(name)
    module.__getattr__, module.__path__ = missing, []
    for key, value in values.items():
        setattr(module, key, value)
    sys.modules[name] = module


class Network(torch.nn.Module):
    """Of mmsegmentation's parts, whose loss its heads compute."""

    def __init__(self, sizes, linear_head):
        super().__init__()
        from mmseg.registry import MODELS
        self.sizes, self.found = sizes, sorted(set(sizes.out_indices))
        common = dict(num_classes=sizes.classes, align_corners=False, dropout_ratio=0)
        self.backbone = self.neck = self.auxiliary_head = None
        if sizes.relative_positions:
            self.backbone = MODELS.build(dict(
                type="MAE" if sizes.absolute_positions else "BEiT", patch_size=sizes.patch,
                img_size=tuple(side * sizes.patch for side in sizes.grid),
                in_channels=sizes.channels, embed_dims=sizes.width, num_layers=sizes.depth,
                num_heads=sizes.heads, out_indices=self.found, norm_cfg=dict(type="LN", eps=1e-6)))
        if sizes.head == "linear":
            self.decode_head = linear_head(
                in_channels=[sizes.width] * len(sizes.out_indices),
                channels=sizes.width * len(sizes.out_indices), in_index=list(range(len(sizes.out_indices))),
                input_transform="resize_concat", **common)
            return
        common.update(norm_cfg=dict(type="BN"))
        self.neck = MODELS.build(dict(
            type="Feature2Pyramid", embed_dim=sizes.width, norm_cfg=dict(type="BN")))
        self.decode_head = MODELS.build(dict(
            common, type="UPerHead", in_channels=[sizes.width] * 4, in_index=[0, 1, 2, 3],
            channels=sizes.head_channels, loss_decode=dict(type="CrossEntropyLoss")))
        self.auxiliary_head = MODELS.build(dict(
            common, type="FCNHead", in_channels=sizes.width, in_index=2, num_convs=1,
            channels=sizes.auxiliary_channels, concat_input=False,
            loss_decode=dict(type="CrossEntropyLoss", loss_weight=0.4)))

    def forward(self, images, params):
        """Scores of the head, and of the auxiliary one or None; without a backbone of its own on maps of
        our encoder with these parameters, which verify.py holds against others."""
        if self.backbone is None:
            maps = backbone(params, self.sizes, images)
        else:
            maps = self.backbone(images)
            maps = [maps[self.found.index(index)] for index in self.sizes.out_indices]
        if self.neck is None:
            return self.decode_head(maps), None
        maps = self.neck(maps)
        return self.decode_head(maps), self.auxiliary_head(maps)

    def loss(self, images, labels, params):
        from mmengine.structures import PixelData
        from mmseg.structures import SegDataSample
        samples = [
            SegDataSample(gt_sem_seg=PixelData(data=map[None])) for map in labels]
        main, auxiliary = self(images, params)
        total = self.decode_head.loss_by_feat(main, samples)["loss_ce"]
        if auxiliary is not None:
            total = total + self.auxiliary_head.loss_by_feat(auxiliary, samples)["loss_ce"]
        return total


def original_names(params, sizes):
    """As the classes name them: BEiT's has no biases of keys."""
    result = {}
    for key, value in params.items():
        if key.endswith("qkv.bias") and sizes.relative_positions and not sizes.absolute_positions:
            result[key.replace("qkv.bias", "q_bias")] = value[:sizes.width]
            result[key.replace("qkv.bias", "v_bias")] = value[2 * sizes.width:]
        else:
            result[key] = value
    return result


def report(name, actual, expected):
    result = error(actual, expected)
    print(f"{name}: max abs {result['max_abs']:.2e}, nmse {result['nmse']:.2e}")
    assert result["nmse"] < 1e-20 or result["max_abs"] < 1e-12, name


def check(name, sizes, linear_head):
    params = {key: value.double() for key, value in draw(f"segmenter_{name}", sizes).items()}
    if name == "beit":
        for key, value in params.items():
            if key.endswith("qkv.bias"):
                value[sizes.width:2 * sizes.width] = 0
    model = Network(sizes, linear_head).double()
    given = original_names(params, sizes)
    told = model.load_state_dict(given, strict=False)
    left = [key for key in told.missing_keys
            if not key.endswith(("num_batches_tracked", "relative_position_index"))]
    beside = [key for key in told.unexpected_keys
              if model.backbone is not None or not key.startswith("backbone.")]
    assert not left and not beside, (left, beside)
    images = normal(f"verify/{name}/images", 3, sizes.channels,
                    *(edge * sizes.patch for edge in sizes.grid)).double()
    labels = integers(f"verify/{name}/labels", sizes.classes, 3, 4 * sizes.grid[0] + 5, 31)
    labels[uniform(f"verify/{name}/ignored", *labels.shape) < 0.2] = 255
    for training in (False, True):
        model.load_state_dict(given, strict=False)
        model.train(training)
        model.zero_grad()
        kind = f"{name} {'batch' if training else 'running'} statistics"
        leaves, encoder = ({key: value.clone().requires_grad_("running" not in key)
                            for key, value in params.items()} for _ in range(2))
        ours, moved = loss(leaves, sizes, images, labels, training)
        ours.backward()
        theirs = model.loss(images, labels, encoder)
        theirs.backward()
        report(f"{kind}, loss", ours.detach(), theirs.detach())
        gradients = original_names(
            {key: value.grad for key, value in leaves.items() if value.requires_grad}, sizes)
        for key, parameter in model.named_parameters():
            report(f"{kind}, gradient of {key}", gradients[key], parameter.grad)
        if model.backbone is None:
            for key in (key for key in gradients if key.startswith("backbone.")):
                report(f"{kind}, gradient of {key}", gradients[key], encoder[key].grad)
        if training:
            state = model.state_dict()
            for key, value in moved.items():
                report(f"{kind}, {key}", value, state[key])
            continue
        with torch.no_grad():
            for which, own, other in zip(
                    ("logits", "auxiliary"), segment(params, sizes, images), model(images, params)):
                if own is not None:
                    report(f"{kind}, {which}", own, other)
                    report(f"{kind}, {which} resized", resized(own, (19, 23)),
                           torch.nn.functional.interpolate(other, (19, 23), mode="bilinear"))


def dinov2_head(folder):
    """DINOv2's class, which was written for mmsegmentation 0.x, on a CPU."""
    from mmseg.models.utils import resize
    from mmseg.registry import MODELS
    module_of_stubs("mmseg.models.builder", HEADS=MODELS)
    module_of_stubs("mmseg.ops", resize=resize)
    path = folder / "dinov2/dinov2/eval/segmentation/models/decode_heads/linear_head.py"
    specification = importlib.util.spec_from_file_location("linear_head", path)
    module = importlib.util.module_from_spec(specification)
    synchronised, torch.nn.SyncBatchNorm = torch.nn.SyncBatchNorm, torch.nn.BatchNorm2d
    specification.loader.exec_module(module)

    def make(**arguments):
        torch.nn.SyncBatchNorm = torch.nn.BatchNorm2d
        head = module.BNHead(**arguments)
        torch.nn.SyncBatchNorm = synchronised
        return head
    return make


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--originals", type=Path)
    arguments = parser.parse_args()
    # mmcv-lite has no compiled operators, and none of these networks calls one.
    module_of_stubs("mmcv.ops")
    module_of_stubs("mmcv.ops.point_sample")
    warnings.filterwarnings("ignore")
    import mmseg.models  # noqa: F401
    head = dinov2_head(arguments.originals) if arguments.originals else None
    for name, sizes in CASES.items():
        if sizes.head == "linear" and head is None:
            print(f"{name}: skipped, needs --originals")
        else:
            check(name, sizes, head)


if __name__ == "__main__":
    main()
