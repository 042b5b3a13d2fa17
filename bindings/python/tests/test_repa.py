"""REPA's models and DINOv2's tokens through Python: the numbers, what is kept, what is said."""

import json

import golden
import numpy as np
import pytest

import usp
from golden import difference as error

FILE = golden.params("models/repa_sit")
#: height and width
PHOTOS = (40, 36)


@pytest.fixture(scope="module")
def model():
    return usp.SiT.load(FILE, 3, encoder_depth=2)


@pytest.fixture(scope="module")
def case():
    return golden.load("models/repa_sit")


def test_losses_projections_and_gradients_are_repas(model, case):
    given = [case[f"in.{name}"] for name in ("data", "noise", "t", "labels")]
    features = [case["in.features0"], case["in.features1"]]
    data, noise, t, labels = given
    assert error(model(noise, t, labels), case["out.velocity"]) < 1e-5
    for k, projection in enumerate(model.projections(noise, t, labels)):
        assert error(projection, case[f"out.projection{k}"]) < 1e-5
    for path_name in ("Linear", "GVP"):
        losses = usp.Transport(path_name).training_losses(
            model, data, labels, t, noise, features=features)
        assert set(losses) == {"loss", "alignment"}
        assert error(losses["loss"], case[f"out.{path_name}.loss"]) < 1e-5
        assert error(losses["alignment"].mean(), case[f"out.{path_name}.alignment"]) < 1e-5
    trainer = usp.Trainer(model, align=0.5)
    loss, gradients = trainer.gradients(data, labels, times=t, noise=noise, features=features)
    wanted = case["out.Linear.loss"].mean() + 0.5 * case["out.Linear.alignment"][0]
    assert abs(loss - wanted) < 1e-5
    for name in ("projectors.0.0.weight", "projectors.1.4.bias", "blocks.1.mlp.fc1.weight"):
        assert error(np.asarray(gradients[name]), case[f"grad.{name}"]) < 1e-4
    assert abs(trainer.step(data, labels, times=t, noise=noise, features=features) - wanted) < 1e-5


def test_samplers_go_from_one_to_zero(model):
    case = golden.load("transport/repa_samplers")
    z, labels = case["in.z"], case["in.labels"]
    process = usp.Transport()
    value = process.sample_ode(
        model, z, labels, method="heun", steps=7, last_step="Euler", cfg_scale=1.8,
        cfg_interval=(0.3, 0.7))
    assert error(value, case["out.guided.heun"]) < 1e-5
    value = usp.Transport("GVP").sample_sde(
        model, z, labels, form="linear", steps=6, noise=case["in.noise"])
    assert error(value, case["out.plain.sde.GVP"]) < 1e-5
    with pytest.raises(usp.ArgumentError, match="only Euler"):
        process.sample_ode(model, z, labels, method="heun", last_step="Mean")


def test_files_keep_projectors_and_direction(tmp_path, model):
    assert type(usp.load(FILE, 3, encoder_depth=2)) is usp.SiT
    made = usp.SiT.create(
        grid=4, width=24, depth=3, heads=3, classes=10, qk_norm=True, projections=(10, 6),
        projector=20, encoder_depth=2, learn_sigma=False)
    assert made.config.projections == (10, 6) and made.config.encoder_depth == 2
    assert made.out_channels == 4
    shapes = {name: value.shape for name, value in made.parameters.items()}
    assert shapes["projectors.0.0.weight"] == (20, 24)
    assert shapes["projectors.1.4.weight"] == (6, 20)
    assert shapes["blocks.0.attn.q_norm.weight"] == (8,)
    # Xavier's bounds and zeros, as the original starts them.
    start = made.parameters["projectors.0.2.weight"]
    assert 0.9 < np.abs(start).max() / np.sqrt(6 / 40) <= 1
    assert not made.parameters["projectors.0.2.bias"].any()
    for source in (made, model):
        source.save(tmp_path / "model.safetensors")
        again = usp.SiT.load(tmp_path / "model.safetensors")
        assert again.config == source.config
        assert {*usp.Checkpoint.open(tmp_path / "model.safetensors")} == {*source.parameters}
    with pytest.raises(usp.ArgumentError, match="encoder_depth: 8, but the model has 3 blocks"):
        usp.SiT.load(FILE, 3)
    with pytest.raises(usp.UnsupportedError, match="no projectors"):
        usp.SiT.create(grid=2, width=16, depth=1, heads=2).projections(
            np.zeros((1, 4, 4, 4), np.float32), 0.5)


