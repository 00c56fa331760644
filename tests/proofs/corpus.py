"""Pictures that are meant to break a decoder, made anew at every run, the same for the same seed.

Each begins as a sound picture of one of the accepted formats and is then damaged: single bits, fields of its header,
its order, its end. Beside these stand bombs, which declare or unpack to far more than they weigh, polyglots, which
are two things at once, and what is no picture at all.
"""

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms, features

from tests.app.pictures import RED, draw

MAX_PIXELS = 4_000_000
"""What the server is told to accept; the bombs lie on both sides of it."""

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Specimen:
    """A file that is sent.

    Attributes:
        name: of what, and how it was damaged.
        kind: the way of damaging, for the report.
        media_type: what it is said to be.
        data: the file.
    """

    name: str
    kind: str
    media_type: str
    data: bytes


def sound_pictures() -> dict[str, bytes]:
    """Return pictures as they should be, in every accepted format and many of its modes, by name."""
    image = draw({"red": RED}, (96, 72))
    noise = np.random.default_rng(0).integers(0, 256, (72, 96, 3), np.uint8)
    photo = Image.blend(image, Image.fromarray(noise), 0.3)
    alpha = image.copy()
    alpha.putalpha(128)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a description"
    frames = [draw({"blue": RED}, (96, 72)), draw({}, (96, 72))]
    wide = Image.fromarray((noise[..., 0].astype(np.uint16)) * 257)
    profile = _icc_profile()
    pictures = {
        "jpeg": _saved(photo, "JPEG"),
        "jpeg-progressive": _saved(photo, "JPEG", progressive=True, optimize=True),
        "jpeg-grey": _saved(photo.convert("L"), "JPEG"),
        "jpeg-cmyk": _saved(photo.convert("CMYK"), "JPEG"),
        "jpeg-exif": _saved(photo, "JPEG", exif=exif, icc_profile=profile),
        "jpeg-restarts": _saved(photo, "JPEG", restart_marker_rows=1),
        "png": _saved(image, "PNG"),
        "png-photo": _saved(photo, "PNG", icc_profile=profile, exif=exif),
        "png-palette": _saved(image.quantize(16), "PNG", transparency=0),
        "png-16-bit": _saved(wide, "PNG"),
        "png-alpha": _saved(alpha, "PNG"),
        "png-1-bit": _saved(image.convert("1"), "PNG"),
        "png-animated": _saved(image, "PNG", save_all=True, append_images=frames),
        "webp": _saved(photo, "WEBP"),
        "webp-lossless": _saved(alpha, "WEBP", lossless=True),
        "webp-animated": _saved(image, "WEBP", save_all=True, append_images=frames),
        "webp-exif": _saved(photo, "WEBP", exif=exif, icc_profile=profile),
        "gif": _saved(image, "GIF"),
        "gif-animated": _saved(image, "GIF", save_all=True, append_images=frames),
        "bmp": _saved(photo, "BMP"),
        "bmp-palette": _saved(image.quantize(16), "BMP"),
        "bmp-1-bit": _saved(image.convert("1"), "BMP"),
        "tiff": _saved(photo, "TIFF"),
        "tiff-lzw": _saved(image, "TIFF", compression="tiff_lzw"),
        "tiff-deflate": _saved(wide, "TIFF", compression="tiff_adobe_deflate"),
        "tiff-jpeg": _saved(photo, "TIFF", compression="jpeg"),
        "tiff-fax": _saved(image.convert("1"), "TIFF", compression="group4"),
        "tiff-pages": _saved(image, "TIFF", save_all=True, append_images=frames),
    }
    if features.check("avif"):
        pictures["avif"] = _saved(photo, "AVIF", speed=10)
    return pictures


def corpus(count: int, seed: int = 0) -> Iterator[Specimen]:
    """Make specimens.

    Args:
        count: how many; the specials come first, then damaged pictures, each format and way in turn.
        seed: of all that is random.
    """
    made = 0
    for specimen in special_pictures():
        if made == count:
            return
        yield specimen
        made += 1
    chance = random.Random(seed)
    sound = sound_pictures()
    while made < count:
        for kind, damage in DAMAGES.items():
            for name, data in sound.items():
                if made == count:
                    return
                yield Specimen(f"{name}, {kind} {made}", kind, _media_type(name), damage(data, chance, sound))
                made += 1


