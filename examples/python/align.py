"""A masked autoencoder of LightningDiT's blocks starts one, which is trained towards a frozen encoder (REPA)."""

import usp

# or usp.ViT.load("dinov2_vitb14_pretrain.pth", positions="antialias"), of width 768
teacher = usp.ViT.create(
    grid=4, channels=3, patch=14, width=48, depth=1, heads=3, head="none", classes=0, seed=1)
images = usp.random.normal((4, 3, 56, 56), seed=1)          # usp.alignment.prepare(bytes, "dinov2")
features = teacher.tokens(images)                           # once: they do not change

blocks = dict(rms_norm=True, swiglu=True, rope=True)
pretrained = usp.MaskedAutoencoder.create(
    grid=4, channels=8, patch=1, width=32, depth=2, heads=2, decoder_width=16, decoder_depth=1,
    decoder_heads=2, **blocks, seed=1)
weights, report = usp.transfer(
    pretrained.checkpoint, to="LightningDiT", classes=10, num_heads=2, projections=(48,), projector=64,
    encoder_depth=1)
print(f"{100 * report.share:.0f} % of the parameters are the pretrained ones")

model = usp.LightningDiT.load(weights, num_heads=2)
trainer = usp.Trainer(model, rate=1e-3, align=0.5, clip_norm=1)
latents = usp.random.normal((4, 8, 4, 4), seed=2)           # a VAE's, with its statistics
losses = [trainer.step(latents, [0, 3, 7, 9], features=features) for _ in range(50)]
print(f"loss {losses[0]:.3f}, then {losses[-1]:.3f}")
assert losses[-1] < losses[0]