def test_features_that_do_not_fit_are_said(model, case):
    trainer = usp.Trainer(model, align=0.5)
    data, labels = case["in.data"], case["in.labels"]
    wide = [np.zeros((3, 16, 12), np.float32), case["in.features1"]]
    with pytest.raises(usp.ShapeError, match="12 wide, but the projector predicts 10"):
        trainer.step(data, labels, features=wide)
    many = [np.zeros((3, 36, 10), np.float32), case["in.features1"]]
    with pytest.raises(usp.ShapeError, match=r"36 tokens \(6x6\).*56 x 56 pixels"):
        trainer.step(data, labels, features=many)
    with pytest.raises(usp.ArgumentError, match="align is 0.5"):
        trainer.step(data, labels)
    plain = usp.SiT.create(grid=2, width=16, depth=1, heads=2)
    with pytest.raises(usp.UnsupportedError, match="no projectors"):
        usp.Trainer(plain, align=0.5)


@pytest.mark.parametrize("name", ["dinov2", "dinov2_reg"])
def test_tokens_are_dinov2s(name):
    case = golden.load(f"models/{name}")
    file = golden.params(f"models/{name}")
    own = usp.ViT.load(file, num_heads=3)
    for key in ("own", "wide", "high", "antialias"):
        model = own
        if key == "antialias":
            model = usp.ViT.load(file, num_heads=3, positions="antialias")
        images = case[f"in.{key}"]
        assert error(model.tokens(images), case[f"out.{key}.tokens"]) < 1e-5
        assert error(model.features(images), case[f"out.{key}.class"]) < 1e-5
        raw = model.tokens(images, norm=False, leading=True)
        assert error(raw, case[f"out.{key}.prenorm"]) < 1e-5


def test_pretrained_blocks_start_repas_network():
    source = usp.create("MAE", grid=4, width=24, depth=3, heads=3, decoder_width=16, decoder_depth=1,
                        decoder_heads=2, seed=1)
    weights, report = usp.transfer(
        source.checkpoint, to="SiT", classes=10, fold_norms=True, learn_sigma=False,
        projections=(10, 6), projector=20, encoder_depth=2)
    model = usp.load(weights)
    assert type(model) is usp.SiT and model.config.noise_at is None
    assert (model.config.projections, model.config.projector) == ((10, 6), 20)
    assert model.config.encoder_depth == 2 and model.out_channels == 4
    # the names of a file of REPA's code, no more and no less
    wanted = set(usp.Checkpoint.open(FILE))
    assert set(model.parameters) == wanted
    fresh = {entry.name.split(".")[0] for entry in report.entries if not entry.transferred}
    assert "projectors" in fresh
    assert len(model.projections(np.zeros((1, 4, 8, 8), np.float32), 0.5)) == 2
    # a trained flow keeps its direction; a file's projectors move
    plain = usp.SiT.create(grid=4, width=24, depth=3, heads=3, classes=10, learn_sigma=False)
    turned, _ = usp.transfer(
        plain.checkpoint, to="SiT", projections=[10], encoder_depth=1, affine=False)
    assert usp.load(turned).config.noise_at == 0
    again, report = usp.transfer(model.checkpoint, to="SiT", affine=False)
    assert usp.load(again).config == model.config
    assert all(entry.transferred for entry in report.entries)
    with pytest.raises(usp.ArgumentError, match="projections: has no part in a ViT"):
        usp.transfer(source.checkpoint, to="ViT", projections=(10,))


