"""Hold our reference modules against the published code: `python verify.py --originals DIR`.

DIR holds checkouts named USP, DiT and SiT. Each comparison runs in its own process, because the
published packages share module names (and one changes numpy for the whole process).
"""

import argparse
import functools
import importlib
import subprocess
import sys
from pathlib import Path

import torch

from common import error, load_params, normal, uniform
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


def check_mae(folder):
    from make_models import LATENT, PIXEL
    from reference_params import leaves
    from reference_vit import masked_autoencoder
    sys.path.insert(0, str(folder / "USP/pretrain"))
    models_mae = importlib.import_module("models_mae")
    for name, sizes in (("mae", LATENT), ("mae_pixel", PIXEL)):
        params = load_params(f"models/{name}_params")
        images = normal(f"{name}/images", 2, sizes.channels, sizes.image, sizes.image, mean=0.2)
        noise = uniform(f"{name}/noise", 2, sizes.grid ** 2)
        for normalise in ("patch", "image", "none"):
            model = models_mae.MaskedAutoencoderViT(
                sizes.image, sizes.patch, sizes.channels, sizes.width, sizes.depth, sizes.heads,
                sizes.decoder_width, sizes.decoder_depth, sizes.decoder_heads,
                norm_layer=functools.partial(torch.nn.LayerNorm, eps=1e-6),
                norm_pix_loss=normalise != "none", norm_image=normalise == "image")
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


def check_transformer(folder, package, class_name, affine, times):
    from dataclasses import replace
    from make_models import TRANSFORMER
    from reference_params import leaves
    from reference_vit import diffusion_transformer, guided, interpolant_transformer
    sys.path.insert(0, str(folder / package))
    original = importlib.import_module("models")
    sizes = replace(TRANSFORMER, affine=affine)
    params = load_params("models/dit_affine_params")
    if not affine:
        params = {key: v for key, v in params.items() if ".norm1." not in key
                  and ".norm2." not in key}
    network = interpolant_transformer if class_name.startswith("SiT") else diffusion_transformer
    model = getattr(original, class_name)(**transformer_arguments(sizes)).eval()
    report(f"{class_name} pos_embed", params["pos_embed"], model.pos_embed.detach())
    model.load_state_dict(params)
    x, labels = normal("dit/x", 3, 4, 16, 16), torch.tensor([3, 10, 0])
    expected = model(x, times, labels)
    (expected ** 2).mean().backward()
    p = leaves(params, torch.float32)
    actual = network(p, sizes, x, times, labels)
    (actual ** 2).mean().backward()
    report(class_name, actual.detach(), expected.detach())
    report_gradients(class_name, model, p)
    x = normal("cfg/x", 2, 4, 16, 16)
    with torch.no_grad():
        given = (torch.cat([x, x]), times[1].repeat(4), torch.tensor([3, 7, 10, 10]))
        report(f"{class_name} guided", guided(
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
    "mae": check_mae,
    "vae": check_vae,
    "dit": lambda folder: check_transformer(
        folder, "DiT", "DiT", False, torch.tensor([0, 417, 999])),
    "dit_affine": lambda folder: check_transformer(
        folder, "USP/generation/DiT", "DiT_VAE_simple", True, torch.tensor([0, 417, 999])),
    "sit": lambda folder: check_transformer(
        folder, "SiT", "SiT", False, torch.tensor([0.0, 0.37, 1.0])),
    "sit_affine": lambda folder: check_transformer(
        folder, "USP/generation/SiT", "SiT_VAE_simple", True, torch.tensor([0.0, 0.37, 1.0])),
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
