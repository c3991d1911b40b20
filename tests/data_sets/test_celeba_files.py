import zipfile

import numpy as np
import pytest
from celeba_maker import MadeCelebA

from ofhkit.data.celeba.files import COLUMNS, find_celeba, parse_landmarks, parse_partition
from ofhkit.errors import OfhkitError

ROW = "a.jpg 1 2 3 4 5 6 7 8 9 10"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "list.txt, line 1"),
        ("202599\n5_o_Clock_Shadow Arched_Eyebrows\n000001.jpg -1 1", "list.txt, line 2: this is no list of CelebA's"),
        (f"1\n{COLUMNS}\na.jpg 1 2 3", "list.txt, line 3: expected a picture's name and 10 numbers"),
        (f"1\n{COLUMNS}\n{ROW.replace('10', 'x')}", "list.txt, line 3"),
        (f"1\n{COLUMNS}\n{ROW.replace('10', 'nan')}", "list.txt, line 3"),
        (f"2\n{COLUMNS}\n{ROW}\n{ROW}", "list.txt, line 4: a.jpg is listed twice"),
        (f"3\n{COLUMNS}\n{ROW}", "list.txt, line 1: says 3 pictures, but 1 follow"),
    ],
)
def test_wrong_landmark_lists_name_file_and_line(text, message):
    with pytest.raises(OfhkitError, match=message):
        parse_landmarks(text, "list.txt")


@pytest.mark.parametrize("text", ["a.jpg 0\nb.jpg 3", "a.jpg 0\nb.jpg", "a.jpg 0\nb.jpg x"])
def test_wrong_partition_lists_name_file_and_line(text):
    with pytest.raises(OfhkitError, match=r"list\.txt, line 2"):
        parse_partition(text, "list.txt")


def test_missing_and_foreign_files(tmp_path):
    with pytest.raises(OfhkitError, match="does not exist; make it and put"):
        find_celeba(tmp_path / "none")
    root = MadeCelebA(3).flat(tmp_path / "raw")
    lists = root / "list_landmarks_align_celeba.txt"
    text = lists.read_text()
    lists.write_text(text.replace(".jpg", ".png"))
    with pytest.raises(OfhkitError, match="names no picture of"):
        find_celeba(root)
    lists.write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(OfhkitError, match="is not a text file"):
        find_celeba(root)
    lists.unlink()
    with pytest.raises(OfhkitError, match=r"no list_landmarks_align_celeba\.txt or \.csv"):
        find_celeba(root)
    lists.write_text(text)
    np.savez(root / "landmarks_68.npz", names=np.array(["a"]), points=np.zeros((1, 5, 2)))
    with pytest.raises(OfhkitError, match=r"landmarks_68\.npz: 'names' is \(1,\)"):
        find_celeba(root)
    (root / "landmarks_68.npz").write_bytes(b"PK nonsense")
    with pytest.raises(OfhkitError, match=r"landmarks_68\.npz holds no arrays"):
        find_celeba(root)


def test_half_a_zip(tmp_path):
    root = MadeCelebA(5).flat_zip(tmp_path / "raw")
    path = root / "img_align_celeba.zip"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(OfhkitError, match=r"not a whole zip file .*download it again"):
        find_celeba(root)


def test_a_damaged_member_is_an_unreadable_picture(tmp_path):
    root = MadeCelebA(3).flat_zip(tmp_path / "raw")
    path = root / "img_align_celeba.zip"
    with zipfile.ZipFile(path) as file:
        info = file.getinfo("img_align_celeba/000002.jpg")
    data = bytearray(path.read_bytes())
    data[info.header_offset + 500] ^= 255
    path.write_bytes(data)
    celeba = find_celeba(root)
    assert celeba.names == ["000001.jpg", "000002.jpg", "000003.jpg"]
    with pytest.raises(OSError, match=r"000002|invalid|incorrect"):
        celeba.images.open("000002.jpg")
    assert celeba.images.open("000003.jpg").read(2) == b"\xff\xd8"


def test_pictures_and_lists_may_differ(tmp_path):
    made = MadeCelebA(6, points68=False)
    listed = dict(made.points)
    del made.points[made.names[1]], made.split[made.names[2]]
    root = made.flat(tmp_path / "raw")
    (root / "img_align_celeba" / made.names[0]).unlink()
    celeba = find_celeba(root)
    assert celeba.missing == [made.names[0]]
    assert celeba.names == [*made.names[2:], made.names[1]]
    assert np.isnan(celeba.points5[-1]).all()
    assert celeba.points5[0].tolist() == listed[made.names[2]].tolist()
    assert celeba.split.tolist() == [-1, *(made.split[name] for name in celeba.names[1:])]
    assert celeba.points68 is None


@pytest.mark.parametrize("content", [b"", b"no points", b"PK\x03\x04" + bytes(60), b"PK\x05\x06" + bytes(18)])
def test_damaged_points_are_one_sentence(tmp_path, content):
    root = MadeCelebA(4).flat(tmp_path)
    (root / "landmarks_68.npz").write_bytes(content)
    with pytest.raises(OfhkitError, match=r"landmarks_68\.npz holds no arrays 'names'"):
        find_celeba(root)
