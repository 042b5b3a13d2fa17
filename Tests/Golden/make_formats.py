"""Small images of the formats beside PNG and JPEG, and unusual ones of these, with their pixels as
Pillow gives them, converted to RGB, beside them as .npy."""

import io
import struct

import numpy as np
from PIL import Image

from common import HERE
from make_images import chunk, picture

FOLDER = HERE / "formats"
EXIF = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x04\0\0\0\x01\0\0\0\x06\0\0\0\0"


def keep(name, content=None):
    """Writes the file, unless it is there already, and what Pillow sees in it."""
    if content is not None:
        (FOLDER / name).write_bytes(content)
    np.save(FOLDER / f"{name}.npy", np.asarray(Image.open(FOLDER / name).convert("RGB")))


def save(name, image, **options):
    image.save(FOLDER / name, **options)
    keep(name)


def make_webp():
    colours, clear = (Image.fromarray(picture(23, 31, n)) for n in (3, 4))
    save("lossy.webp", colours, quality=80)
    save("lossless.webp", colours, lossless=True)
    save("lossy_alpha.webp", clear, quality=80)
    save("lossless_alpha.webp", clear, lossless=True, exact=True)
    save("turned.webp", colours, quality=80, exif=b"Exif\0\0" + EXIF)
    for name, image, options in (("lossy", clear, {"quality": 70}),
                                 ("lossless", colours, {"lossless": True})):
        others = [image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
        save(f"animated_{name}.webp", image, save_all=True, append_images=others, **options)


def bmp(width, height, bits, pixels, compression=0, palette=b"", masks=b"", size=40):
    if size == 12:
        head = struct.pack("<IHHHH", size, width, height, 1, bits)
    else:
        head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(pixels),
                           0, 0, 0, 0)
    start = 14 + len(head) + len(masks) + len(palette)
    return (b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + head + masks
            + palette + pixels)