def test_images_are_what_repa_shows_its_teachers():
    case = golden.load("images/teachers")

    def pixels(side):
        b, c, y, x = np.ogrid[:2, :3, :side, :side]
        return ((7 * x + 3 * y * y + x * y + 85 * c + 31 * b) % 256).astype(np.uint8)

    images = pixels(256)
    for encoder in ("dinov2", "jepa", "clip", "mae", "mocov3", "dinov1"):
        value = usp.alignment.prepare(images, encoder)
        side = 224 if encoder in ("dinov2", "jepa", "clip") else 256
        assert value.shape == (2, 3, side, side)
        assert error(value.reshape(-1)[::61], case[f"out_every61.{encoder}"]) < 1e-5, encoder
    large = usp.alignment.prepare(pixels(512)[:1])
    assert large.shape == (1, 3, 448, 448)
    assert error(large.reshape(-1)[::61], case["out_every61.large"]) < 1e-5
    assert usp.alignment.prepare(images[..., :100], "mae", size=32).shape == (2, 3, 32, 32)
    with pytest.raises(usp.ArgumentError, match="expected 256 to 16384 columns"):
        usp.alignment.prepare(images[..., :100])
    with pytest.raises(usp.ArgumentError, match='unknown encoder "dino", known are dinov2'):
        usp.alignment.prepare(images, "dino")
    with pytest.raises(usp.DTypeError, match="uint8"):
        usp.alignment.prepare(images.astype(np.float32))


def autoencoder():
    return usp.VAE.create(base_width=8, multipliers=(1, 2, 2), groups=4, seed=5)


def teacher(patch=4, **sizes):
    return usp.ViT.create(
        grid=2, channels=3, patch=patch, width=16, depth=1, heads=2, head="none", classes=0,
        **sizes)


def test_features_of_data_are_the_teachers(photos, tmp_path):
    vae, encoder = autoencoder(), teacher()
    given = dict(
        vae=vae, size=32, batch=3, teacher=encoder, teacher_encoder="dinov2",
        augmentation="middle", order="sequential")
    data = usp.Data(photos, **given)
    assert data.feature_shape == (4, 16)                   # 32 pixels over 16, squared
    plain = usp.Data(photos, size=32, augmentation="middle")
    images = np.round((np.stack([plain[i][0] for i in range(3)]) + 1) * 127.5).astype(np.uint8)
    wanted = encoder.tokens(usp.alignment.prepare(images, size=8))
    assert np.array_equal(data.features(0), wanted)
    # a cache keeps them, of one orientation, in the type that is asked for
    for kind, bound in (("f32", 0), ("f16", 1e-3), ("bf16", 1e-2)):
        file = tmp_path / f"{kind}.safetensors"
        cached = usp.Data(photos, cache=str(file), feature_type=kind, **given)
        assert cached.feature_shape == (4, 16) and len(cached) == 6
        assert error(cached.features(0), wanted) <= bound
        assert np.array_equal(cached.batch(0)[0], data.batch(0)[0])
        kept = usp.Checkpoint.open(file)
        assert kept["features"].shape == (6, 4, 16) and "moments_flip" not in kept
    again = usp.Data(str(tmp_path / "f16.safetensors"), batch=2)
    assert again.feature_shape == (4, 16)
    with pytest.raises(usp.ArgumentError, match="features of the teacher .* expected of the"):
        usp.Data(str(tmp_path / "f16.safetensors"), teacher=teacher(seed=3), size=32,
                 teacher_encoder="dinov2")
    with pytest.raises(usp.FormatError, match="remove it to encode anew"):
        usp.Data(photos, cache=str(tmp_path / "f32.safetensors"), vae=vae, size=32)


