"""Move a pretrained masked autoencoder's weights into a diffusion transformer."""

import usp

# or the path of a checkpoint of USP's pretraining
pretrained = usp.MaskedAutoencoder.create(
    grid=4, width=32, depth=2, heads=2, decoder_width=16, decoder_depth=1, decoder_heads=2, seed=1)

# "SiT" takes the source's sizes; a published name such as "SiT-XL/2" has its own.
weights, report = usp.transfer(pretrained.checkpoint, to="SiT", grid=6, classes=10, seed=0)
print(report)
print(f"{report.share:.0%} of the parameters are the pretrained ones")

model = usp.SiT.load(weights, num_heads=2)
print(model)
model.save("sit.safetensors")
