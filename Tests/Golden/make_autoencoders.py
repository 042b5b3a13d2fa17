"""Golden cases of the KL autoencoder: plain, level attention in the encoder (MAR) and in both."""

import json

import torch

from common import HERE, Case, normal, record, save_params
from make_models import finish
from make_operations import kl
from reference_params import draw
from reference_vae import Autoencoder, decode, diffusers_name, encode, shapes, to_diffusers

KINDS = {
    "vae": Autoencoder(),
    "vae_both_attention": Autoencoder(
        mult=(1, 1), latent=16, encoder_attention=True, decoder_attention=True),
    "vae_encoder_attention": Autoencoder(mult=(1, 1), latent=16, encoder_attention=True),
}
# The kind without attention in the decoder uses the other's parameters less these.
WITHOUT = {"vae_encoder_attention": ("vae_both_attention", "decoder.up.1.attn.")}
SMALL, STRIDE = 512, 61


def squared(output):
    return {"y": output, "loss": (output ** 2).mean()}


def autoencode(p, sizes, given):
    """Reconstruction of a posterior sample plus a weighted divergence to the standard normal."""
    moments = encode(p, sizes, given["images"])
    mean, logvar = moments.chunk(2, dim=1)
    z = mean + torch.exp(0.5 * logvar.clamp(-30, 20)) * given["noise"]
    image = decode(p, sizes, z)
    reconstruction = ((image - given["images"]) ** 2).mean()
    divergence = kl(moments).mean()
    return {"image": image, "reconstruction": reconstruction, "divergence": divergence,
            "loss": reconstruction + 1e-2 * divergence}


def parameters(name, sizes):
    """Seeded values as F16 holds them, by the kind's own name or from the kind it shares with."""
    base, prefix = WITHOUT.get(name, (name, None))
    values = {key: value.half() for key, value in draw(base, shapes(KINDS[base])).items()}
    if prefix is None:
        save_params(
            f"models/{name}_params", values, "seeded values in F16, CompVis names", half=True)
        return values
    return {key: value for key, value in values.items() if not key.startswith(prefix)}


def make_kind(name, sizes):
    params = parameters(name, sizes)
    params = {key: value.float() for key, value in params.items()}
    factor = 1 << (len(sizes.mult) - 1)
    height, width = (16, 24) if factor == 4 else (8, 12)
    images = normal(f"{name}/images", 2, 3, height, width, scale=0.5)
    latent = (2, sizes.latent, height // factor, width // factor)

    def case(what, source="KL autoencoder, arXiv 2112.10752"):
        base, prefix = WITHOUT.get(name, (name, None))
        made = Case(
            f"models/{name}_{what}", source, sizes.describe(), 1e-5, f"models/{base}_params")
        return made.note("params_without", [prefix]) if prefix else made
    finish(case("encode"),
           lambda p, g: squared(encode(p, sizes, g["images"])), params, {"images": images},
           ("y", "loss"), SMALL, STRIDE)
    finish(case("decode"),
           lambda p, g: squared(decode(p, sizes, g["x"])), params,
           {"x": normal(f"{name}/z", *latent)}, ("y", "loss"), SMALL, STRIDE)
    if name == "vae":
        finish(case("autoencode", "mean squared error + 0.01 * mean KL"),
               lambda p, g: autoencode(p, sizes, g), params,
               {"images": images, "noise": normal(f"{name}/noise", *latent)},
               ("image", "reconstruction", "divergence", "loss"), SMALL, STRIDE)
    write_names(name, sizes, params)


def write_names(name, sizes, params):
    """CompVis name -> [diffusers name, its deprecated form], attention matrices losing two 1s."""
    levels = len(sizes.mult)
    names = {key: [diffusers_name(key, levels), diffusers_name(key, levels, True)]
             for key in params}
    path = HERE / f"models/{name}_names.json"
    path.write_text(json.dumps(names, indent=0) + "\n")
    record(f"models/{name}_names", {
        "file": f"models/{name}_names.json", "kind": "names",
        "source": "CompVis name -> [diffusers name, deprecated diffusers name]"})


def check_diffusers():
    """Hold the plain kind against diffusers, with current and with deprecated attention names."""
    from environment import allow_torchvision
    allow_torchvision()
    from common import error, load_params
    from diffusers import AutoencoderKL
    sizes = KINDS["vae"]
    params = {key: value.float() for key, value in load_params("models/vae_params").items()}
    model = AutoencoderKL(
        block_out_channels=tuple(sizes.base * m for m in sizes.mult), layers_per_block=sizes.blocks,
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=4, norm_num_groups=32).eval()
    image, z = normal("check/image", 2, 3, 16, 24), normal("check/z", 2, 4, 4, 6)
    for deprecated in (False, True):
        state = to_diffusers(params, len(sizes.mult), deprecated)
        if deprecated:
            model._fix_state_dict_keys_on_load(state)
        model.load_state_dict(state)
        with torch.no_grad():
            moments = model.encode(image).latent_dist.parameters
            print("diffusers encode", error(encode(params, sizes, image), moments))
            print("diffusers decode", error(decode(params, sizes, z), model.decode(z).sample))


def make():
    for name, sizes in KINDS.items():
        make_kind(name, sizes)


if __name__ == "__main__":
    make()
    check_diffusers()