def make_bmp():
    colours = Image.fromarray(picture(13, 11, 3))
    save("rgb.bmp", colours)
    save("palette.bmp", colours.quantize(200))
    save("grey.bmp", colours.convert("L"))
    save("bilevel.bmp", colours.convert("1"))
    save("rgba.bmp", Image.fromarray(picture(13, 11, 4)))
    table = b"".join(bytes((17 * i, 255 - 9 * i, 3 * i, 0)) for i in range(16))
    four = bytes(range(0, 240, 16)) + bytes(9)
    keep("four.bmp", bmp(7, 6, 4, four, palette=table))
    keep("top_down.bmp", bmp(5, -2, 24, bytes(range(32))))
    keep("os2.bmp", bmp(5, 2, 24, bytes(range(32)), size=12))
    words = np.arange(0, 65536, 2731, dtype="<u2").tobytes()
    keep("rgb555.bmp", bmp(6, 4, 16, words))
    keep("rgb565.bmp", bmp(6, 4, 16, words, 3, masks=struct.pack("<III", 0xF800, 0x7E0, 0x1F)))
    keep("masks.bmp", bmp(2, 3, 32, bytes(range(24)), 3,
                          masks=struct.pack("<III", 0xFF0000, 0xFF00, 0xFF)))
    eight = b"".join(bytes((i, 255 - i, i // 2, 0)) for i in range(256))
    runs = bytes([5, 7, 0, 0, 0, 3, 1, 2, 3, 0, 2, 9, 0, 0, 4, 200, 0, 0, 5, 11, 0, 1])
    keep("runs_8.bmp", bmp(5, 4, 8, runs, 1, palette=eight))
    small = bytes([5, 0x7A, 0, 0, 0, 4, 0x12, 0x34, 1, 0x90, 0, 0, 5, 0xC3, 0, 0, 5, 0x11, 0, 1])
    keep("runs_4.bmp", bmp(5, 4, 4, small, 2, palette=table))


def tiff(tags, data, order="<"):
    """A file of one page whose only strip or tiles are `data`, a list of byte strings."""
    offsets, at = [], 8
    for part in data:
        offsets.append(at)
        at += len(part) + len(part) % 2
    tiled = 322 in tags
    tags = tags | {324 if tiled else 273: ("I", offsets),
                   325 if tiled else 279: ("I", [len(part) for part in data])}
    body = b"".join(part + b"\0" * (len(part) % 2) for part in data)
    entries, extra, start = b"", b"", 8 + len(body) + 2 + 12 * len(tags) + 4
    for tag, (kind, values) in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(values)}{kind}", *values)
        field = packed.ljust(4, b"\0") if len(packed) <= 4 else struct.pack(
            order + "I", start + len(extra))
        extra += packed if len(packed) > 4 else b""
        entries += struct.pack(order + "HHI", tag, {"H": 3, "I": 4}[kind], len(values)) + field
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return (mark + struct.pack(order + "I", 8 + len(body)) + body
            + struct.pack(order + "H", len(tags)) + entries + bytes(4) + extra)


def tags(width, height, bits, photometric, **more):
    numbers = {"planes": 284, "rows": 278, "tile_width": 322, "tile_height": 323, "extra": 338,
               "orientation": 274}
    result = {256: ("H", [width]), 257: ("H", [height]), 258: ("H", bits), 259: ("H", [1]),
              262: ("H", [photometric]), 277: ("H", [len(bits)])}
    return result | {numbers[name]: ("H", [value]) for name, value in more.items()}


def make_tiff():
    colours = Image.fromarray(picture(21, 19, 3))
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        save(f"rgb_{compression}.tif", colours, compression=compression)
    for name, mode, options in (
            ("grey", "L", {}), ("bilevel", "1", {}), ("fax", "1", {"compression": "group4"}),
            ("palette", "P", {}), ("cmyk", "CMYK", {}), ("cmyk_lzw", "CMYK",
                                                         {"compression": "tiff_lzw"})):
        save(f"{name}.tif", colours.convert(mode), **options)
    save("rgba.tif", Image.fromarray(picture(21, 19, 4)))
    save("grey_alpha.tif", Image.fromarray(picture(21, 19, 2)), compression="tiff_lzw")
    pixels = picture(20, 24, 3)
    raw = pixels.tobytes()
    keep("turned.tif", tiff(tags(24, 20, [8] * 3, 2, rows=20, orientation=6), [raw]))
    keep("big.tif", tiff(tags(24, 20, [8] * 3, 2, rows=20), [raw], ">"))
    keep("planes.tif", tiff(tags(24, 20, [8] * 3, 2, rows=20, planes=2),
                            [pixels[..., c].tobytes() for c in range(3)]))
    tiles = [np.pad(pixels, ((0, 12), (0, 8), (0, 0)))[y:y + 16, x:x + 16].tobytes()
             for y in (0, 16) for x in (0, 16)]
    keep("tiles.tif", tiff(tags(24, 20, [8] * 3, 2, tile_width=16, tile_height=16), tiles))
    keep("white_is_zero.tif", tiff(tags(24, 20, [8], 0, rows=20), [pixels[..., 0].tobytes()]))
    keep("four_bits.tif", tiff(tags(24, 20, [4], 1, rows=20), [raw[:240]]))
    premultiplied = np.concatenate([pixels // 2, np.full((20, 24, 1), 128, np.uint8)], -1)
    keep("multiplied.tif", tiff(tags(24, 20, [8] * 4, 2, rows=20, extra=1),
                                [premultiplied.tobytes()]))
    for name, order in (("words", "<"), ("words_big", ">")):
        words = (pixels.astype(np.uint16) * 257 - 5 * (pixels > 9)).astype(order + "u2")
        keep(f"{name}.tif", tiff(tags(24, 20, [16] * 3, 2, rows=20), [words.tobytes()], order))


def make_gif():
    colours = Image.fromarray(picture(17, 15, 3)).quantize(60)
    save("palette.gif", colours, interlace=0)
    save("interlaced.gif", colours, interlace=1)
    save("grey.gif", Image.fromarray(picture(17, 15, 1)[..., 0]))
    save("transparent.gif", colours, transparency=3)
    save("animated.gif", colours, save_all=True, append_images=[colours.rotate(180)])
    for name, marks in (("smaller", b""), ("smaller_clear", b"!\xf9\4\1\0\0\5\0")):
        whole = io.BytesIO()
        colours.save(whole, "GIF", interlace=0)
        content = bytearray(whole.getvalue())
        at = content.index(b"\x2c\0\0\0\0")
        content[6:10] = struct.pack("<HH", 20, 22)
        content[at + 1:at + 5] = struct.pack("<HH", 3, 2)
        keep(f"{name}.gif", bytes(content[:at]) + marks + bytes(content[at:]))


def make_pnm():
    colours = picture(5, 9, 3)
    grey = colours[..., 0]
    keep("binary.ppm", b"P6\n# a comment\n9 5\n255\n" + colours.tobytes())
    keep("binary.pgm", b"P5 9 5 255\n" + grey.tobytes())
    keep("binary.pbm", b"P4\n9 5\n" + np.packbits(grey > 128, axis=1).tobytes())
    text = " ".join(map(str, colours.ravel()))
    keep("text.ppm", f"P3\n9 5\n255\n{text}\n".encode())
    keep("text.pgm", b"P2\n9 5 # sizes\n100\n" + " ".join(map(str, grey.ravel() % 101)).encode())
    keep("text.pbm", b"P1\n9 5\n" + b"".join(b"1" if v > 128 else b"0" for v in grey.ravel()))
    keep("hundred.ppm", b"P6 9 5 100\n" + (colours % 101).tobytes())
    keep("words.ppm", b"P6 9 5 65535\n" + (colours.astype(">u2") * 257).tobytes())


def make_unusual():
    """PNG files that end early or have a short palette, and JPEG files with CMYK."""
    whole = (HERE / "images" / "rgb.png").read_bytes()
    keep("no_end.png", whole[:-12])
    keep("bad_end.png", whole[:-1] + b"\0")
    keep("cut_in_pixels.png", whole[:-22])
    text = chunk(b"tEXt", b"a\0b")
    keep("bad_text_behind.png", whole[:-12] + text[:-1] + b"\0" + whole[-12:])
    small = (HERE / "images" / "palette.png").read_bytes()
    at = small.index(b"PLTE") - 4
    length = struct.unpack(">I", small[at:at + 4])[0]
    keep("short_palette.png",
         small[:at] + chunk(b"PLTE", small[at + 8:at + 14]) + small[at + 12 + length:])
    photo = (HERE / "images" / "jpeg_cmyk.jpg").read_bytes()
    mark = photo.index(b"\xff\xee\0\x0eAdobe")
    keep("no_adobe.jpg", photo[:mark] + photo[mark + 16:])
    keep("ycck.jpg", photo[:mark + 15] + b"\2" + photo[mark + 16:])


def make():
    FOLDER.mkdir(exist_ok=True)
    for part in (make_webp, make_bmp, make_tiff, make_gif, make_pnm, make_unusual):
        part()


if __name__ == "__main__":
    make()