def special_pictures() -> Iterator[Specimen]:
    """Make bombs, polyglots and what is no picture."""
    sound = sound_pictures()
    side = int(MAX_PIXELS**0.5)
    big = Image.new("RGB", (side, side), "white")
    for name in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"):
        options = {"compression": "tiff_adobe_deflate"} if name == "TIFF" else {}
        media_type = f"image/{name.lower()}"
        if name != "BMP":  # whose pixels are stored one by one, so that it is no bomb
            yield Specimen(f"{name} of all the pixels allowed", "bomb", media_type, _saved(big, name, **options))
        larger = big.resize((side + 1, side + 1))
        yield Specimen(f"{name} of more pixels than allowed", "bomb", media_type, _saved(larger, name, **options))
    for width, height in ((0, 0), (1, 0), (2**31 - 1, 1), (1, 2**31 - 1), (2**31 - 1, 2**31 - 1), (100_000, 100_000)):
        data = _png((width, height), zlib.compress(bytes(100)))
        yield Specimen(f"PNG that says {width} x {height}", "bomb", "image/png", data)
    small = (40, 30)
    zeros = zlib.compress(bytes(50_000_000), 9)
    row = zlib.compress(bytes((1 + 3 * small[0]) * small[1]))
    yield Specimen("PNG with 50 MB in its 3,600 bytes of pixels", "bomb", "image/png", _png(small, zeros))
    for chunk in (b"zTXt", b"iCCP", b"iTXt"):
        text = b"a\0" + (b"\1\0\0\0" if chunk == b"iTXt" else b"\0") + zeros
        yield Specimen(f"PNG with 50 MB of {chunk.decode()}", "bomb", "image/png", _png(small, row, [(chunk, text)]))
    many = [(b"tEXt", b"a\0b")] * 20_000
    yield Specimen("PNG of 20,000 chunks", "bomb", "image/png", _png(small, row, many))
    jpeg = sound["jpeg"]
    frame = jpeg.index(b"\xff\xc0")
    huge = jpeg[: frame + 5] + struct.pack(">HH", 65500, 65500) + jpeg[frame + 9 :]
    yield Specimen("JPEG that says 65500 x 65500", "bomb", "image/jpeg", huge)
    scans = sound["jpeg-progressive"]
    first = scans.index(b"\xff\xda")
    yield Specimen("JPEG of 2,000 scans", "bomb", "image/jpeg", scans[:-2] + scans[first:-2] * 2000 + scans[-2:])
    gif = sound["gif"]
    yield Specimen("GIF with a screen of 65535 x 65535", "bomb", "image/gif", gif[:6] + b"\xff" * 4 + gif[10:])
    frames = [draw({"blue": RED}, (8, 8)), draw({}, (8, 8))] * 1000
    yield Specimen(
        "GIF of 2,000 frames", "bomb", "image/gif", _saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    )
    for offset in (8, 0, 2**32 - 1):
        tiff = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 0) + struct.pack("<I", offset)
        yield Specimen(f"TIFF whose directory goes on at {offset}", "bomb", "image/tiff", tiff)
    entries = b"".join(struct.pack("<HHII", tag, 4, 2**28, 0) for tag in (256, 257, 273, 279))
    yield Specimen(
        "TIFF with 2^28 strips", "bomb", "image/tiff", b"II*\0\x08\0\0\0" + struct.pack("<H", 4) + entries + bytes(4)
    )
    bmp = sound["bmp"]
    for width, height in ((-1, 1), (2**31 - 1, 2**31 - 1), (96, -(2**31))):
        data = bmp[:18] + struct.pack("<ii", width, height) + bmp[26:]
        yield Specimen(f"BMP that says {width} x {height}", "bomb", "image/bmp", data)
    for name, other in _NO_PICTURES.items():
        yield Specimen(name, "no picture", "image/png", other)
        for base in ("jpeg", "png", "gif", "webp", "tiff", "bmp"):
            yield Specimen(f"{base}, then {name}", "polyglot", _media_type(base), sound[base] + other)
            yield Specimen(f"{name}, then {base}", "polyglot", _media_type(base), other + sound[base])


