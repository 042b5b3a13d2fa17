"""All models through ctypes against PyTorch's numbers; created, saved and loaded again."""

import threading

import golden
import numpy as np
import pytest

import usp

FORWARD = 1e-5
GRADIENT = 1e-4


def close(value, reference, tolerance=FORWARD):
    assert golden.difference(value, reference) < tolerance


@pytest.mark.parametrize("name", ["mae_norm_none", "mae_norm_patch", "mae_norm_image", "mae_target"])
def test_masked_autoencoder(name):
    case, config = golden.load(f"models/{name}"), golden.MANIFEST[f"models/{name}"]["config"]
    model = usp.MaskedAutoencoder.load(
        golden.params(f"models/{name}"), num_heads=config["heads"],
        decoder_num_heads=config["decoder_heads"])
    settings = dict(
        mask_ratio=config["mask_ratio"], noise=case["in.noise"], target=case.get("in.target"),
        norm_pix_loss=config["normalise"] == "patch", norm_image=config["normalise"] == "image")
    result = model.forward(case["in.images"], **settings)
    close(result.loss, case["out.loss"])
    close(result.pred, case["out.pred"])
    if "out.mask" in case:
        assert np.array_equal(result.mask, case["out.mask"])
    loss, gradients = model.gradients(case["in.images"], **settings)
    close(loss, case["out.loss"])
    check_gradients(case, gradients)


def check_gradients(case, gradients):
    compared = 0
    for key, reference in case.items():
        kind, _, name = key.partition(".")
        if kind.startswith("grad") and kind not in ("grad_in", "grad_out") and name in gradients:
            every = int(kind.removeprefix("grad_every") or 1) if kind != "grad" else 1
            value = gradients[name].reshape(-1)[::every]
            scale = max(float(np.abs(gradients[name]).max()), 1e-7)
            assert float(np.abs(value - reference.reshape(-1)).max()) / scale < GRADIENT, name
            compared += 1
    assert compared > 5


@pytest.mark.parametrize("name", ["dit_affine", "sit_affine"])
def test_diffusion_transformer(name):
    case, config = golden.load(f"models/{name}"), golden.MANIFEST[f"models/{name}"]["config"]
    family = usp.DiT if name.startswith("dit") else usp.SiT
    model = family.load(golden.params(f"models/{name}"), num_heads=config["heads"])
    value = model.forward(case["in.x"], case["in.t"], case["in.labels"])
    close(value, case["out.y"])
    assert value.shape[1] == model.out_channels == (8 if family is usp.DiT else 4)


@pytest.mark.parametrize("name", ["dit_affine_guided", "sit_affine_guided"])
def test_guided_pass(name):
    case, config = golden.load(f"models/{name}"), golden.MANIFEST[f"models/{name}"]["config"]
    family = usp.DiT if name.startswith("dit") else usp.SiT
    model = family.load(golden.params(f"models/{name}"), num_heads=config["heads"])
    inputs = case["in.x"], case["in.t"], case["in.labels"], config["scale"]
    close(model.forward_with_cfg(*inputs), case["out.three"])
    close(model.forward_with_cfg(*inputs, channels=4), case["out.all"])


def test_gradients_of_the_mean_square():
    model = usp.DiT.load(golden.params("models/dit_affine"), num_heads=3)
    case = golden.load("models/dit_affine")
    loss, gradients = model.gradients(case["in.x"], case["in.t"], case["in.labels"])
    value = model.forward(case["in.x"], case["in.t"], case["in.labels"]).astype(np.float64)
    close(loss, np.mean(value**2))
    assert "blocks.0.attn.qkv.weight" in gradients and "pos_embed" not in gradients


def test_diffusers_names_come_back_in_gradients():
    case = golden.load("models/dit_diffusers")
    path = golden.params("models/dit_diffusers")
    model = usp.DiT.load(path, num_heads=3, grid=8)
    close(model.forward(case["in.x"], case["in.t"], case["in.labels"]), case["out.eps_1e-06"])
    _, gradients = model.gradients(case["in.x"], case["in.t"], case["in.labels"])
    names = set(usp.Checkpoint.open(path))
    assert set(gradients) <= names and any("to_q" in name for name in gradients)


