import json
from pathlib import Path

import numpy as np
import pytest

from ofhkit.data.celeba.files import CelebA, choose, fingerprint, load_template
from ofhkit.data.pictures import FolderImages
from ofhkit.errors import OfhkitError


def celeba_of(split: list[int] | None) -> CelebA:
    count = 100 if split is None else len(split)
    values = None if split is None else np.array(split, np.int8)
    names = [f"{i}.jpg" for i in range(count)]
    return CelebA(FolderImages(Path("pictures")), names, np.zeros((count, 5, 2)), values, None, [])


def test_a_limit_keeps_every_split():
    celeba = celeba_of([0] * 80 + [1] * 10 + [2] * 10)
    rows = choose(celeba, "official", 20, 0)
    assert np.bincount(celeba.split[rows]).tolist() == [16, 2, 2]
    assert rows.tolist() == sorted(rows)
    assert len(choose(celeba, "official", 3, 0)) == 3
    assert set(celeba.split[choose(celeba, "official", 3, 0)]) == {0, 1, 2}
    assert len(choose(celeba, "official", None, 0)) == 100


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (None, r"no list_eval_partition.*--split paper"),
        ([0, 0, 1], r"no picture .* to the test split \(2\)"),
        ([2, 1], r"no picture .* to the train split \(0\)"),
    ],
)
def test_an_empty_split_is_one_clear_sentence(split, message):
    with pytest.raises(OfhkitError, match=message):
        choose(celeba_of(split), "official", None, 0)


def test_the_paper_s_order_is_a_seeded_permutation():
    celeba = celeba_of(None)
    one, again, other = (choose(celeba, "paper", None, seed).tolist() for seed in (1, 1, 2))
    assert one == again != other
    assert sorted(one) == list(range(100))
    assert choose(celeba, "paper", 10, 1).tolist() == one[:10]


def test_the_fingerprint_sees_order_points_and_splits():
    celeba = celeba_of([0, 1, 2])
    before = fingerprint(celeba, np.arange(3))
    assert fingerprint(celeba_of([0, 1, 2]), np.arange(3)) == before
    seen = {before, fingerprint(celeba, np.array([0, 2, 1])), fingerprint(celeba_of([0, 2, 1]), np.arange(3))}
    celeba.points5[1, 2, 0] += 1
    assert len(seen | {fingerprint(celeba, np.arange(3))}) == 4


def test_wrong_templates_are_one_sentence(tmp_path):
    for text in ("{}", "no json", json.dumps({"points": [[1, 2]] * 5}), json.dumps({"points": [1, 2]})):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(OfhkitError, match=r"the template .*bad\.json"):
            load_template(tmp_path / "bad.json")
