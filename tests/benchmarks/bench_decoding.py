"""How long a photo takes to become the network's input: decoded in full, and as far as the input needs it.

    python -m tests.benchmarks.bench_decoding [--rounds 7]

The two take turns; times are medians, and the ratio is the median of each round's.
"""

import argparse
import io
from functools import partial
from statistics import median

from PIL import Image

from model.pictures.decoding import decode_letterboxed, decode_picture, letterbox
from tests.benchmarks.bench_walk import timed
from tests.proofs.clients import PICTURE

SIDES = ((768, 576), (2048, 1536), (4000, 3000))


def photo(width: int, height: int) -> bytes:
    """Return the example photo at another size."""
    file = io.BytesIO()
    with Image.open(PICTURE) as image:
        image.resize((width, height), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="turns each takes (default: 7)")
    rounds = parser.parse_args().rounds
    for width, height in SIDES:
        data = photo(width, height)
        full = partial(lambda data: letterbox(decode_picture(data), 416), data)
        scaled = partial(decode_letterboxed, data, 416)
        pairs = [(timed(full), timed(scaled)) for _ in range(rounds)]
        in_full, as_needed = (1e3 * median(column) for column in zip(*pairs, strict=True))
        ratio = median(one / other for one, other in pairs)
        print(f"{width} x {height}: in full {in_full:6.1f} ms, as needed {as_needed:6.1f} ms, {ratio:.1f} x")


if __name__ == "__main__":
    main()
