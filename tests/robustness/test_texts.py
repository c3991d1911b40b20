"""The doors of lists, packs and configurations: whatever they say is taken or refused in one sentence, in bounds.

python -m pytest -m long tests/robustness/test_texts.py    # 1,000 of each, and 10 minutes a door
"""

import copy
import json
import os
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from bounded import limited
from celeba_maker import MadeCelebA
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from pipeline_maker import ROOT, write_pack

from ofhkit.config import from_json, load_config, to_json
from ofhkit.config.check import check
from ofhkit.data.celeba.files import find_celeba
from ofhkit.data.packed import PackedFaces
from ofhkit.errors import OfhkitError
from ofhkit.training.curriculum import Options, check_run

QUICK, ROUND, LONG = 40, 200, 1000
MINUTES = float(os.environ.get("OFHKIT_DOOR_MINUTES", "10"))
CONFIGS = [load_config(path).to_dict() for path in sorted((ROOT / "configs").glob("*_celeba.py"))]
LISTS = ("list_landmarks_align_celeba.txt", "list_eval_partition.txt", "landmarks_68.npz")
PACK = ("pack.json", "index.npz", "faces.npy")

numbers = st.integers(-(10**30), 10**30) | st.floats() | st.sampled_from([0, -1, 10**9, 2**63, 10**4000])
words = st.text(max_size=20) | st.sampled_from(["", "FSRCNN", "os.system", "../x", "\x1b[2J", "\ud800", "9" * 5000])
plain = st.none() | st.booleans() | numbers | words
values = st.recursive(plain, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(words, inner, max_size=3))


@pytest.fixture(params=["quick", pytest.param("long", marks=[pytest.mark.long, pytest.mark.slow])])
def attack(request, counts):
    """Puts what a strategy makes through a door: some examples, or by the marker for a time, in rounds with seeds."""

    def run(name, strategy, door) -> None:
        count = counts(name)
        long = request.param == "long"
        while not count["cases"] or (long and (count["cases"] < LONG or count["minutes"] < MINUTES)):

            @seed(count["cases"])
            @SETTINGS(max_examples=ROUND if long else QUICK)
            @given(strategy)
            def one_round(value):
                refused = refused_in_one_sentence(lambda: door(value))
                count.update(cases=count["cases"] + 1, refused=count.get("refused", 0) + refused)

            one_round()
            count.add(cases=0)
        count.done()

    return run


SETTINGS = partial(settings, deadline=None, database=None, suppress_health_check=list(HealthCheck))


def refused_in_one_sentence(door) -> bool:
    """Call it: it returns, or raises OfhkitError with one line."""
    said = ""
    with limited():
        try:
            door()
        except OfhkitError as error:
            said = str(error)
    assert "\n" not in said
    return bool(said)


@st.composite
def mutated_trees(draw, tree):
    """A configuration with one to three of its values replaced, removed or added."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, 3))):
        node = tree
        while True:
            key = draw(st.sampled_from(sorted(node, key=str)) | st.just("added")) if node else "added"
            inner = node.get(key)
            if not isinstance(inner, dict) or not draw(st.integers(0, 4)):
                break
            node = inner
        if draw(st.booleans()) or key == "added":
            node[key] = draw(values)
        else:
            node.pop(key)
    return tree


def test_configurations(attack):
    def door(tree):
        check(tree)
        config = type(load_config(ROOT / "configs/ofhnet_celeba.py"))(copy.deepcopy(tree))
        check_run(config, Options(device="cpu"))
        to_json(config)

    attack("configurations", st.sampled_from(CONFIGS).flatmap(mutated_trees), door)


def test_stored_configurations(tmp_path, attack):
    good = to_json(load_config(ROOT / "configs/ofhnet_celeba.py")).encode()

    def door(content):
        (tmp_path / "config.json").write_bytes(content)
        from_json(tmp_path / "config.json")

    attack("stored configurations", mutated_bytes(good), door)


@st.composite
def mutated_bytes(draw, good: bytes):
    """A file with bytes replaced, a piece cut out, doubled or put in, or its end cut off."""
    content = bytearray(good)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        stop = min(len(content), start + draw(st.integers(0, 40)))
        piece = draw(
            st.sampled_from([b"", bytes(content[start:stop]) * 2, b"\xff\xfe\x00", b"-1", b"nan", b"9" * 5000])
        )
        content[start:stop] = piece if draw(st.booleans()) else draw(st.binary(max_size=30))
    return bytes(content[: draw(st.sampled_from([None, None, len(content) // 2]))])


def mutated_folders(root: Path, names: tuple[str, ...]):
    """A file's name and what it shall hold, of a folder of good ones; only its start is changed."""
    good = {name: (root / name).read_bytes() for name in names}
    return st.sampled_from(names).flatmap(
        lambda name: mutated_bytes(good[name][:4000]).map(lambda head: (name, head + good[name][4000:]))
    )


def with_other(root: Path, door):
    """The same door, for one file of a folder: it is as it was afterwards."""

    def changed(file):
        name, content = file
        good = (root / name).read_bytes()
        (root / name).write_bytes(content)
        try:
            door(root)
        finally:
            (root / name).write_bytes(good)

    return changed


def test_lists(tmp_path, attack):
    root = MadeCelebA(4).flat(tmp_path)
    attack("annotations and lists", mutated_folders(root, LISTS), with_other(root, find_celeba))


def test_packs(tmp_path, attack):
    root = write_pack(tmp_path / "pack")

    def door(root):
        faces = PackedFaces(root)
        assert faces[len(faces) - 1]["hr"].shape == (3, 128, 128)

    attack("packs", mutated_folders(root, PACK), with_other(root, door))


def test_what_no_text_file_is(tmp_path):
    root = MadeCelebA(4).flat(tmp_path)
    for content in (bytes(range(256)), "1\n".encode("utf-16"), b"\n" * 100_000, b"9" * 10_000, b"x " * 100_000):
        for name in LISTS[:2]:
            shutil.copy(root / name, tmp_path / "kept")
            (root / name).write_bytes(content)
            refused_in_one_sentence(lambda: find_celeba(root))
            shutil.move(tmp_path / "kept", root / name)
    assert len(find_celeba(root).names) == 4


def test_a_pack_whose_index_is_a_bomb_costs_no_memory(tmp_path):
    root = write_pack(tmp_path / "pack")
    index = dict(np.load(root / "index.npz"))
    np.savez_compressed(root / "index.npz", **{**index, "landmarks": np.zeros(2**28, np.float64)})  # 2 GB in 2 MB
    with limited(), pytest.raises(OfhkitError, match=r"index\.npz"):
        PackedFaces(root)


def test_json_that_is_too_deep(tmp_path):
    for text in ("[" * 100_000, '{"a":' * 50_000, json.dumps({"num_faces": 1})):
        Path(tmp_path / "pack.json").write_text(text)
        with pytest.raises(OfhkitError, match=r"pack\.json"):
            PackedFaces(tmp_path)
        if not text.endswith("}"):
            with pytest.raises(OfhkitError, match="no readable stored configuration"):
                from_json(tmp_path / "pack.json")
