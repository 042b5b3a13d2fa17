"""Sample latents from a diffusion transformer, and from a function of one's own."""

import numpy as np
import usp

# or usp.DiT.load("DiT-XL-2-256x256.pt")
model = usp.DiT.create(grid=4, width=32, depth=2, heads=2, classes=10, seed=1)
diffusion = usp.Diffusion("10")
z = usp.random.normal((2, 4, 8, 8), seed=7)

latents = diffusion.p_sample_loop(
    model, z, [3, 7], cfg_scale=4.0, seed=7,
    progress=lambda p: print(f"\r{p.stage} {p.step}/{p.steps}", end=""))
print(f"\nthe first latent is {latents[0, 0, 0, 0]:.4f}")

# Samples have noise of their own: alone, the first is what it was in the batch.
alone = diffusion.p_sample_loop(model, z[:1], [3], cfg_scale=4.0, seed=7)
assert np.allclose(alone, latents[:1], atol=1e-5)


def denoiser(x, t, y):
    """Any function may be sampled: noise and variance from latents, times and labels."""
    return np.concatenate([0.9 * x, np.zeros_like(x)], axis=1)


print(f"of a function: {diffusion.ddim_sample_loop(denoiser, z).std():.4f}")
