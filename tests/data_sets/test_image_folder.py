import cv2
import numpy as np
import pytest
import torch

from ofhkit.data.image_folder import ImageFolder
from ofhkit.errors import OfhkitError


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name, side in (("b.png", 128), ("a.png", 384), ("c.png", 64)):
        cv2.imwrite(str(tmp_path / name), rng.integers(0, 256, (side, side, 3)).astype(np.uint8))
    (tmp_path / "notes.txt").write_text("not a picture")
    return tmp_path


def test_pictures_in_order_and_resized_honestly(folder):
    faces = ImageFolder(folder)
    assert faces.names == ["a.png", "b.png", "c.png"]
    items = [faces[i] for i in range(3)]
    assert [item["index"] for item in items] == [0, 1, 2]
    batch = torch.utils.data.default_collate(items)
    assert batch["hr"].shape == (3, 3, 128, 128)
    assert batch["hr"].dtype == torch.uint8
    exact = cv2.imread(str(folder / "b.png"))[..., ::-1].transpose(2, 0, 1)
    assert np.array_equal(items[1]["hr"], exact)
    large = cv2.imread(str(folder / "a.png"))[..., ::-1].transpose(2, 0, 1)
    means = large.reshape(3, 128, 3, 128, 3).mean((2, 4))
    assert np.abs(items[0]["hr"].numpy() - means).max() <= 0.51
    assert faces.refused == []
    assert len(ImageFolder(folder, limit=2)) == 2


def test_what_cannot_be_used_is_named(folder):
    (folder / "b.png").write_bytes((folder / "b.png").read_bytes()[:2000])
    cv2.imwrite(str(folder / "d.jpg"), np.zeros((50, 80, 3), np.uint8))
    with pytest.warns(UserWarning, match=r"2 pictures left out, the first b\.png \(unreadable picture\)"):
        faces = ImageFolder(folder)
    assert faces.refused == [("b.png", "unreadable picture"), ("d.jpg", "not square but 80x50")]
    assert faces.names == ["a.png", "c.png"]
    assert faces[1]["index"] == 1


def test_landmarks_on_request(folder):
    faces = ImageFolder(folder, landmarks=True)
    assert faces[2]["landmarks"].shape == (68, 2)
    assert faces[2]["landmarks"].dtype == torch.float32
    assert faces.metainfo["landmark_source"] == "FaceAPI68 on the crops"
    assert ImageFolder(folder).metainfo["data_hash"] == faces.metainfo["data_hash"]


def test_wrong_folders(tmp_path):
    with pytest.raises(OfhkitError, match="is not a folder"):
        ImageFolder(tmp_path / "none")
    with pytest.raises(OfhkitError, match="no readable square picture"):
        ImageFolder(tmp_path)
