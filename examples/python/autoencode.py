"""Encode an image into latents and decode it again."""

import numpy as np
import usp

# or usp.VAE.load("diffusion_pytorch_model.safetensors")
vae = usp.VAE.create(base_width=16, multipliers=(1, 2, 2), groups=8, scale=0.5, seed=1)

y, x = np.mgrid[-16:16, -16:16].astype(np.float32)
picture = np.stack([np.sin(0.5 * np.hypot(x, y) + channel) for channel in range(3)])[None]

posterior = vae.encode(picture)
print(f"{picture.shape} became {posterior.mean.shape}; latents are (z - {vae.shift}) * {vae.scale}")
again = vae.decode(posterior.mean)
print(f"mean squared error {np.mean((again - picture) ** 2):.3f}, as nobody has trained it yet")

# Large images in tiles: memory grows with the tile, not with the image.
tiled = vae.decode(posterior.mean, tile=4, overlap=2)
print(f"in tiles, whose edges see less of the image: within {np.abs(tiled - again).max():.3f}")