def test_data_says_what_a_teacher_cannot_do(photos):
    with pytest.raises(usp.ArgumentError, match="does not tell how its images are prepared"):
        usp.Data(photos, vae=autoencoder(), size=32, teacher=teacher())
    with pytest.raises(usp.ArgumentError, match="multiple of the teacher's patch, 4"):
        usp.Data(photos, vae=autoencoder(), size=32, teacher=teacher(), teacher_encoder="mae",
                 teacher_size=10)
    latents = usp.ViT.create(grid=2, width=16, depth=1, heads=2)
    with pytest.raises(usp.ArgumentError, match="takes 4 channels, expected 3"):
        usp.Data(photos, vae=autoencoder(), size=32, teacher=latents)
    plain = usp.Data(photos, vae=autoencoder(), size=32, batch=2)
    assert plain.feature_shape is None
    with pytest.raises(usp.ArgumentError, match="no features"):
        plain.features(0)


def test_training_aligns_with_the_datas_features(photos, tmp_path):
    vae = autoencoder()
    given = dict(vae=vae, size=32, teacher=teacher(), teacher_encoder="dinov2")
    cache = str(tmp_path / "latents.safetensors")
    data, cached = usp.Data(photos, **given), usp.Data(photos, cache=cache, **given)
    settings = dict(steps=2, batch=3, align=0.5, seed=1)
    sizes = dict(patch=4, width=24, depth=2, heads=2)
    fresh = usp.train(data, **settings, **sizes)
    assert fresh.config.projections == (16,) and fresh.config.encoder_depth == 2
    assert fresh.config.noise_at is None and not fresh.config.learn_sigma
    pretrained = usp.MaskedAutoencoder.create(
        grid=2, patch=4, width=24, depth=2, heads=2, decoder_width=16, decoder_depth=1,
        decoder_heads=2)
    started = usp.train(cached, start=pretrained, **settings)
    assert started.config.projections == (16,) and started.config.affine
    assert not started.config.learn_sigma
    on = usp.train(cached, start=started, **settings)
    assert on.config == started.config
    plain = usp.SiT.create(grid=2, classes=5, **sizes)
    taught = usp.train(cached, start=plain, **dict(settings, rate=0.0, align=1e-9))
    assert taught.config.noise_at == 0 and not taught.config.affine and taught.config.learn_sigma
    assert taught.config.classes == 5 and taught.config.projections == (16,)
    moved = (model.parameters["x_embedder.proj.weight"] for model in (taught, plain))
    assert error(*moved) < 1e-6
    # features that nobody asks for stay aside
    assert usp.train(cached, steps=1, batch=3, **sizes).config.projections == ()
    with pytest.raises(usp.ArgumentError, match="teacher: has no part in training without align"):
        usp.train(data, steps=1, batch=3, **sizes)
    with pytest.raises(usp.ArgumentError, match="the data has no features of a teacher"):
        usp.train(usp.Data(photos, vae=vae, size=32), **settings, **sizes)
    with pytest.raises(usp.ShapeError, match=r"4 tokens \(2x2\), but the model has 16 \(4x4\)"):
        usp.train(data, **settings, **dict(sizes, patch=2))


@pytest.mark.parametrize("name", ["teacher_mae", "teacher_jepa", "teacher_moco"])
def test_tokens_of_other_teachers_are_where_repa_takes_them(name):
    case = golden.load(f"models/{name}")
    model = usp.ViT.load(golden.params(f"models/{name}"), num_heads=3, positions="antialias")
    tokens = model.tokens(case["in.images"], norm=name != "teacher_mae")
    assert error(tokens, case["out.tokens"]) < 1e-5


def test_training_files_tell_the_block_in_their_arguments(tmp_path):
    # as torch.save writes a training file of REPA: {"ema": ..., "args": Namespace(encoder_depth=2)}
    torch = pytest.importorskip("torch")
    from argparse import Namespace

    state = {name: torch.from_numpy(np.array(array))
             for name, array in usp.Checkpoint.open(FILE).items()}
    path = tmp_path / "0400000.pt"
    torch.save({"model": state, "ema": state, "args": Namespace(encoder_depth=2), "steps": 5}, path)
    model = usp.SiT.load(path, num_heads=3)
    assert model.config.encoder_depth == 2


