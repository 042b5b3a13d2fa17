"""VA-VAE's latents: statistics of the autoencoder, folders of shards, refusals without either."""

import warnings

import numpy as np
import pytest

import usp

SIZES = dict(base_width=32, multipliers=(1, 1, 1, 1, 1), blocks_per_level=1,
             mid_attention=False)


@pytest.fixture
def plain(tmp_path):
    """Weights of a 32-channel f16 autoencoder, without a word about its latents."""
    model = usp.VAE.create(**SIZES, latent_channels=32, seed=1)
    return {name: np.array(value) for name, value in model.parameters.items()}


def statistics(seed=0):
    random = np.random.default_rng(seed)
    return {"mean": random.normal(size=(1, 32, 1, 1)).astype(np.float32),
            "std": random.uniform(1, 4, size=(1, 32, 1, 1)).astype(np.float32)}


def load(weights, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return usp.VAE.load(weights, **settings)


def test_statistics_belong_to_the_autoencoder(plain, tmp_path):
    given = statistics()
    torch_file = tmp_path / "latents_stats.pt"
    usp.Checkpoint(given).save(torch_file)
    images = np.random.default_rng(1).uniform(-1, 1, (2, 3, 32, 32)).astype(np.float32)
    for source in (given, usp.Checkpoint(given), torch_file):
        vae = load(plain, statistics=source, multiplier=0.5)
        np.testing.assert_allclose(vae.shift, given["mean"].reshape(-1))
        np.testing.assert_allclose(vae.scale, 0.5 / given["std"].reshape(-1), rtol=1e-6)
        z = vae.encode(images, scaled=False).mean
        wanted = (z - given["mean"]) / given["std"] * 0.5
        np.testing.assert_allclose(vae.encode(images).mean, wanted, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(
            vae.decode(wanted), vae.decode(z, scaled=False), rtol=1e-3, atol=1e-4)
    vae.save(tmp_path / "vae.safetensors")
    again = load(tmp_path / "vae.safetensors")
    np.testing.assert_array_equal(again.scale, vae.scale)
    other = load(tmp_path / "vae.safetensors", statistics=statistics(3))
    np.testing.assert_allclose(other.shift, statistics(3)["mean"].reshape(-1))


def test_what_is_not_told_warns_and_is_not_trained_on(plain, tmp_path):
    with pytest.warns(UserWarning, match="mean and deviation of its 32 latent channels"):
        vae = usp.VAE.load(plain)
    vae.save(tmp_path / "vae.safetensors")
    with pytest.warns(UserWarning, match="mean and deviation"):
        vae = usp.VAE.load(tmp_path / "vae.safetensors")
    image = np.zeros((16, 16, 3), np.uint8)
    (tmp_path / "images").mkdir()
    write_png(tmp_path / "images" / "a.ppm", image)
    data = usp.Data(tmp_path / "images", vae=vae, size=16, batch=1)
    with pytest.raises(usp.ArgumentError, match="does not tell mean and deviation of its 32"):
        data.batch(0)
    with pytest.raises(usp.ArgumentError, match="training on latents as they are fails"):
        usp.Data(tmp_path / "images", vae=vae, size=16, batch=1,
                 cache=str(tmp_path / "c.safetensors"))
    told = load(plain, statistics=statistics())
    assert usp.Data(tmp_path / "images", vae=told, size=16, batch=1).batch(0)[0].shape == (
        1, 32, 1, 1)


def write_png(path, image):
    height, width, _ = image.shape
    path.write_bytes(b"P6\n%d %d\n255\n" % (width, height) + image.tobytes())


def shards(folder):
    random = np.random.default_rng(2)
    folder.mkdir()
    latents = random.normal(2, 3, (10, 32, 4, 4)).astype(np.float32)
    labels = np.arange(10) % 3
    for index, rows in enumerate((slice(0, 6), slice(6, 10))):
        usp.Checkpoint({
            "latents": latents[rows], "latents_flip": -latents[rows], "labels": labels[rows],
        }).save(folder / f"latents_rank00_shard{index:03d}.safetensors")
    return latents, labels


def test_folders_of_shards_are_data(plain, tmp_path):
    folder = tmp_path / "shards"
    latents, labels = shards(folder)
    mean = latents.mean(axis=(0, 2, 3), keepdims=True)
    std = latents.std(axis=(0, 2, 3), ddof=1, keepdims=True)
    data = usp.Data(folder, batch=5)
    assert len(data) == 10 and data.shape == (32, 4, 4) and len(data.classes) == 3
    # measured, unbiased, and written beside them
    written = usp.Checkpoint.open(folder / "latents_stats.pt")
    assert written["mean"].shape == (1, 32, 1, 1)
    np.testing.assert_allclose(written["mean"], mean, rtol=1e-5)
    np.testing.assert_allclose(written["std"], std, rtol=1e-5)
    still, numbers = data[0:10]
    np.testing.assert_array_equal(numbers, labels)
    np.testing.assert_allclose(still, (latents - mean) / std, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(data.latent_statistics()["std"], std.reshape(-1), rtol=1e-5)
    # both orientations, about equally often
    seen = np.concatenate([data.batch(step)[0] for step in range(40)])
    both = [np.abs(seen[:, None] - (sign * latents - mean) / std).max((2, 3, 4)).min(1) < 1e-4
            for sign in (1, -1)]
    assert (both[0] ^ both[1]).all() and 60 < both[1].sum() < 140
    # the file beside them goes before the autoencoder
    other = usp.Data(folder, vae=load(plain, statistics=statistics()), batch=5)
    np.testing.assert_array_equal(other[0:10][0], still)
    (folder / "latents_stats.pt").unlink()
    own = usp.Data(folder, vae=load(plain, statistics=statistics()), batch=5)
    given = statistics()
    np.testing.assert_allclose(
        own[0:10][0], (latents - given["mean"]) / given["std"], rtol=1e-4, atol=1e-5)
    assert not (folder / "latents_stats.pt").exists()


def test_statistics_that_are_none(plain):
    with pytest.raises(usp.ShapeError, match="mean: .16.* has 32 latent channels"):
        usp.VAE.load(plain, statistics={"mean": np.zeros(16), "std": np.ones(16)})
    with pytest.raises(usp.ArgumentError, match="std: expected finite numbers above 0"):
        usp.VAE.load(plain, statistics={"mean": np.zeros(32), "std": np.zeros(32)})
    with pytest.raises(usp.ArgumentError, match="scale and shift follow from them"):
        usp.VAE.load(plain, statistics=statistics(), scale=1.0)
    with pytest.raises(usp.ArgumentError, match="multiplier: has no part without statistics"):
        usp.VAE.load(plain, multiplier=0.5)
    with pytest.raises(usp.MissingWeightError, match="no array 'std'"):
        usp.VAE.load(plain, statistics={"mean": np.zeros(32)})
