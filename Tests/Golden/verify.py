"""Hold our reference modules against the published code: `python verify.py --originals DIR`.

DIR holds checkouts named USP, DiT, SiT and MAE. Each comparison runs in its own process, because
the published packages share module names (and one changes numpy for the whole process).
"""

import argparse
import functools
import importlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import torch

from common import error, load_params, normal
from environment import allow_torchvision

HERE = Path(__file__).resolve().parent


def report(name, actual, expected):
    result = error(actual, expected)
    print(f"{name}: max abs {result['max_abs']:.2e}, nmse {result['nmse']:.2e}")
    assert result["nmse"] < 1e-10, name


def report_gradients(name, module, params):
    theirs = {key: p.grad for key, p in module.named_parameters() if p.grad is not None}
    ours = {key: p.grad for key, p in params.items() if p.grad is not None}
    assert theirs.keys() == ours.keys(), set(theirs) ^ set(ours)
    worst = max(theirs, key=lambda key: error(ours[key], theirs[key])["nmse"])
    result = error(ours[worst], theirs[worst])
    print(f"{name}: {len(theirs)} gradients, worst {worst} nmse {result['nmse']:.2e}")
    assert result["nmse"] < 1e-9, name


def allow_mae():
    """What the original masked autoencoder needs of the numpy and timm of its day."""
    import numpy
    from timm.models import vision_transformer
    numpy.float = float
    block = vision_transformer.Block
    vision_transformer.Block = lambda *given, qk_scale=None, **named: block(*given, **named)


def check_mae(folder, package):
    """USP's masked autoencoder, or the original: pixels only, no normalisation by image."""
    from make_models import MASKED, masked_inputs
    from reference_params import leaves
    from reference_vit import masked_autoencoder
    is_original = package == "MAE"
    if is_original:
        allow_mae()
    sys.path.insert(0, str(folder / package))
    models_mae = importlib.import_module("models_mae")
    for name, sizes in MASKED.items():
        if is_original and sizes.channels != 3:
            continue
        params = load_params(f"models/{name}_params")
        images, noise = masked_inputs(name, sizes).values()
        for normalise in ("patch", "none") if is_original else ("patch", "image", "none"):
            model = models_mae.MaskedAutoencoderViT(
                sizes.image, sizes.patch, sizes.channels, sizes.width, sizes.depth, sizes.heads,
                sizes.decoder_width, sizes.decoder_depth, sizes.decoder_heads,
                norm_layer=functools.partial(torch.nn.LayerNorm, eps=1e-6),
                norm_pix_loss=normalise != "none",
                **({} if is_original else {"norm_image": normalise == "image"}))
            tables = {key: model.state_dict()[key].clone() for key in (
                "pos_embed", "decoder_pos_embed")}
            model.load_state_dict(params)
            for key, table in tables.items():
                report(f"{name} {key}", params[key], table)
            real = torch.rand
            torch.rand = lambda *args, **kwargs: noise
            loss, pred, mask = model(images, sizes.mask_ratio)
            torch.rand = real
            loss.backward()
            p = leaves(params, torch.float32)
            ours = masked_autoencoder(p, sizes, images, noise, normalise)
            ours["loss"].backward()
            report(f"{name} {normalise} loss", ours["loss"].detach(), loss.detach())
            report(f"{name} {normalise} pred", ours["pred"].detach(), pred.detach())
            report(f"{name} {normalise} mask", ours["mask"], mask)
            report_gradients(f"{name} {normalise}", model, p)


def transformer_arguments(sizes):
    return {"input_size": sizes.image, "patch_size": sizes.patch, "in_channels": sizes.channels,
            "hidden_size": sizes.width, "depth": sizes.depth, "num_heads": sizes.heads,
            "num_classes": sizes.classes, "learn_sigma": sizes.learn_sigma}


def check_transformer(folder, package, class_name, affine):
    from make_models import TRANSFORMERS
    sys.path.insert(0, str(folder / package))
    original = getattr(importlib.import_module("models"), class_name)
    for suffix, sizes in TRANSFORMERS.items():
        if sizes.affine or not affine:
            check_geometry(original, class_name[:3].lower(), suffix, replace(sizes, affine=affine))


