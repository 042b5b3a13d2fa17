"""Pixels in and out: files, grids, PIL's pictures, what models take."""

import numpy as np
import pytest

import usp


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (5, 6, 4, 3), np.uint8)


def test_pixels_go_there_and_back(pixels):
    images = usp.images.from_uint8(pixels)
    assert images.shape == (5, 3, 6, 4) and images.dtype == np.float32
    assert images.min() >= -1 and images.max() <= 1
    again = usp.images.to_uint8(images)
    # DiT's rule truncates 127.5 x + 128: a byte comes back as itself or one more
    assert isinstance(again, usp.Images) and set(np.unique(again - pixels)) <= {0, 1}
    assert usp.images.to_uint8(np.float32([[[-9.0, 9.0, 0.0]]])).tolist() == [[[[0], [255], [128]]]]
    with pytest.raises(usp.ArgumentError, match="not a number"):
        usp.images.to_uint8(np.full((1, 1, 1, 1), np.nan, np.float32))
    with pytest.raises(usp.DTypeError, match="uint8"):
        usp.images.to_uint8(pixels)
    with pytest.raises(usp.DTypeError, match="int64, expected uint8"):
        usp.images.from_uint8(np.zeros((2, 2, 3), np.int64))


def test_files_and_grids(pixels, tmp_path):
    usp.images.save(tmp_path / "one.png", pixels[0])
    assert np.array_equal(usp.images.open(tmp_path / "one.png"), pixels[0])
    usp.images.save(tmp_path / "grey.png", pixels[0, ..., 0])
    assert np.array_equal(usp.images.open(tmp_path / "grey.png")[..., 0], pixels[0, ..., 0])
    usp.images.save(tmp_path / "all.png", pixels, columns=2)
    grid = usp.images.grid(pixels, columns=2)
    assert np.array_equal(usp.images.open(tmp_path / "all.png"), grid) and grid.shape == (18, 8, 3)
    assert np.array_equal(grid[12:, :4], pixels[4]) and (grid[12:, 4:] == 255).all()
    assert usp.images.grid(pixels, gap=1).shape == (13, 14, 3)
    kept = pixels.view(usp.Images)
    kept.save(tmp_path / "all.npz")
    assert np.array_equal(np.load(tmp_path / "all.npz")["arr_0"], pixels)
    with pytest.raises(usp.ArgumentError, match="written as .png"):
        usp.images.save(tmp_path / "x.jpg", pixels[0])
    (tmp_path / "no.png").write_text("nothing")
    with pytest.raises(usp.FormatError, match="no.png: not an image"):
        usp.images.open(tmp_path / "no.png")


def test_pictures_of_pil(pixels, tmp_path):
    image = pytest.importorskip("PIL.Image")
    picture = image.fromarray(pixels[0])
    assert np.array_equal(usp.images.from_uint8([picture, pixels[1]]), usp.images.from_uint8(pixels[:2]))
    usp.images.save(tmp_path / "p.png", picture)
    assert np.array_equal(np.asarray(image.open(tmp_path / "p.png")), pixels[0])
    with pytest.raises(usp.ArgumentError, match="mode P; pass image.convert"):
        usp.images.from_uint8(picture.convert("P"))


def test_data_shows_itself(pixels, tmp_path):
    for index, image in enumerate(pixels):
        usp.images.save(tmp_path / f"{index}.png", image)
    data = usp.Data(tmp_path, size=4, augmentation="middle")
    shown = data.preview(3)
    assert isinstance(shown, usp.Images) and shown.shape == (3, 4, 4, 3)


def test_what_a_notebook_shows(pixels, tmp_path):
    """Pictures, one or several, grey too; of other arrays that came of them nothing, and no error."""
    images = pixels.view(usp.Images)
    for shown in (images, images[0], images[0, ..., 0], images[:, ::-1, ::2]):
        (tmp_path / "x.png").write_bytes(shown._repr_png_())
        pixel = usp.images.open(tmp_path / "x.png")
        assert np.array_equal(pixel[0, 0], np.asarray(shown).reshape(-1)[:pixel.shape[-1]])
    for other in (images[:0], images[0, :0], images.mean(axis=0), images == images, images[0, 0, 0],
                  np.concatenate([images, images], -1).view(usp.Images)):
        assert other._repr_png_() is None
