"""Golden case of VA-VAE's training losses, by its own code."""

import sys
from types import ModuleType, SimpleNamespace

import torch

from common import Case, normal
from make_autoencoders import KINDS
from originals import load
from reference_params import draw
from reference_vae import decode, encode, shapes


class Silent(torch.nn.Module):
    """A discriminator that has no opinion."""

    def forward(self, images):
        return images.sum() * 0


def make(originals):
    """VA-VAE's losses by its own code: reconstruction, and alignment at the weight that balances their
    gradients in the encoder's last layer."""
    stub = ModuleType("taming.modules.losses.vqperceptual")
    stub.LPIPS, stub.NLayerDiscriminator = torch.nn.Identity, lambda **_: Silent()
    stub.weights_init = stub.hinge_d_loss = stub.vanilla_d_loss = lambda *_: None
    stub.adopt_weight = lambda weight, *_, **__: weight
    sys.modules |= {stub.__name__: stub}
    losses = load(originals, "LightningDiT/vavae/ldm/modules/losses", "contperceptual")
    sizes, width = KINDS["vae"], 10
    params = {key: value.half().double().requires_grad_()
              for key, value in draw("vae", shapes(sizes)).items()}
    given = {"images": normal("vae/images", 2, 3, 16, 24, scale=0.5),
             "noise": normal("vae/noise", 2, 4, 4, 6), "features": normal("vae/features", 2, 24, width),
             "projection": normal("vae/projection", width, 4, scale=0.5)}
    projection = given["projection"].double().requires_grad_()
    case = Case("models/vae_aligned", "LightningDiT vavae/ldm/modules/losses/contperceptual.py (MIT)",
                {"align": 0.5}, 1e-5, "models/vae_params")
    case.put_all("in", given)
    for key, margins in {"plain": (0, 0), "margins": (0.25, 0.5)}.items():
        loss = losses.LPIPSWithDiscriminator(
            10 ** 9, kl_weight=0, disc_factor=0, perceptual_weight=0, pp_style=True, vf_weight=0.5,
            adaptive_vf=True, distmat_margin=margins[0], cos_margin=margins[1]).train()
        images = given["images"].double()
        mean, logvar = encode(params, sizes, images).chunk(2, dim=1)
        z = mean + torch.exp(0.5 * logvar.clamp(-30, 20)) * given["noise"].double()
        projected = torch.einsum("bchw,zc->bzhw", z, projection)
        features = given["features"].double().transpose(1, 2).reshape(2, width, 4, 6)
        posterior = SimpleNamespace(kl=lambda no_sum: torch.zeros(1))
        total, log = loss(images, decode(params, sizes, z), posterior, 0, 0, z=projected,
                          aux_feature=features, enc_last_layer=params["encoder.conv_out.weight"])
        for leaf in (*params.values(), projection):
            leaf.grad = None
        total.backward()
        case.put(f"out.{key}.loss", total.reshape(1))
        case.put(f"out.{key}.alignment", log["train/vf_loss"].reshape(1))
        case.put(f"out.{key}.weight", log["train/vf_weight"].reshape(1))
        case.put(f"out.{key}.projection", projection.grad)
        for name in ("encoder.conv_out.weight", "encoder.conv_in.weight", "decoder.conv_in.bias"):
            case.put(f"out.{key}.{name}", params[name].grad)
    case.save()
