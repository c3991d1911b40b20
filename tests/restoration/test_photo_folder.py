"""A folder of photographs becomes a data set: faces found and packed once, a file's faces in one split."""

import numpy as np
import pytest
from PIL import Image
from skimage import data

from ofhkit.errors import OfhkitError
from ofhkit.registry import DATASETS
from ofhkit.restoration import photo_folder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("OFHKIT_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "mine"
    (root / "sub").mkdir(parents=True)
    face = data.astronaut()[:260, 80:380]
    for number in range(4):
        Image.fromarray(face[:, number * 5 :]).save(root / f"sub/{number}.jpg")
    Image.fromarray(np.full((200, 200, 3), 90, np.uint8)).save(root / "wall.png")
    return root


def test_faces_are_packed_once_and_split_by_file(folder, monkeypatch):
    with pytest.warns(UserWarning, match=r"1 pictures left out, the first wall.png: no face"):
        train = DATASETS.build(dict(type="PhotoFolder", root=str(folder)))
    parts = {"train": train} | {s: photo_folder.PhotoFolder(folder, s) for s in ("val", "test")}
    assert {s: len(d) for s, d in parts.items()} == {"train": 2, "val": 1, "test": 1}
    assert train[0]["hr"].shape == (3, 128, 128)
    assert train[0]["landmarks"].shape == (68, 2)
    assert train.metainfo["name"] == "mine"
    monkeypatch.setattr(photo_folder, "FaceFinder", None)  # nothing is searched again
    assert len(photo_folder.PhotoFolder(folder)) == 2


def test_too_few_faces_and_no_folder_are_one_sentence(folder):
    with pytest.raises(OfhkitError, match="is not a folder; name one with photographs"):
        photo_folder.PhotoFolder(folder / "nowhere")
    for path in (folder / "sub").glob("[12].jpg"):
        path.unlink()
    with pytest.raises(OfhkitError, match="2 of 3 pictures show a face; three are the least to split"):
        photo_folder.PhotoFolder(folder)
