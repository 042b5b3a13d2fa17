"""Golden case of tiny autoencoders: diffusers' AutoencoderTiny, encoded, decoded, differentiated."""

import torch

from common import Case, normal, randomise, save_params
from environment import allow_torchvision

WIDTHS = (8, 8, 8)
SIZES = {"encoder_block_out_channels": WIDTHS, "decoder_block_out_channels": WIDTHS,
         "num_encoder_blocks": (1, 2, 1), "num_decoder_blocks": (1, 2, 1), "latent_channels": 3}


def make():
    allow_torchvision()
    from diffusers import AutoencoderTiny
    model = randomise(AutoencoderTiny(**SIZES).eval(), "tiny", half=True)
    save_params("models/tiny_params", model.state_dict(), "seeded values in F16, diffusers names", half=True)
    images, z = normal("tiny/images", 2, 3, 16, 24, scale=0.5), normal("tiny/z", 2, 3, 4, 6, scale=3)
    case = Case("models/tiny", "diffusers AutoencoderTiny", SIZES, 1e-5, "models/tiny_params")
    case.put("in.images", images).put("in.z", z)
    again = model.decode(model.encode(images).latents).sample
    loss = ((again - images) ** 2).mean()
    loss.backward()
    with torch.no_grad():
        case.put("out.latents", model.encode(images).latents).put("out.image", model.decode(z).sample)
    case.put("out.loss", loss).put_gradients(model.named_parameters())
    case.save()


if __name__ == "__main__":
    make()
