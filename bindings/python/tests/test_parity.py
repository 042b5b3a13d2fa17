"""All models through ctypes against PyTorch's numbers: outputs, gradients, bf16, position tables.

A difference is the largest absolute one over the largest absolute reference: 1e-5 for outputs, 1e-4
for gradients, 3e-2 for bf16, which also may not be further off than PyTorch's own autocast.
"""

import json

import golden
import numpy as np
import pytest

import usp

FORWARD, GRADIENT, HALF, POSITION, ROTATION = 1e-5, 1e-4, 3e-2, 1e-6, 2e-6

MASKED = [
    "mae_norm_none", "mae_norm_patch", "mae_norm_image", "mae_target", "mae_pixel_norm_none",
    "mae_pixel_norm_patch",
]
DIFFUSION = ["dit", "dit_affine", "sit", "sit_affine"]
CLASSIFIERS = [
    "classifier_average", "classifier_token", "classifier_no_embed_class", "probe_evaluation"]
AUTOENCODERS = ["vae", "vae_encoder_attention", "vae_both_attention"]


def close(value, reference, tolerance=FORWARD):
    assert golden.difference(value, reference) < tolerance


def close_half(value, case, key):
    """Within 3e-2 of the reference, and no further off than PyTorch's autocast."""
    error = golden.difference(value, case[f"out.{key}"])
    assert 0 < error < HALF
    assert error <= golden.difference(case[f"bf16.{key}"], case[f"out.{key}"])


def opened(name):
    """The tensors of a model's case, its sizes, and its weights by name."""
    line = golden.MANIFEST[f"models/{name}"]
    case = golden.load(f"models/{name}")
    weights = dict(usp.Checkpoint.open(golden.params(f"models/{name}")))
    own = {key[6:]: value for key, value in case.items() if key.startswith("param.")}
    dropped = line.get("params_without", ())
    kept = {
        key: value for key, value in {**weights, **own}.items()
        if not any(part in key for part in dropped)
    }
    return case, line["config"], kept


def check_gradients(case, gradients):
    """Each parameter's gradient, whole or every n-th element, against its own largest.

    What is zero but for rounding (a bias before a softmax that ignores it) goes by the largest of
    all.
    """
    references = {
        key.partition(".")[2]: (int(key.partition(".")[0][10:] or 1), value.reshape(-1))
        for key, value in case.items() if key.startswith(("grad.", "grad_every"))
    }
    assert set(references) <= set(gradients) and len(references) > 30
    largest = max(float(np.abs(value).max()) for _, value in references.values())
    for name, (step, reference) in references.items():
        scale = float(np.abs(reference).max())
        scale = largest if scale < 1e-4 * largest else scale
        difference = np.abs(gradients[name].reshape(-1)[::step] - reference).max()
        assert float(difference) < GRADIENT * scale, name


def masked(name, **settings):
    case, config, weights = opened(name)
    model = usp.MaskedAutoencoder.load(
        weights, num_heads=config["heads"], decoder_num_heads=config["decoder_heads"], **settings)
    return case, model, dict(
        mask_ratio=config["mask_ratio"], noise=case["in.noise"], target=case.get("in.target"),
        norm_pix_loss=config["normalise"] == "patch", norm_image=config["normalise"] == "image")


@pytest.mark.parametrize("name", MASKED)
def test_masked_autoencoder(name):
    case, model, settings = masked(name)
    result = model.forward(case["in.images"], **settings)
    close(result.loss, case["out.loss"])
    close(result.pred, case["out.pred"])
    if "out.mask" in case:
        assert np.array_equal(result.mask, case["out.mask"])
    loss, gradients = model.gradients(case["in.images"], **settings)
    close(loss, case["out.loss"])
    check_gradients(case, gradients)


@pytest.mark.parametrize("name", MASKED)
def test_masked_autoencoder_in_bf16(name):
    case, model, settings = masked(name, dtype="bf16")
    close_half(model.forward(case["in.images"], **settings).pred, case, "pred")


def test_added_noise_leaves_the_target_clean():
    case, model, settings = masked("mae_norm_none")
    clean = model.forward(case["in.images"], **settings)
    noisy = model.forward(case["in.images"], **settings, add_noise=True, seed=3)
    again = model.forward(case["in.images"], **settings, add_noise=True, seed=3)
    assert np.array_equal(noisy.pred, again.pred) and not np.allclose(noisy.pred, clean.pred)
    # The loss against the clean target, from the prediction for the noisy input.
    patches = case["in.images"].reshape(2, 4, 8, 2, 8, 2).transpose(0, 2, 4, 3, 5, 1)
    each = np.mean((noisy.pred - patches.reshape(2, 64, 16)) ** 2, axis=-1)
    close(noisy.loss, (each * noisy.mask).sum() / noisy.mask.sum())
    loss, _ = model.gradients(case["in.images"], **settings, add_noise=True, seed=3)
    close(loss, noisy.loss)


