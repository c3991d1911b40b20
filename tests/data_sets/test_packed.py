import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from ofhkit.data.pack_writer import PackWriter
from ofhkit.data.packed import PackedFaces, hash_parts
from ofhkit.errors import OfhkitError
from ofhkit.functional.alignment import DEFAULT_TEMPLATE

HEADER = {"name": "noise", "template": DEFAULT_TEMPLATE, "landmark_source": "made up", "settings": {"seed": 1}}
rng = np.random.default_rng(0)
FACES = rng.integers(0, 256, (10, 3, 128, 128)).astype(np.uint8)
PARSING = rng.integers(0, 9, (10, 128, 128)).astype(np.uint8)
POINTS5, POINTS68 = rng.normal(64, 9, (10, 5, 2)).astype("f4"), rng.normal(64, 9, (10, 68, 2)).astype("f4")
SPLIT = np.array([0, 0, 1, 2, 0, 0, 2, 0, 1, 0])
NAMES = [f"{i}.png" for i in range(10)]


def pack_hash(root):
    with np.load(root / "index.npz") as index:
        return hash_parts(root / "faces.npy", dict(index), root / "parsing.npy")


def add(writer: PackWriter, start: int, stop: int, **more) -> None:
    part = slice(start, stop)
    parsing = PARSING[part] if "parsing" in writer.shapes else None
    writer.append(NAMES[part], FACES[part], POINTS5[part], POINTS68[part], SPLIT[part], parsing=parsing, **more)


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    writer = PackWriter(tmp_path / "pack", **HEADER, parsing=True)
    add(writer, 0, 7)
    add(writer, 7, 10, refused=[("z.png", "ugly")])
    writer.finish()
    return tmp_path / "pack"


def test_items_and_batches_hold_what_was_written(pack):
    train = PackedFaces(pack, "train")
    rows = np.flatnonzero(SPLIT == 0)
    assert len(train) == 6
    for i, row in enumerate(rows):
        item = train[i]
        assert item["index"] == row
        assert np.array_equal(item["hr"], FACES[row])
        assert np.array_equal(item["landmarks"], POINTS68[row])
        assert np.array_equal(item["parsing"], PARSING[row])
    order = [3, 0, 3, 5]
    batch = train.__getitems__(order)
    expected = torch.utils.data.default_collate([train[i] for i in order])
    assert batch.keys() == expected.keys()
    for key, value in batch.items():
        assert value.dtype == expected[key].dtype
        assert torch.equal(value, expected[key])
    batch["hr"].zero_()  # a batch is a copy
    assert np.array_equal(train[3]["hr"], FACES[rows[3]])


def test_limit_and_metainfo(pack):
    assert PackedFaces(pack, "train", limit=2).rows.tolist() == [0, 1]
    assert len(PackedFaces(pack, "test", limit=99)) == 2
    info = PackedFaces(pack).metainfo
    assert info == {
        "name": "noise",
        "template": [list(p) for p in DEFAULT_TEMPLATE],
        "data_hash": pack_hash(pack),
        "landmark_source": "made up",
    }


def test_through_a_loader_with_workers(pack):
    loader = torch.utils.data.DataLoader(
        PackedFaces(pack), batch_size=4, num_workers=1, collate_fn=lambda batch: batch, multiprocessing_context="fork"
    )
    seen = torch.cat([batch["index"] for batch in loader])
    assert seen.tolist() == np.flatnonzero(SPLIT == 0).tolist()


def test_pickles_without_its_pictures(pack):
    data = pickle.dumps(PackedFaces(pack))
    assert len(data) < FACES.nbytes / 10
    assert np.array_equal(pickle.loads(data)[0]["hr"], FACES[0])


def test_hash_sees_every_byte(pack):
    before = pack_hash(pack)
    for name in ("faces.npy", "parsing.npy"):
        array = np.load(pack / name, mmap_mode="r+")
        array[9, ..., 127, 127] ^= 1
        array.flush()
        assert pack_hash(pack) != before
        array[9, ..., 127, 127] ^= 1
        array.flush()
    assert pack_hash(pack) == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split": "tset"}, "did you mean 'test'"),
        ({"limit": 0}, "limit must be 1"),
        ({"root": "nowhere"}, "no prepared pack"),
    ],
)
def test_wrong_use_is_one_sentence(pack, settings, message):
    with pytest.raises(OfhkitError, match=message):
        PackedFaces(**{"root": pack, **settings})


