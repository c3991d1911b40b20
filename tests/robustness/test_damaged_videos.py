"""Videos of which some bytes are others: how often a damaged one is taken for a whole one, codec by codec.

python -m pytest -m long tests/robustness/test_damaged_videos.py    # 100 of each
"""

import random
from pathlib import Path

import cv2
import numpy as np
import pytest

from ofhkit.errors import OfhkitError
from ofhkit.restoration import read_pictures

CODECS = {"FFV1": "a.avi", "mp4v": "a.mp4", "MJPG": "b.avi", "VP80": "a.webm", "VP90": "b.webm"}
UNNOTICED = {"FFV1": 0, "mp4v": 0.25, "MJPG": 0.7, "VP80": 1, "VP90": 1}  # share: VP8 and VP9 have no checksums


def film(path: Path, code: str) -> bytes:
    picture = cv2.resize(np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8), (320, 320))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), 10, (160, 160))
    for n in range(30):
        writer.write(np.ascontiguousarray(picture[3 * n : 3 * n + 160, 2 * n : 2 * n + 160]))
    writer.release()
    return path.read_bytes()


def damaged(content: bytes, seed: int) -> bytes:
    """1, 20 or 300 bytes behind the header are others."""
    draw, data = random.Random(seed), bytearray(content)
    at = draw.randrange(len(data) // 5, 9 * len(data) // 10)
    count = draw.choice((1, 20, 300))
    data[at : at + count] = draw.randbytes(count)
    return bytes(data)


@pytest.mark.parametrize("code", CODECS)
@pytest.mark.parametrize("count", [5, pytest.param(100, marks=[pytest.mark.long, pytest.mark.slow])])
def test_damage_is_a_failure_where_the_decoder_notices_it(tmp_path, code, count, counts):
    path = tmp_path / CODECS[code]
    content = film(path, code)
    whole = [picture.rgb for picture in read_pictures(path)]
    counts = counts(f"damaged videos, {code}")
    for seed in range(counts["cases"], count):
        path.write_bytes(damaged(content, seed))
        try:
            found = [picture.rgb for picture in read_pictures(path)]
        except OfhkitError:
            counts.add(cases=1, failed=1)
            continue
        same = len(found) == len(whole) and all(np.array_equal(a, b) for a, b in zip(found, whole))
        counts.add(cases=1, harmless=same, damage_that_its_decoder_does_not_notice=not same)
    assert counts.get("damage that its decoder does not notice", 0) <= UNNOTICED[code] * count
    counts.done()