@pytest.mark.parametrize("name", ["vae_encode", "vae_both_attention_encode"])
def test_vae_encodes(name):
    case = golden.load(f"models/{name}")
    vae = usp.VAE.load(golden.params(f"models/{name}"), scale=0.5)
    posterior = vae.encode(case["in.images"], scaled=False)
    z = posterior.mean.shape[1]
    moments = case["out.y"]
    close(posterior.mean, moments[:, :z])
    close(posterior.logvar, np.clip(moments[:, z:], -30, 20))
    scaled = vae.encode(case["in.images"])
    close(scaled.mean, 0.5 * posterior.mean)
    assert vae.scale == 0.5
    noise = usp.random.normal(posterior.mean.shape, 3)
    expected = posterior.mean + np.exp(0.5 * posterior.logvar) * noise
    close(posterior.sample(noise), expected)
    close(scaled.sample(noise=noise), 0.5 * expected)


@pytest.mark.parametrize("name", ["vae_decode", "vae_both_attention_decode"])
def test_vae_decodes(name):
    case = golden.load(f"models/{name}")
    vae = usp.VAE.load(golden.params(f"models/{name}"), scale=0.5)
    latents = case["in.x"]
    close(vae.decode(latents, scaled=False), case["out.y"])
    close(vae.decode(latents * np.float32(0.5)), case["out.y"])


@pytest.mark.parametrize("name", ["classifier_average", "classifier_token", "probe_evaluation"])
def test_classifier(name):
    case, config = golden.load(f"models/{name}"), golden.MANIFEST[f"models/{name}"]["config"]
    weights = dict(usp.Checkpoint.open(golden.params(f"models/{name}"))) if (
        "params" in golden.MANIFEST[f"models/{name}"]) else {}
    own = {key[6:]: value for key, value in case.items() if key.startswith("param.")}
    kept = {
        key: value for key, value in {**weights, **own}.items()
        if not key.startswith("decoder") and key not in ("mask_token", "head.0.num_batches_tracked")
    }
    if config["pool"] == "average":
        kept = {key: value for key, value in kept.items() if not key.startswith("norm.")}
    model = usp.ViT.load(
        kept, pool="avg" if config["pool"] == "average" else "token", num_heads=config["heads"])
    close(model.logits(case["in.images"]), case["out.logits"])
    assert model.features(case["in.images"]).shape == (len(case["in.images"]), config["width"])


def test_bf16_is_close():
    case = golden.load("models/dit_affine")
    path = golden.params("models/dit_affine")
    exact = usp.DiT.load(path, num_heads=3).forward(case["in.x"], case["in.t"], case["in.labels"])
    rough = usp.DiT.load(path, num_heads=3, dtype="bf16").forward(
        case["in.x"], case["in.t"], case["in.labels"])
    assert 0 < golden.difference(rough, exact) < 3e-2


TINY = dict(grid=4, width=32, depth=1, heads=2)


@pytest.mark.parametrize("make", [
    lambda: usp.VAE.create(base_width=8, multipliers=(1, 2), groups=4, scale=0.7, shift=0.1, seed=1),
    lambda: usp.MaskedAutoencoder.create(
        **TINY, decoder_width=16, decoder_depth=1, decoder_heads=2, seed=1),
    lambda: usp.ViT.create(**TINY, classes=5, pool="avg", seed=1),
    lambda: usp.DiT.create(**TINY, classes=5, affine=True, seed=1),
    lambda: usp.SiT.create(**TINY, classes=5, learn_sigma=False, seed=1),
])
@pytest.mark.parametrize("ending", ["safetensors", "pt"])
def test_made_saved_and_loaded_again(make, ending, tmp_path):
    model = make()
    path = tmp_path / f"model.{ending}"
    model.save(path)
    settings = {} if ending == "safetensors" or isinstance(model, usp.VAE) else {"num_heads": 2}
    if ending == "pt" and isinstance(model, usp.MaskedAutoencoder):
        settings["decoder_num_heads"] = 2
    if ending == "pt" and isinstance(model, usp.VAE):
        return  # a torch file does not keep the number of groups
    again = type(model).load(path, **settings)
    assert again.family == model.family and again.size == model.size
    for name, value in model.parameters.items():
        assert np.array_equal(again.parameters[name], value)
    assert "loaded" in again.report and again.report.data["missing"] == []
    if isinstance(model, usp.VAE) and ending == "safetensors":
        assert (again.scale, again.config.groups) == (model.scale, 4)