def diffusion(name, **settings):
    case, config, weights = opened(name)
    family = usp.DiT if name.startswith("dit") else usp.SiT
    model = family.load(weights, num_heads=config["heads"], **settings)
    return case, config, model, (case["in.x"], case["in.t"], case["in.labels"])


@pytest.mark.parametrize("name", DIFFUSION)
def test_diffusion_transformer(name):
    case, _, model, inputs = diffusion(name)
    value = model.forward(*inputs)
    close(value, case["out.y"])
    assert value.shape[1] == model.out_channels == (8 if name.startswith("dit") else 4)
    loss, gradients = model.gradients(*inputs)
    close(loss, case["out.loss"])
    check_gradients(case, gradients)
    assert "pos_embed" not in gradients


@pytest.mark.parametrize("name", DIFFUSION)
def test_diffusion_transformer_in_bf16(name):
    case, _, model, inputs = diffusion(name, dtype="bf16")
    close_half(model.forward(*inputs), case, "y")


@pytest.mark.parametrize("name", [f"{name}_guided" for name in DIFFUSION])
def test_guided_pass(name):
    case, config, model, inputs = diffusion(name)
    close(model.forward_with_cfg(*inputs, config["scale"]), case["out.three"])
    close(model.forward_with_cfg(*inputs, config["scale"], channels=4), case["out.all"])


def test_diffusers_names_come_back_in_gradients():
    case = golden.load("models/dit_diffusers")
    path = golden.params("models/dit_diffusers")
    model = usp.DiT.load(path, num_heads=3, grid=8)
    close(model.forward(case["in.x"], case["in.t"], case["in.labels"]), case["out.eps_1e-06"])
    _, gradients = model.gradients(case["in.x"], case["in.t"], case["in.labels"])
    names = set(usp.Checkpoint.open(path))
    assert set(gradients) <= names and any("to_q" in name for name in gradients)


def classifier(name, **settings):
    case, config, weights = opened(name)
    pool = "avg" if config["pool"] == "average" else "token"
    return case, config, usp.ViT.load(weights, pool=pool, num_heads=config["heads"], **settings)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifier(name):
    case, config, model = classifier(name)
    close(model.logits(case["in.images"]), case["out.logits"])
    features = model.features(case["in.images"])
    assert features.shape == (len(case["in.images"]), config["width"])
    if "probe" not in name:
        head = model.parameters["head.weight"], model.parameters["head.bias"]
        close(features @ head[0].T + head[1], case["out.logits"])


@pytest.mark.parametrize("name", [*CLASSIFIERS[:3], "probe_training"])
def test_classifier_gradients(name):
    case, config, model = classifier(name)
    trainer = usp.Trainer(model, label_smoothing=config["smoothing"])
    labels = case["in.labels"] if "in.labels" in case else case["in.target"]
    loss, gradients = trainer.gradients(case["in.images"], labels)
    close(loss, case["out.loss"])
    check_gradients(case, gradients)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifier_in_bf16(name):
    case, _, model = classifier(name, dtype="bf16")
    close_half(model.logits(case["in.images"]), case, "logits")


def autoencoder(name, side, **settings):
    case, _, weights = opened(f"{name}_{side}")
    return case, usp.VAE.load(weights, **settings)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("name", AUTOENCODERS)
def test_vae_encodes(name, exact):
    case, vae = autoencoder(name, "encode", scale=0.5)
    posterior = vae.encode(case["in.images"], scaled=False, exact=exact)
    z = posterior.mean.shape[1]
    moments = case["out.y"]
    close(posterior.mean, moments[:, :z])
    close(posterior.logvar, np.clip(moments[:, z:], -30, 20))
    scaled = vae.encode(case["in.images"], exact=exact)
    close(scaled.mean, 0.5 * posterior.mean)
    assert vae.scale == 0.5
    noise = usp.random.normal(posterior.mean.shape, 3)
    expected = posterior.mean + np.exp(0.5 * posterior.logvar) * noise
    close(posterior.sample(noise), expected)
    close(scaled.sample(noise=noise), 0.5 * expected)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("name", AUTOENCODERS)