def check_geometry(original, family, suffix, sizes):
    from make_models import TRANSFORMERS, transformer_inputs, transformer_params
    from reference_params import leaves
    from reference_vit import diffusion_transformer, guided, interpolant_transformer
    network = interpolant_transformer if family == "sit" else diffusion_transformer
    params = load_params(transformer_params(suffix, TRANSFORMERS[suffix]))
    if not sizes.affine:
        params = {key: v for key, v in params.items() if ".norm1." not in key
                  and ".norm2." not in key}
    name = f"{family}{suffix}{'_affine' if sizes.affine else ''}"
    model = original(**transformer_arguments(sizes)).eval()
    report(f"{name} pos_embed", params["pos_embed"], model.pos_embed.detach())
    model.load_state_dict(params)
    x, times, labels = transformer_inputs(suffix, sizes, family).values()
    expected = model(x, times, labels)
    (expected ** 2).mean().backward()
    p = leaves(params, torch.float32)
    actual = network(p, sizes, x, times, labels)
    (actual ** 2).mean().backward()
    report(name, actual.detach(), expected.detach())
    report_gradients(name, model, p)
    x = normal("cfg/x", 2, sizes.channels, sizes.image, sizes.image)
    with torch.no_grad():
        given = (torch.cat([x, x]), times[:1].repeat(4), torch.tensor([3, 7, 10, 10]))
        report(f"{name} guided", guided(
            lambda *a: network(params, sizes, *a), *given, 4.0, 3),
            model.forward_with_cfg(*given, 4.0))


def check_vae(folder):
    from make_autoencoders import KINDS, parameters
    from reference_vae import decode, encode
    sys.path.insert(0, str(folder / "USP/pretrain"))
    original = importlib.import_module("vae")
    for name, sizes in KINDS.items():
        params = {key: value.float() for key, value in parameters(name, sizes).items()}
        arguments = {"ch": sizes.base, "ch_mult": sizes.mult, "num_res_blocks": sizes.blocks,
                     "z_channels": sizes.latent, "resolution": 64}
        lowest = 64 >> (len(sizes.mult) - 1)
        model = torch.nn.Module()
        model.encoder = original.Encoder(
            attn_resolutions=(lowest,) if sizes.encoder_attention else (), **arguments)
        model.decoder = original.Decoder(
            attn_resolutions=(lowest,) if sizes.decoder_attention else (), **arguments)
        model.quant_conv = torch.nn.Conv2d(2 * sizes.latent, 2 * sizes.latent, 1)
        model.post_quant_conv = torch.nn.Conv2d(sizes.latent, sizes.latent, 1)
        model.load_state_dict(params)
        image, z = normal("check/image", 2, 3, 16, 24), normal("check/z", 2, sizes.latent, 4, 6)
        with torch.no_grad():
            report(f"{name} encode", encode(params, sizes, image),
                   model.quant_conv(model.encoder(image)))
            report(f"{name} decode", decode(params, sizes, z),
                   model.decoder(model.post_quant_conv(z)))


def check_lars(folder):
    from make_training import lars_step
    sys.path.insert(0, str(folder / "USP/pretrain"))
    original = importlib.import_module("util.lars").LARS
    start = {"w": normal("lars/w", 10, 24), "b": normal("lars/b", 10), "z": torch.zeros(3, 3)}
    theirs = {key: torch.nn.Parameter(value.clone()) for key, value in start.items()}
    ours = {key: torch.nn.Parameter(value.clone()) for key, value in start.items()}
    optimizer, momenta = original(theirs.values(), lr=6.4, weight_decay=0.01), {}
    for step in range(4):
        for key in start:
            theirs[key].grad = normal(f"lars/{key}/{step}", *start[key].shape)
            ours[key].grad = theirs[key].grad.clone()
        optimizer.step()
        lars_step(ours, momenta, 6.4, 0.01)
    for key in start:
        report(f"lars {key}", ours[key].detach(), theirs[key].detach())


CHECKS = {
    "lars": check_lars,
    "mae": lambda folder: check_mae(folder, "MAE"),
    "mae_usp": lambda folder: check_mae(folder, "USP/pretrain"),
    "vae": check_vae,
    "dit": lambda folder: check_transformer(folder, "DiT", "DiT", False),
    "dit_affine": lambda folder: check_transformer(
        folder, "USP/generation/DiT", "DiT_VAE_simple", True),
    "sit": lambda folder: check_transformer(folder, "SiT", "SiT", False),
    "sit_affine": lambda folder: check_transformer(
        folder, "USP/generation/SiT", "SiT_VAE_simple", True),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--originals", type=Path, required=True)
    parser.add_argument("checks", nargs="*", help=f"of {', '.join(CHECKS)}; default all")
    arguments = parser.parse_args()
    if len(arguments.checks) == 1:
        allow_torchvision()
        CHECKS[arguments.checks[0]](arguments.originals)
        return
    for name in arguments.checks or CHECKS:
        subprocess.run([sys.executable, __file__, "--originals", arguments.originals, name],
                       check=True)


if __name__ == "__main__":
    main()