def _flip_bits(data: bytes, chance: random.Random, _sound: dict[str, bytes]) -> bytes:
    damaged = bytearray(data)
    for _ in range(2 ** chance.randrange(8)):
        damaged[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def _damage_header(data: bytes, chance: random.Random, _sound: dict[str, bytes]) -> bytes:
    damaged = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        damaged[chance.randrange(min(64, len(data)))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
    return bytes(damaged)


def _truncate(data: bytes, chance: random.Random, _sound: dict[str, bytes]) -> bytes:
    return data[: chance.randrange(1, len(data))]


def _inflate_number(data: bytes, chance: random.Random, _sound: dict[str, bytes]) -> bytes:
    """Overwrite what may be a length, a count or an offset."""
    number = chance.choice((b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80\0\0\0", bytes(4)))
    place = chance.randrange(min(400, len(data) - 4))
    return data[:place] + number + data[place + 4 :]


def _delete(data: bytes, chance: random.Random, _sound: dict[str, bytes]) -> bytes:
    start = chance.randrange(len(data))
    return data[:start] + data[start + chance.randint(1, 200) :] or b"\0"


def _repeat(data: bytes, chance: random.Random, _sound: dict[str, bytes]) -> bytes:
    start = chance.randrange(len(data))
    piece = data[start : start + chance.randint(1, 200)]
    return data[:start] + piece * chance.randint(2, 50) + data[start:]


def _swap(data: bytes, chance: random.Random, _sound: dict[str, bytes]) -> bytes:
    first, second, third = sorted(chance.sample(range(len(data) + 1), 3))
    return data[:first] + data[second:third] + data[first:second] + data[third:]


def _insert(data: bytes, chance: random.Random, _sound: dict[str, bytes]) -> bytes:
    start = chance.randrange(len(data))
    return data[:start] + chance.randbytes(chance.randint(1, 300)) + data[start:]


def _splice(data: bytes, chance: random.Random, sound: dict[str, bytes]) -> bytes:
    """Begin as one picture and go on as another."""
    other = chance.choice(list(sound.values()))
    return data[: chance.randrange(1, len(data))] + other[chance.randrange(len(other)) :]


def _damage_within_checksums(data: bytes, chance: random.Random, sound: dict[str, bytes]) -> bytes:
    """Damage a PNG's chunk and make its checksum right again, so that the damage is not found by it."""
    if not data.startswith(PNG_SIGNATURE):
        return _flip_bits(data, chance, sound)
    chunks = list(_png_chunks(data))
    place = chance.randrange(len(chunks))
    name, content = chunks[place]
    chunks[place] = (name, _flip_bits(content, chance, sound) if content else chance.randbytes(8))
    return PNG_SIGNATURE + b"".join(_png_chunk(*chunk) for chunk in chunks)


DAMAGES: dict[str, Callable[[bytes, random.Random, dict[str, bytes]], bytes]] = {
    "flipped bits": _flip_bits,
    "damaged header": _damage_header,
    "cut short": _truncate,
    "inflated number": _inflate_number,
    "deleted piece": _delete,
    "repeated piece": _repeat,
    "swapped pieces": _swap,
    "inserted bytes": _insert,
    "spliced": _splice,
    "damage within checksums": _damage_within_checksums,
}

_NO_PICTURES = {
    "a byte": b"\0",
    "a text": b"Hello, world.\n" * 20,
    "a web page": b"<html><script>alert(1)</script></html>",
    "an SVG": b'<svg xmlns="http://www.w3.org/2000/svg" width="99999" height="99999"/>',
    "an EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(/etc/passwd) run\n",
    "a PDF": b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n",
    "a ZIP": b"PK\x05\x06" + bytes(18),
    "a script": b"#!/bin/sh\nexit 1\n",
    "a PSD": b"8BPS\0\1" + bytes(6) + b"\0\3\0\1\0\0\0\1\0\0\0\10\0\3" + bytes(14),
    "an icon": b"\0\0\1\0\1\0\x10\x10\0\0\1\0\x20\0\x68\4\0\0\x16\0\0\0" + bytes(100),
    "a program": b"\x7fELF\2\1\1" + bytes(57),
}


def _saved(image: Image.Image, picture_format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, picture_format, **options)
    return file.getvalue()


def _icc_profile() -> bytes:
    """Return a colour profile, without the time it was made at (bytes 24 to 36 of ICC.1's header)."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile[:24] + bytes(12) + profile[36:]


def _media_type(name: str) -> str:
    return f"image/{name.partition('-')[0]}"


def _png(size: tuple[int, int], pixels: bytes, extra: list[tuple[bytes, bytes]] | None = None) -> bytes:
    """Put a PNG of RGB pixels together, whatever they are, with further chunks before them."""
    header = struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), *(extra or []), (b"IDAT", pixels), (b"IEND", b"")]
    return PNG_SIGNATURE + b"".join(_png_chunk(*chunk) for chunk in chunks)


def _png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = len(PNG_SIGNATURE)
    while place < len(data):
        (length,) = struct.unpack_from(">I", data, place)
        yield data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        place += 12 + length
