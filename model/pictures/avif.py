"""How much decoding an AVIF file would take, read from its boxes before anything is decoded.

An AVIF's header says how large the picture is (the box `ispe`), and so does each coded frame in it. The decoder
allocates for the frames and then scales to the header's size, so a header that lies makes a few bytes cost gigabytes.
Neither Pillow nor libavif refuses it below 268 million pixels: of 1,522 bytes that say 64 x 64 and hold a grey frame of
9000 x 9000, Pillow 13.0 makes a picture, with 117 MB.

Sources: ISO/IEC 14496-12 (boxes), 23008-12 (items, grids), and the AV1 bitstream specification, sections 5.3 to 5.5.
"""

from collections.abc import Iterator
from dataclasses import dataclass

MOST_PIECES = 10_000
"""Boxes, extents and units that are looked at; a picture has a few dozen."""

_SEQUENCE_HEADER = 1  # AV1, section 6.2.2


@dataclass(frozen=True)
class CodedSize:
    """Width and height of a coded frame or of a grid of them, in pixels."""

    width: int
    height: int


def coded_sizes(data: bytes) -> list[CodedSize]:
    """Return the size of every coded frame and grid among a file's items.

    Raises:
        ValueError: the file does not have the structure of an AVIF still picture.
    """
    try:
        return list(_Reader(data).sizes())
    except IndexError as error:
        raise ValueError("a box ends too early") from error


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._pieces = 0

    def sizes(self) -> Iterator[CodedSize]:
        (meta,) = self._places(0, len(self._data), b"meta")
        start, end = meta[0] + 4, meta[1]
        (names,), (locations,) = self._places(start, end, b"iinf"), self._places(start, end, b"iloc")
        types = self._item_types(*names)
        idat = self._places(start, end, b"idat")
        for item, data in self._item_data(*locations, idat[0] if idat else (0, 0)):
            if types.get(item) == b"av01":
                yield from self._frame_sizes(data)
            elif types.get(item) == b"grid":
                wide = 4 if data[1] & 1 else 2  # the flag says whether the fields have 32 bits
                yield CodedSize(_number(data, 4, wide), _number(data, 4 + wide, wide))

    def _boxes(self, start: int, end: int) -> Iterator[tuple[bytes, tuple[int, int]]]:
        """Yield type and content of each box in a stretch of the file."""
        while start < end:
            self._count()
            size, head = _number(self._data, start, 4), 8
            if size == 1:
                size, head = _number(self._data, start + 8, 8), 16
            stop = end if size == 0 else start + size
            if (size and size < head) or stop > end:
                raise ValueError("a box is longer than what it is in")
            yield self._data[start + 4 : start + 8], (start + head, stop)
            start = stop

    def _places(self, start: int, end: int, wanted: bytes) -> list[tuple[int, int]]:
        """Return the content of the boxes of a type; where one is wanted, two could tell us and the decoder apart."""
        return [place for kind, place in self._boxes(start, end) if kind == wanted]

    def _item_types(self, start: int, end: int) -> dict[int, bytes]:
        """Read `iinf`: what kind of data each item is."""
        wide = self._data[start] != 0
        types = {}
        for kind, (entry, _) in self._boxes(start + (8 if wide else 6), end):
            version = self._data[entry]
            if kind == b"infe" and version >= 2:
                width = 2 if version == 2 else 4
                place = entry + 4 + width + 2
                types[_number(self._data, entry + 4, width)] = self._data[place : place + 4]
        return types

    def _item_data(self, start: int, end: int, idat: tuple[int, int]) -> Iterator[tuple[int, bytes]]:
        """Read `iloc`: put the data of each item together from where it lies."""
        fields = _Fields(self._data, start, end)
        version = fields.take(4) >> 24
        sizes = fields.take(2)
        offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
        index_size = sizes & 15 if version else 0
        for _ in range(fields.take(4 if version == 2 else 2)):
            item = fields.take(4 if version == 2 else 2)
            method = fields.take(2) & 15 if version else 0
            fields.take(2)
            base = fields.take(base_size)
            if method > 1:
                raise ValueError("an item is made of others")
            data = bytearray()
            for _ in range(fields.take(2)):
                self._count()
                fields.take(index_size)
                first = base + fields.take(offset_size) + (idat[0] if method else 0)
                length = fields.take(length_size)
                limit = idat[1] if method else len(self._data)
                data += self._data[first : min(first + length, limit) if length else limit]
                if len(data) > len(self._data):
                    raise ValueError("an item is longer than the file")
            yield item, bytes(data)

    def _frame_sizes(self, data: bytes) -> Iterator[CodedSize]:
        """Read the sequence headers among the units of an AV1 item."""
        place = 0
        while place < len(data):
            self._count()
            header = data[place]
            place += 2 if header & 4 else 1
            size = len(data) - place
            if header & 2:
                size, place = _leb128(data, place)
            if header >> 3 & 15 == _SEQUENCE_HEADER:
                yield _sequence_size(_Bits(data[place : place + min(size, 512)]))
            place += size

    def _count(self) -> None:
        self._pieces += 1
        if self._pieces > MOST_PIECES:
            raise ValueError(f"there are more than {MOST_PIECES} pieces")


class _Fields:
    """Numbers one after the other."""

    def __init__(self, data: bytes, start: int, end: int) -> None:
        self._data, self._place, self._end = data, start, end

    def take(self, size: int) -> int:
        value = _number(self._data, self._place, size)
        self._place += size
        if self._place > self._end:
            raise IndexError
        return value


class _Bits:
    """The bits of a text of bytes, the highest first."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise IndexError
        return self._value >> self._left & ((1 << count) - 1)

    def skip_uvlc(self) -> None:
        """Pass over a number of variable length: as many bits after its first 1 as there were zeros before it."""
        zeros = 0
        while not self.take(1):
            zeros += 1
        self.take(zeros)


def _sequence_size(bits: _Bits) -> CodedSize:
    """Read a sequence header as far as the largest frame's size (section 5.5.1)."""
    bits.take(4)  # profile, still picture
    if bits.take(1):  # a reduced header
        bits.take(5)
    else:
        _skip_operating_points(bits)
    width_bits, height_bits = bits.take(4) + 1, bits.take(4) + 1
    return CodedSize(bits.take(width_bits) + 1, bits.take(height_bits) + 1)


def _skip_operating_points(bits: _Bits) -> None:
    delay_bits = 0
    if bits.take(1):  # timing
        bits.take(64)
        if bits.take(1):
            bits.skip_uvlc()
        if bits.take(1):  # decoder model
            delay_bits = bits.take(5) + 1
            bits.take(42)
    display_delay = bits.take(1)
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:
            bits.take(1)
        if delay_bits and bits.take(1):
            bits.take(2 * delay_bits + 1)
        if display_delay and bits.take(1):
            bits.take(4)


def _leb128(data: bytes, place: int) -> tuple[int, int]:
    """Read a number of up to eight bytes of seven bits; return it and where it ends (section 4.10.5)."""
    value = 0
    for index in range(8):
        byte = data[place + index]
        value |= (byte & 0x7F) << 7 * index
        if not byte & 0x80:
            return value, place + index + 1
    raise ValueError("a number has more than eight bytes")


def _number(data: bytes, start: int, size: int) -> int:
    if start + size > len(data):
        raise IndexError
    return int.from_bytes(data[start : start + size], "big")