def test_position_tables():
    case = golden.load("positions/sincos")
    close(usp.position_embedding.sincos(48, 8), case["out.8x8"], 1e-6)
    close(usp.position_embedding.sincos(48, (4, 6)), case["out.4x6"], 1e-6)
    case = golden.load("positions/bicubic")
    for old, new in [((14, 14), (16, 16)), ((16, 16), (14, 14)), ((7, 5), (4, 9))]:
        name = f"{old[0]}x{old[1]}_to_{new[0]}x{new[1]}"
        table = case[f"in.{old[0]}x{old[1]}"].reshape(-1, 6)
        for antialias, key in ((False, f"out.{name}"), (True, f"out.antialiased.{name}")):
            value = usp.position_embedding.resize(table, old, new, antialias=antialias)
            close(value, case[key].reshape(-1, 6), 1e-6)
    table = usp.random.normal((1 + 4 * 6, 8), 1)
    again = usp.position_embedding.resize(table, (4, 6), (4, 6))
    assert np.array_equal(again, table)
    larger = usp.position_embedding.resize(table[None], (4, 6), (5, 3))
    assert larger.shape == (1, 16, 8) and np.array_equal(larger[0, 0], table[0])


def test_errors_name_what_is_wrong(tmp_path):
    model = usp.DiT.create(**TINY, classes=5, seed=1)
    x = usp.random.normal((2, 4, 8, 8), 1)
    with pytest.raises(usp.ArgumentError, match="label"):
        model.forward(x, [0, 0], [0, 9])
    with pytest.raises(usp.ShapeError, match="t: shape"):
        model.forward(x, [0, 0, 0], [0, 1])
    with pytest.raises(usp.ShapeError, match=r"x: shape \[2, 4, 7, 8\]"):
        model.forward(np.zeros((2, 4, 7, 8), np.float32), [0, 0])
    with pytest.raises(usp.ArgumentError, match="heads"):
        usp.DiT.create(grid=4, width=30, depth=1, heads=4)
    model.save(tmp_path / "dit.safetensors")
    with pytest.raises(usp.FormatError, match="no autoencoder"):
        usp.VAE.load(tmp_path / "dit.safetensors")
    partial = {n: v for n, v in model.parameters.items() if not n.startswith("blocks.0.mlp.fc2")}
    with pytest.raises(usp.MissingWeightError, match="fc2"):
        usp.DiT.load(partial, num_heads=2)
    encoder = usp.MaskedAutoencoder.create(**TINY, decoder_width=0)
    with pytest.raises(usp.UnsupportedError, match="no decoder"):
        encoder.forward(x)
    with pytest.raises(usp.ArgumentError, match="is closed"):
        model.close()
        model.forward(x, [0, 0])


def test_samplers_take_models():
    model = usp.DiT.create(**TINY, classes=5, seed=1)
    process = usp.Diffusion("4")
    z = usp.random.normal((2, 4, 8, 8), 1)
    value = process.p_sample_loop(model, z, [1, 2], seed=3)
    same = process.p_sample_loop(lambda x, t, y: model.forward(x, t, y), z, [1, 2], seed=3)
    assert np.array_equal(value, same)
    guided = process.p_sample_loop(model, z, [1, 2], seed=3, cfg_scale=4.0)
    callable_guided = process.p_sample_loop(
        lambda x, t, y: model.forward(x, t, y), z, [1, 2], seed=3, cfg_scale=4.0, null_class=5)
    assert np.array_equal(guided, callable_guided)
    assert np.array_equal(
        process.p_sample_loop(model, z, [1, 2], seed=3, cfg_scale=[1.0, 1.0]), value)


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


def test_threads_share_a_model_and_do_not_change_it():
    model = usp.DiT.create(**TINY, classes=5, seed=1)
    x = usp.random.normal((2, 4, 8, 8), 1)
    usp.set_threads(1)
    expected = model.forward(x, [3, 4], [0, 1])
    usp.set_threads(0)
    results = [None] * 6

    def work(index):
        results[index] = model.forward(x, [3, 4], [0, 1])

    threads = [threading.Thread(target=work, args=(index,)) for index in range(6)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert all(np.array_equal(result, expected) for result in results)