def test_vae_decodes(name, exact):
    case, vae = autoencoder(name, "decode", scale=0.5)
    latents = case["in.x"]
    close(vae.decode(latents, scaled=False, exact=exact), case["out.y"])
    close(vae.decode(latents * np.float32(0.5), exact=exact), case["out.y"])


@pytest.mark.parametrize("exact", [False, True])
def test_vae_gradients(exact):
    case, _, weights = opened("vae_autoencode")
    trainer = usp.Trainer(usp.VAE.load(weights), kl_weight=1e-2, exact=exact)
    loss, gradients = trainer.gradients(case["in.images"], noise=case["in.noise"])
    close(loss, case["out.loss"])
    check_gradients(case, gradients)


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_vae_in_bf16(name):
    case, vae = autoencoder(name, "decode", dtype="bf16")
    close_half(vae.decode(case["in.x"], scaled=False), case, "y")
    case, vae = autoencoder(name, "encode", dtype="bf16")
    posterior = vae.encode(case["in.images"], scaled=False)
    close_half(np.concatenate([posterior.mean, posterior.logvar], axis=1), case, "y")


@pytest.mark.parametrize("generation", [0, 1])
def test_folder_of_a_diffusers_autoencoder(tmp_path, generation):
    case, _, weights = opened("vae_decode")
    names = json.loads((golden.FOLDER / "models/vae_names.json").read_text())
    arrays = {
        names[name][generation]:
            value[:, :, 0, 0] if ".attn_1." in name and value.ndim == 4 else value
        for name, value in weights.items()
    }
    usp.Checkpoint(arrays).save(tmp_path / "diffusion_pytorch_model.safetensors")
    config = {"_class_name": "AutoencoderKL", "norm_num_groups": 32, "scaling_factor": 0.13025}
    (tmp_path / "config.json").write_text(json.dumps(config))
    vae = usp.VAE.load(tmp_path)
    assert vae.scale == 0.13025 and "assumed" not in vae.report
    close(vae.decode(case["in.x"], scaled=False), case["out.y"])
    _, gradients = usp.Trainer(vae).gradients(usp.random.normal((1, 3, 8, 8), 1))
    assert {name: value.shape for name, value in gradients.items()} == {
        name: value.shape for name, value in arrays.items()}


def test_guided_loop_against_the_published_code():
    name = "diffusion/network_loops"
    case, config = golden.load(name), golden.MANIFEST[name]["config"]
    weights = dict(usp.Checkpoint.open(golden.params(name)))
    factor = np.float32(config["final_linear_weight_times"])
    weights["final_layer.linear.weight"] = weights["final_layer.linear.weight"] * factor
    model = usp.DiT.load(weights, num_heads=config["heads"])
    half = len(case["in.start"])
    value = usp.Diffusion(config["respacing"]).p_sample_loop(
        model, case["in.start"], case["in.labels"][:half],
        noise=np.ascontiguousarray(case["in.noises"][:, :half]), cfg_scale=config["scale"])
    close(value, case["out.ddpm"], 5e-4)


def test_position_tables():
    case = golden.load("positions/sincos")
    close(usp.position_embedding.sincos(48, 8), case["out.8x8"], POSITION)
    close(usp.position_embedding.sincos(48, (4, 6)), case["out.4x6"], POSITION)
    for width, grid in ((24, (4, 5)), (64, 16), (72, 7)):
        sides = grid if isinstance(grid, tuple) else (grid, grid)
        case = golden.load(f"positions/rope_{width}_{sides[0]}x{sides[1]}")
        cos, sin = usp.position_embedding.rope(width, grid)
        close(cos, case["out.cos"], ROTATION)
        close(sin, case["out.sin"], ROTATION)
    case = golden.load("positions/bicubic")
    for old, new in [
        ((14, 14), (16, 16)), ((14, 14), (32, 32)), ((16, 16), (14, 14)), ((7, 5), (4, 9)),
        ((7, 7), (8, 8)),
    ]:
        name = f"{old[0]}x{old[1]}_to_{new[0]}x{new[1]}"
        table = case[f"in.{old[0]}x{old[1]}"].reshape(-1, 6)
        for antialias, key in ((False, f"out.{name}"), (True, f"out.antialiased.{name}")):
            value = usp.position_embedding.resize(table, old, new, antialias=antialias)
            close(value, case[key].reshape(-1, 6), POSITION)
    table = usp.random.normal((1 + 4 * 6, 8), 1)
    again = usp.position_embedding.resize(table, (4, 6), (4, 6))
    assert np.array_equal(again, table)
    larger = usp.position_embedding.resize(table[None], (4, 6), (5, 3))
    assert larger.shape == (1, 16, 8) and np.array_equal(larger[0, 0], table[0])
