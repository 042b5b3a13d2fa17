"""Golden cases of the ViT classifier on latents: class token, average pooling, linear probe."""

import functools

import torch
import torch.nn.functional as F

from common import Case, error, load_params, normal, randomise
from environment import allow_torchvision
from make_models import LATENT, SMALL

CLASSES = 10


def build(pool, sizes=LATENT, embeds_class=True):
    """timm's VisionTransformer in the MAE sizes, encoder weights from the MAE parameters.

    Without `embeds_class` the position table has no row for the class token.
    """
    allow_torchvision()
    from timm.models.vision_transformer import VisionTransformer
    model = VisionTransformer(
        img_size=sizes.image, patch_size=sizes.patch, in_chans=sizes.channels,
        embed_dim=sizes.width, depth=sizes.depth, num_heads=sizes.heads, num_classes=CLASSES,
        qkv_bias=True, global_pool=pool, no_embed_class=not embeds_class,
        norm_layer=functools.partial(torch.nn.LayerNorm, eps=1e-6))
    randomise(model, f"classifier_{pool}")
    shared = load_params("models/mae_params")
    if not embeds_class:
        shared["pos_embed"] = shared["pos_embed"][:, 1:]
    missing, unexpected = model.load_state_dict(shared, strict=False)
    heads = {"head.weight", "head.bias", "fc_norm.weight", "fc_norm.bias"}
    assert set(missing) <= heads, missing
    assert all(key.startswith(("decoder_", "mask_token", "norm.")) for key in unexpected)
    return model


def add_probe(model):
    """The MAE probing head: batch norm without weights, then linear; running values seeded."""
    model.head = torch.nn.Sequential(
        torch.nn.BatchNorm1d(LATENT.width, affine=False, eps=1e-6), model.head)
    model.head[0].running_mean.copy_(normal("probe/mean", LATENT.width, scale=0.3))
    model.head[0].running_var.copy_(normal("probe/var", LATENT.width).square() + 0.3)
    return model


def finish(name, model, config, images, target, smoothing=0.0):
    case = Case(f"models/{name}", "timm VisionTransformer; MAE heads",
                LATENT.describe() | {"classes": CLASSES, "smoothing": smoothing} | config, 1e-5,
                "models/mae_params")
    case.note("own_params", "param.*: what models/mae_params does not hold, or other values")
    shared = load_params("models/mae_params")
    case.put("in.images", images)
    case.put("in.labels" if target.dim() == 1 else "in.target", target)
    for key, value in model.state_dict().items():
        if key not in shared or shared[key].shape != value.shape or not torch.equal(
                shared[key], value):
            case.put(f"param.{key}", value)
    with torch.no_grad():
        single = model(images) if not model.training else None
    model.double()
    given = images.double().requires_grad_()
    logits = model(given)
    loss = F.cross_entropy(logits, target.double() if target.dim() == 2 else target,
                           label_smoothing=smoothing)
    loss.backward()
    case.put("out.logits", logits).put("out.loss", loss).put("grad_in.images", given.grad)
    case.put_gradients(model.named_parameters(), SMALL)
    if model.training:
        for key in ("running_mean", "running_var"):
            case.put(f"out.head.0.{key}", getattr(model.head[0], key))
    else:
        model.float()
        with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
            half = model(images)
        case.put("bf16.logits", half)
        case.note("torch_errors", {"logits": {"f32": error(single, logits.detach()),
                                              "bf16": error(half, logits.detach())}})
    case.save()


def make():
    images = normal("classifier/images", 5, LATENT.channels, LATENT.image, LATENT.image)
    labels = torch.tensor([1, 9, 4, 4, 0])
    soft = torch.softmax(2 * normal("classifier/soft", 5, CLASSES), dim=-1)
    finish("classifier_token", build("token").eval(), {"pool": "token"}, images, labels, 0.1)
    finish("classifier_average", build("avg").eval(), {"pool": "average"}, images, soft)
    finish("classifier_no_embed_class", build("token", embeds_class=False).eval(),
           {"pool": "token", "embeds_class": False}, images, labels)
    for training in (False, True):
        finish(f"probe_{'training' if training else 'evaluation'}",
               add_probe(build("token")).train(training),
               {"pool": "token", "head": "BatchNorm1d(affine=False, eps=1e-6), Linear",
                "batch_statistics": training}, images, labels)


if __name__ == "__main__":
    make()
