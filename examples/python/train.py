"""Train a classifier, one step at a time, with batches of one's own."""

import numpy as np
import usp


def batch(seed, size=16):
    """Class 0 is bright on the left, class 1 on the right."""
    x = usp.random.normal((size, 1, 8, 8), seed)
    labels = np.arange(size) % 2
    x[labels == 0, :, :, :4] += 1
    x[labels == 1, :, :, 4:] += 1
    return x, labels


model = usp.ViT.create(grid=4, channels=1, width=32, depth=2, heads=2, classes=2, seed=1)
trainer = usp.Trainer(model, rate=1e-2, warmup=5, weight_decay=0.05, average_decay=0.9)
for step in range(50):
    loss = trainer.step(*batch(step))
    if step % 10 == 9:
        print(f"step {step + 1}: loss {loss:.3f}")

trained = trainer.model(averaged=True)
x, labels = batch(1000)
accuracy = usp.evaluate.accuracy(trained.logits(x), labels)
print(f"{accuracy:.0%} of a new batch are right")
trained.save("classifier.safetensors")

# Go on later, exactly as if training had never stopped.
trainer.save("training.state")
resumed = usp.Trainer(model, rate=1e-2, warmup=5, weight_decay=0.05, average_decay=0.9)
resumed.restore("training.state")
assert resumed.step(*batch(50)) == trainer.step(*batch(50))
assert accuracy > 0.7
