"""Pictures as large as they are taken, some 100 megapixels: reading one and restoring it stay within what is promised.

python -m pytest -m long tests/robustness/test_large_pictures.py
"""

import pytest
from large_pictures import FORMATS, MEMORY, taken, write

MOST = MEMORY / 2**20  # MB
CASES = [(name, "read") for name in FORMATS]
CASES += [
    ("rgb.png", "box"),
    ("rgb.png", "mask"),
    ("rgb.png", "auto"),
    ("deep_rgb.png", "box"),
    ("deep_grey.png", "box"),
]


@pytest.mark.long
@pytest.mark.slow
def test_a_large_picture_takes_no_more_than_it_may(tmp_path, counts):
    counts, found = counts("pictures as large as they are taken"), {}
    for name, how in CASES[counts["cases"] :]:
        path = tmp_path / name
        memory, said = taken(path if path.exists() else write(name, tmp_path), how, tmp_path)
        path.unlink()
        found[name, how] = memory
        print(name, how, memory, said, flush=True)
        assert said.split()[0] in ("read", "restored", "untouched"), said
        assert memory < MOST, (name, how, memory)
        counts.add(cases=1, restored=how != "read", read=how == "read", most_MB_above_the_start=memory)
    counts.done()