def test_damaged_packs_are_refused(pack):
    faces = (pack / "faces.npy").read_bytes()
    (pack / "faces.npy").write_bytes(faces[:-5])
    with pytest.raises(OfhkitError, match=r"faces\.npy"):
        PackedFaces(pack)
    np.save(pack / "faces.npy", FACES[:4])
    with pytest.raises(OfhkitError, match=r"faces\.npy is uint8 \(4, 3, 128, 128\)"):
        PackedFaces(pack)
    (pack / "faces.npy").write_bytes(faces)
    (pack / "index.npz").write_bytes(b"nothing")
    with pytest.raises(OfhkitError, match=r"index\.npz cannot be read"):
        PackedFaces(pack)
    (pack / "pack.json").write_text('{"format": "ofhkit-pack", "version": 2}')
    with pytest.raises(OfhkitError, match="version 1"):
        PackedFaces(pack)


def test_writer_continues_after_any_cut(tmp_path, pack):
    """Whatever is lost behind the last journal line, the finished pack has the same bytes."""
    out = tmp_path / "again"
    writer = PackWriter(out, **HEADER, parsing=True)
    add(writer, 0, 7)
    add(writer, 7, 9)
    writer.close()
    journal = out / "journal.part"
    journal.write_bytes(journal.read_bytes()[:-3])  # the second append is not vouched for
    writer = PackWriter(out, **HEADER, parsing=True)
    assert (writer.consumed, writer.num_faces) == (7, 7)
    add(writer, 7, 10, refused=[("z.png", "ugly")])
    assert writer.consumed == 11
    (out / "points.part").read_bytes()
    writer.finish()
    assert {p.name: p.read_bytes() for p in out.iterdir()} == {p.name: p.read_bytes() for p in pack.iterdir()}


def test_writer_survives_a_death_between_rename_and_pack_json(tmp_path, pack, monkeypatch):
    out = tmp_path / "again"
    writer = PackWriter(out, **HEADER, parsing=True)
    add(writer, 0, 10, refused=[("z.png", "ugly")])

    def dies(path, content):
        if path.name == "pack.json":
            raise KeyboardInterrupt
        return real(path, content)

    from ofhkit.data import pack_writer

    real = pack_writer.atomic_write
    monkeypatch.setattr(pack_writer, "atomic_write", dies)
    with pytest.raises(KeyboardInterrupt):
        writer.finish()
    monkeypatch.undo()
    assert (out / "faces.npy").exists()
    writer = PackWriter(out, **HEADER, parsing=True)
    assert writer.consumed == 11
    writer.finish()
    assert {p.name: p.read_bytes() for p in out.iterdir()} == {p.name: p.read_bytes() for p in pack.iterdir()}


def test_writer_refuses_what_does_not_fit(tmp_path, pack):
    with pytest.raises(OfhkitError, match="holds a finished pack"):
        PackWriter(pack, **HEADER)
    writer = PackWriter(tmp_path / "new", **HEADER)
    with pytest.raises(ValueError, match="faces: expected"):
        writer.append(["a"], FACES[:1, :, :64], POINTS5[:1], POINTS68[:1], [0])
    writer.close()


@pytest.mark.parametrize("damage", ["nothing", "text", "cut", "flipped", "other count", "a folder"])
def test_a_damaged_index_is_one_sentence(pack, damage):
    file = pack / "index.npz"
    whole = file.read_bytes()
    with np.load(file) as index:
        arrays = dict(index)
    file.unlink()
    if damage == "a folder":
        file.mkdir()
    elif damage == "other count":
        np.savez(file, **{**arrays, "landmarks": arrays["landmarks"][1:]})
    else:
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes(255 - byte for byte in whole[middle : middle + 60]) + whole[middle + 60 :]
        file.write_bytes({"nothing": b"", "text": b"no index", "cut": whole[:middle], "flipped": flipped}[damage])
    with pytest.raises(OfhkitError, match=r"index\.npz cannot be read .*prepare the pack again"):
        PackedFaces(pack)


@pytest.mark.parametrize(
    "content",
    [b"", b"no faces", b"\x93NUMPY\x01\x00\xff\xff{'descr': (", b"\x93NUMPY\x09\x00", b"\x93NUMPY\x01\x00\x03\x00{(\n"],
)
def test_damaged_faces_are_one_sentence(pack, content):
    (pack / "faces.npy").write_bytes(content)
    with pytest.raises(OfhkitError, match=r"faces\.npy cannot be read .*prepare the pack again"):
        PackedFaces(pack)


@pytest.mark.parametrize("key", ["name", "template", "data_hash", "num_faces", "image_size"])
def test_a_pack_says_all_it_must(pack, key):
    info = json.loads((pack / "pack.json").read_text())
    (pack / "pack.json").write_text(json.dumps({**info, key: None}))
    with pytest.raises(OfhkitError, match=rf"pack\.json does not say {key}"):
        PackedFaces(pack)
