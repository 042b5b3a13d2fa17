"""A pretrained masked autoencoder starts a masked autoregressive model; train a step, draw samples."""

import usp

# or usp.MaskedAutoencoder.load(...); its decoder is taken where it has the encoder's sizes
pretrained = usp.MaskedAutoencoder.create(
    grid=4, channels=4, patch=1, width=32, depth=2, heads=2, decoder_width=32, decoder_depth=2,
    decoder_heads=2, seed=1)
weights, report = usp.transfer(
    pretrained.checkpoint, to="MAR", classes=10, buffer=4, head_width=32, head_depth=1,
    num_heads=2, decoder_num_heads=2)
print(f"{100 * report.share:.0f} % of the parameters are the pretrained ones")

model = usp.MAR.load(weights)
trainer = usp.Trainer(model, rate=8e-4, beta2=0.95, weight_decay=0.02, clip_norm=3, label_dropout=0.1)
latents = usp.random.normal((8, 4, 4, 4), seed=2)
loss = trainer.step(latents, [i % 10 for i in range(8)])
print(f"loss {loss:.3f}")

samples = trainer.model().sample([3, 7], iterations=4, respacing="5", cfg_scale=2.0, seed=0)
print(f"latents {samples.shape}, which a VAE decodes")