def test_repas_folders_are_read(tmp_path):
    """Pictures and posteriors (means and deviations, not scaled), paired by order, labels in lists."""
    rng = np.random.default_rng(3)
    names, labels = [f"0000{i // 3}/%s{i:08d}" for i in range(5)], [2, 0, 2, 1, 0]
    moments = rng.normal(size=(5, 8, 4, 4)).astype(np.float32)
    moments[:, 4:] = np.abs(moments[:, 4:])
    moments[0, 4:] = 0                                              # as certain as can be
    for i, name in enumerate(names):
        for folder, kind in (("images", "img"), ("vae-sd", "img-mean-std-")):
            path = tmp_path / folder / (name % kind)
            path.parent.mkdir(parents=True, exist_ok=True)
            if folder == "images":
                usp.images.save(f"{path}.png", np.full((32, 32, 3), 40 * i, np.uint8))
            else:
                np.save(f"{path}.npy", moments[i])
    for folder, kind, ending in (("images", "img", "png"), ("vae-sd", "img-mean-std-", "npy")):
        listed = [[f"{name % kind}.{ending}", label] for name, label in zip(names, labels)]
        (tmp_path / folder / "dataset.json").write_text(json.dumps({"labels": listed[::-1]}))
    for path in (tmp_path, tmp_path / "vae-sd"):
        data = usp.Data(path, batch=5, order="sequential")
        latents, found = data.batch(0)
        assert list(found) == labels and data.classes == ["0", "1", "2"]
        np.testing.assert_allclose(latents, 0.18215 * moments[:, :4], rtol=1e-6)
        assert any("0.18215" in note for note in data.remarks)
    vae = usp.VAE.create(base_width=8, multipliers=(1, 2), groups=4, mid_attention=False, scale=0.5)
    own = usp.Data(tmp_path, vae=vae, batch=5, order="sequential")
    np.testing.assert_allclose(own.batch(0)[0], 0.5 * moments[:, :4], rtol=1e-6)
    assert not any("0.18215" in note for note in own.remarks)
    drawn = np.stack([
        usp.Data(tmp_path, batch=5, order="sequential", sample_posterior=True, seed=seed).batch(0)[0]
        for seed in range(200)])
    deviation = drawn.std(0) / 0.18215
    assert np.all(deviation[0] < 1e-5)
    np.testing.assert_allclose(deviation[1:], moments[1:, 4:], atol=0.05, rtol=0.25)
    pictures = usp.Data(tmp_path / "images", batch=5, size=32, order="sequential")
    assert list(pictures.batch(0)[1]) == labels and pictures.classes == ["0", "1", "2"]
    with pytest.raises(usp.ArgumentError, match="encode the images with it .*/images"):
        usp.Data(tmp_path, teacher=teacher(), teacher_encoder="mae", size=32)
    (tmp_path / "images/dataset.json").write_text('{"labels": null}')
    assert usp.Data(tmp_path / "images", batch=5, size=32).classes == []
    (tmp_path / "images/dataset.json").write_text('{"labels": [["00000/other.png", 1]]}')
    with pytest.raises(usp.FormatError, match="dataset.json: labels: has none of 00000/img0"):
        usp.Data(tmp_path / "images", size=32)
    (tmp_path / "vae-sd/dataset.json").write_text('{"labels": [[1, "a"]]}')
    with pytest.raises(usp.FormatError, match="expected .path, class."):
        usp.Data(tmp_path)
    moments[4, 5, 0, 0] = -1
    np.save(tmp_path / "vae-sd" / f"{names[4] % 'img-mean-std-'}.npy", moments[4])
    with pytest.raises(usp.FormatError, match="a deviation of -1.0, expected 0 or more"):
        usp.Data(tmp_path)


