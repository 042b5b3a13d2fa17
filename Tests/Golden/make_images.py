"""Small images of every kind a reader meets, each with its pixels beside it as .npy."""

import struct
import zlib

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from common import HERE

FOLDER = HERE / "images"
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
         (0, 1, 1, 2))


def picture(height, width, channels):
    """Smooth colours with an edge, so that every filter gets used."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [np.sin(0.31 * x + c) * np.cos(0.23 * y - c) * 100 + 128 + 20 * (x > y)
              for c in range(channels)]
    return np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(
        ">I", zlib.crc32(name + content))


def write_png(name, samples, depth, colour, interlaced=False):
    """A PNG of unfiltered rows at any depth: what Pillow does not write."""
    def rows(part):
        channels = part.shape[2]
        for row in part:
            bits = np.unpackbits(row.astype(">u2").reshape(-1, 1).view(np.uint8), axis=1)
            yield b"\0" + np.packbits(bits[:, 16 - depth:].reshape(1, -1)).tobytes()
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    data = b"".join(b"".join(rows(samples[y::dy, x::dx])) for x, y, dx, dy in passes
                    if samples[y::dy, x::dx].size)
    height, width = samples.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    (FOLDER / f"{name}.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b""))


def expect(name, pixels):
    np.save(FOLDER / f"{name}.npy", np.ascontiguousarray(pixels))


def make_png():
    for name, channels in (("grey", 1), ("grey_alpha", 2), ("rgb", 3), ("rgba", 4)):
        pixels = picture(13, 11, channels)
        note = PngInfo()
        note.add_text("Comment", "steps=250")
        Image.fromarray(pixels.squeeze(-1) if channels == 1 else pixels).save(
            FOLDER / f"{name}.png", pnginfo=note)
        expect(name, pixels)
    image = Image.fromarray(picture(13, 11, 3)).quantize(17)
    image.save(FOLDER / "palette.png")
    expect("palette", np.asarray(image.convert("RGB")))
    wide = picture(9, 10, 3).astype(np.uint16) * 257 + 3
    write_png("rgb_16", wide, 16, 2)
    expect("rgb_16", (wide >> 8).astype(np.uint8))
    for depth in (1, 2, 4):
        levels = picture(9, 13, 1) >> (8 - depth)
        write_png(f"grey_{depth}", levels, depth, 0, interlaced=depth == 2)
        expect(f"grey_{depth}", (levels * (255 // (2 ** depth - 1))).astype(np.uint8))
    for height, width in ((1, 1), (3, 2), (17, 12)):
        pixels = picture(height, width, 3)
        write_png(f"interlaced_{width}x{height}", pixels, 8, 2, interlaced=True)
        expect(f"interlaced_{width}x{height}", pixels)


def make_jpeg():
    pixels = Image.fromarray(picture(29, 35, 3))
    for name, image, options in (
            ("jpeg_420", pixels, {"subsampling": 2}), ("jpeg_444", pixels, {"subsampling": 0}),
            ("jpeg_progressive", pixels, {"progressive": True}),
            ("jpeg_grey", pixels.convert("L"), {}), ("jpeg_cmyk", pixels.convert("CMYK"), {})):
        path = FOLDER / f"{name}.jpg"
        image.save(path, quality=90, **options)
        decoded = Image.open(path)
        decoded = decoded.convert("RGB") if decoded.mode == "CMYK" else decoded
        shown = np.asarray(decoded)
        expect(name, shown[..., None] if shown.ndim == 2 else shown)


def make():
    FOLDER.mkdir(exist_ok=True)
    make_png()
    make_jpeg()


if __name__ == "__main__":
    make()