def test_autoencoders_align_with_a_teacher(photos):
    """VA-VAE's losses: a data set with a teacher is enough."""
    data = usp.Data(photos, size=32, batch=2, teacher=teacher(), teacher_encoder="dinov2", teacher_size=16)
    settings = dict(factor=8, steps=2, batch=2, base_width=8, seed=1)
    vae = usp.autoencoder(data, align=0.5, **settings)
    plain = usp.autoencoder(usp.Data(photos, size=32, batch=2), **settings)
    name = "encoder.conv_out.weight"
    assert error(vae.parameters[name], plain.parameters[name]) > 1e-5
    assert "linear_proj.weight" not in vae.parameters
    with pytest.raises(usp.ArgumentError, match="no part in training without align"):
        usp.autoencoder(data, **settings)
    with pytest.raises(usp.ArgumentError, match="no features of a teacher"):
        usp.autoencoder(usp.Data(photos, size=32, batch=2), align=0.5, **settings)
    trainer = usp.Trainer(plain, align=0.5, teacher_width=16, distmat_margin=0.25, cos_margin=0.5)
    images, features = data.batch(0)[0], data.features(0)
    assert "linear_proj.weight" in trainer.gradients(images, features=features)[1]
    assert trainer.step(images, features=features) > 0
    with pytest.raises(usp.ShapeError, match="expected .2, 16, 16., one for each latent of 4 x 4"):
        trainer.step(images, features=features[:, :3])
    with pytest.raises(usp.ArgumentError, match="the teacher's tokens"):
        trainer.step(images)
    with pytest.raises(usp.ArgumentError, match="teacher_width"):
        usp.Trainer(plain, align=0.5)
    with pytest.raises(usp.ArgumentError, match="cos_margin: has no part in a ViT"):
        usp.Trainer(usp.ViT.create(grid=2, width=16, depth=1, heads=2), cos_margin=0.5)


def test_clips_first_norm_is_named_where_it_cannot_go():
    path, case = golden.params("models/teacher_clip"), golden.load("models/teacher_clip")
    for family in ("SiT", "Segmenter", "MAR"):
        _, report = usp.transfer(path, to=family, classes=4, num_heads=3)
        assert "ln_pre.weight" in str(report)
    weights, _ = usp.transfer(path, to="ViT", classes=4, num_heads=3)
    model = usp.ViT.load(weights, num_heads=3)
    assert model.config.pre_norm and model.config.activation == "gelu_quick"
    assert error(model.tokens(case["in.images"], norm=False), case["out.tokens"]) < 1e-5


def test_a_file_without_its_projectors_keeps_the_direction_of_time():
    plain = usp.SiT.load(FILE, 3, ignore="projectors")
    assert plain.config.projections == () and plain.config.noise_at == 1
    whole = usp.SiT.load(FILE, 3, encoder_depth=2)
    z = np.random.default_rng(1).normal(size=(2, 4, 8, 8)).astype(np.float32)
    given = dict(method="euler", steps=4)
    assert np.array_equal(
        usp.Transport().sample_ode(plain, z, [1, 2], **given),
        usp.Transport().sample_ode(whole, z, [1, 2], **given))


def test_the_variance_of_a_last_layer_is_left_or_added_exactly():
    file = golden.params("models/sit_affine")
    whole = usp.SiT.load(file, num_heads=3)
    assert whole.config.learn_sigma
    weights, report = usp.transfer(file, to="SiT", learn_sigma=False, num_heads=3)
    small = usp.SiT.load(weights, num_heads=3)
    channels, side = whole.config.channels, whole.input_shape(1)[2:]
    x = np.random.default_rng(1).normal(size=(2, channels, *side)).astype(np.float32)
    assert small.out_channels == channels
    assert golden.difference(small(x, [0.2, 0.7], [1, 0]), whole(x, [0.2, 0.7], [1, 0])) < 1e-6
    action = {entry.name: entry.action for entry in report.entries}["final_layer.linear.weight"]
    assert "rows of the variance dropped" in action
    back, _ = usp.transfer(weights, to="SiT", learn_sigma=True, num_heads=3)
    rows = back["final_layer.linear.weight"].reshape(-1, 2, channels, whole.config.width)
    assert np.array_equal(rows[:, 0].reshape(-1, whole.config.width), weights["final_layer.linear.weight"])
    assert not rows[:, 1].any()
