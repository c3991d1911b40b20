import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from celeba_maker import MadeCelebA, sixty_eight

from ofhkit.data.celeba import prepare as module
from ofhkit.data.celeba.files import load_template
from ofhkit.data.celeba.prepare import disagreement, find_or_prepare, prepare
from ofhkit.data.packed import PackedFaces, hash_parts, is_pack, read_pack_info
from ofhkit.errors import OfhkitError
from ofhkit.functional.alignment import DEFAULT_TEMPLATE
from ofhkit.runtime.files import asset

LAYOUTS = ("flat", "flat_zip", "official", "kaggle", "kaggle_zip")


def make(root: Path, out: Path, **settings) -> Path:
    return prepare(root, out, **{"name": "cartoons", "workers": 0, **settings})


def contents(pack: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(pack.iterdir()) if p.name != ".lock"}


@pytest.fixture(scope="module")
def faces() -> MadeCelebA:
    return MadeCelebA(20)


@pytest.fixture(scope="module")
def reference(faces: MadeCelebA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference")
    return make(faces.flat(folder / "raw"), folder / "pack")


@pytest.mark.parametrize("layout", LAYOUTS[1:])
def test_every_layout_gives_the_same_pack(faces, reference, layout, tmp_path):
    pack = make(getattr(faces, layout)(tmp_path / "raw"), tmp_path / "pack", workers=2)
    assert contents(pack) == contents(reference)


def test_pack_describes_itself(faces, reference):
    info = read_pack_info(reference)
    assert info["num_faces"] == 20
    assert info["splits"] == {"train": 12, "val": 4, "test": 4}
    assert info["refused"] == {}
    with np.load(reference / "index.npz") as index:
        hashed = hash_parts(reference / "faces.npy", dict(index), reference / "parsing.npy")
    assert info["data_hash"] == hashed
    assert set(contents(reference)) == {"faces.npy", "index.npz", "pack.json", "refused.txt"}
    test = PackedFaces(reference, "test")
    assert test.names[test.rows].tolist() == faces.names[16:]
    assert test.metainfo["landmark_source"] == "landmarks_68.npz"


def test_crops_and_points_follow_the_recipe(faces, reference):
    """Oracle: the recipe written out with OpenCV and numpy's SVD."""
    pack = PackedFaces(reference, "train")
    for i in (0, 7):
        image = cv2.imdecode(np.frombuffer(faces.files[faces.names[i]], np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        source = faces.points[faces.names[i]].astype(float)
        target = np.array(DEFAULT_TEMPLATE)
        s, t = source - source.mean(0), target - target.mean(0)
        u, d, vt = np.linalg.svd(t.T @ s)
        sign = np.diag([1, np.sign(np.linalg.det(u @ vt))])
        linear = np.trace(np.diag(d) @ sign) / (s**2).sum() * (u @ sign @ vt)
        matrix = np.c_[linear, target.mean(0) - linear @ source.mean(0)]
        twice = 2 * matrix + [[0, 0, 0.5], [0, 0, 0.5]]
        large = cv2.warpAffine(
            np.ascontiguousarray(image), twice, (256, 256), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
        )
        expected = cv2.resize(large, (128, 128), interpolation=cv2.INTER_AREA)
        crop = pack[i]["hr"].numpy().transpose(1, 2, 0).astype(int)
        assert np.abs(crop - expected).max() <= 1
        np.testing.assert_allclose(pack.points5[i], source @ linear.T + matrix[:, 2], atol=1e-3)
        np.testing.assert_allclose(pack.points5[i], target, atol=4)
        eye = pack[i]["landmarks"][36:42].mean(0).numpy()
        np.testing.assert_allclose(eye, pack.points5[i, 0], atol=1e-3)


def test_bad_pictures_are_refused_and_named(tmp_path, capsys):
    made = MadeCelebA(15, points68=False)
    names = made.names
    made.points["gone.jpg"], made.split["gone.jpg"] = made.points[names[6]], 0
    made.files[names[0]] = made.files[names[0]][:-400]  # ends early
    made.files[names[1]] = b"not a picture"
    made.points[names[2]] = made.points[names[2]] - [150, 0]  # mostly beyond the left border
    made.points[names[3]] = np.full((5, 2), 7)
    del made.split[names[4]], made.points[names[14]]
    root = made.flat(tmp_path / "raw")
    points68 = np.array([sixty_eight(made.points[name]) for name in names[:13]], np.float32)
    points68[5] += 12
    np.savez(root / "landmarks_68.npz", names=np.array(names[:13]), points=points68)
    capsys.readouterr()
    pack = make(root, tmp_path / "pack", workers=1)
    said = capsys.readouterr().err.splitlines()
    refused = dict(line.split("\t") for line in (pack / "refused.txt").read_text().splitlines())
    assert refused == {
        names[0]: "unreadable picture",
        names[1]: "unreadable picture",
        names[2]: "too much outside the picture",
        names[3]: "no landmarks",
        names[4]: "not in the partition list",
        names[5]: "68 and 5 points disagree",
        names[13]: "no landmarks",  # of 68
        names[14]: "no landmarks",  # not listed
    }
    assert PackedFaces(pack).names.tolist() == names[6:13]
    assert "1 listed pictures are not there, the first gone.jpg: left out" in said
    assert "refused 8: " in said[-1]
    assert "2 unreadable picture" in said[-1]


def test_without_68_points_the_network_makes_them(tmp_path, monkeypatch):
    """Cartoons are no faces to the network, so its opinion is replaced; what goes in and out is checked."""
    made = MadeCelebA(10, points68=False)
    seen = []

    def reader(template: np.ndarray):
        def locate(faces: np.ndarray) -> np.ndarray:
            seen.append(faces.shape)
            points = np.stack([sixty_eight(np.array(DEFAULT_TEMPLATE))] * len(faces)).astype(np.float32)
            points[2] += 20
            return points

        return locate

    monkeypatch.setattr(module, "landmark_reader", reader)
    pack = make(made.flat(tmp_path / "raw"), tmp_path / "pack")
    assert seen == [(10, 3, 128, 128)]
    info = read_pack_info(pack)
    assert info["landmark_source"] == "FaceAPI68 on the crops"
    assert info["refused"] == {"68 and 5 points disagree": 1}
    assert made.names[2] in (pack / "refused.txt").read_text()


def test_the_real_network_is_what_reads_crops():
    faces = np.zeros((2, 3, 128, 128), np.uint8)
    assert module.landmark_reader(np.array(DEFAULT_TEMPLATE))(faces).shape == (2, 68, 2)


def test_disagreement_is_in_eye_distances():
    points = np.array([DEFAULT_TEMPLATE])
    landmarks = np.zeros((1, 68, 2))
    landmarks[0, 36:42], landmarks[0, 42:48] = points[0, 0], points[0, 1]
    landmarks[0, [30, 48, 54]] = points[0, 2:]
    assert disagreement(points, landmarks)[0] == 0
    assert disagreement(points + 49 * np.array([0.6, 0.8]), landmarks)[0] == pytest.approx(1)


CHILD = """
import os, signal, sys
from ofhkit.data.celeba import prepare as celeba
from ofhkit.data.pack_writer import PackWriter
celeba.CHUNK = 4
append, calls = PackWriter.append, []
def dying(self, *args, **kwargs):
    append(self, *args, **kwargs)
    calls.append(1)
    if len(calls) == 3:
        with open(self.root / "faces.part", "ab") as file:
            file.write(b"half a face")
        os.kill(os.getpid(), signal.SIGKILL)
PackWriter.append = dying
celeba.prepare(sys.argv[1], sys.argv[2], name="cartoons", workers=2)
"""


@pytest.mark.slow
def test_killed_and_continued_gives_the_same_bytes(faces, reference, tmp_path, monkeypatch, capsys):
    root, out = faces.flat_zip(tmp_path / "raw"), tmp_path / "pack"
    before = children()
    run = subprocess.run([sys.executable, "-c", CHILD, root, out], capture_output=True, text=True, timeout=60)
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert not is_pack(out)
    with pytest.raises(OfhkitError, match=r"no pack\.json"):
        PackedFaces(out)
    monkeypatch.setattr(module, "CHUNK", 4)
    capsys.readouterr()
    make(root, out)
    said = capsys.readouterr().err.splitlines()
    assert "going on after 12 faces" in said
    assert contents(out) == contents(reference)
    for _ in range(50):
        if children() <= before:
            break
        time.sleep(0.1)
    assert children() <= before, "workers outlived the killed process"


def children() -> set[str]:
    """Processes whose command line is the killed child's."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/cmdline") if Path("/proc").exists() else ():
        try:
            if "dying(self" in entry.read_text():
                found.add(entry.parent.name)
        except OSError:
            continue
    return found


def test_unfinished_work_with_other_settings_starts_anew(faces, reference, tmp_path, monkeypatch, capsys):
    root, out = faces.flat_zip(tmp_path / "raw"), tmp_path / "pack"
    monkeypatch.setattr(module, "_finish", lambda writer, split: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        make(root, out, max_outside=0.1)
    monkeypatch.undo()
    capsys.readouterr()
    make(root, out)
    said = capsys.readouterr().err.splitlines()
    assert not any("going on" in line for line in said)
    assert contents(out) == contents(reference)


def test_a_finished_pack_is_left_alone(faces, reference, tmp_path, capsys):
    root, out = faces.flat(tmp_path / "raw"), tmp_path / "pack"
    make(root, out)
    before = (out / "faces.npy").stat().st_mtime_ns
    capsys.readouterr()
    make(root, out)
    said = capsys.readouterr().err.splitlines()
    assert said == [f"{out} is prepared already: 20 faces"]
    with pytest.raises(OfhkitError, match="pack of other settings; delete it"):
        make(root, out, split="paper")
    assert (out / "faces.npy").stat().st_mtime_ns == before


def test_paper_split_is_random_seeded_and_in_proportion(tmp_path):
    made = MadeCelebA(30)
    root = made.flat(tmp_path / "raw")
    one = make(root, tmp_path / "a", split="paper", seed=1)
    assert read_pack_info(one)["splits"] == {"train": 28, "val": 0, "test": 2}
    assert contents(make(root, tmp_path / "b", split="paper", seed=1)) == contents(one)
    other = make(root, tmp_path / "c", split="paper", seed=2)
    tests = [set(PackedFaces(p, "test").names[:2]) for p in (one, other)]
    assert tests[0] != tests[1]
    with pytest.raises(OfhkitError, match="has no val faces"):
        PackedFaces(one, "val")


def test_paper_split_stops_at_its_size_and_replaces_refused_faces(tmp_path, monkeypatch):
    made = MadeCelebA(20)
    made.files[made.names[3]] = b""
    monkeypatch.setattr(module, "PAPER_TRAIN", 10)
    monkeypatch.setattr(module, "PAPER_TEST", 2)
    monkeypatch.setattr(module, "CHUNK", 4)
    info = read_pack_info(make(made.flat(tmp_path / "raw"), tmp_path / "pack", split="paper"))
    assert info["splits"] == {"train": 10, "val": 0, "test": 2}


def test_nothing_left_of_a_split_says_why(tmp_path):
    made = MadeCelebA(5)
    made.files[made.names[4]] = b""
    with pytest.raises(OfhkitError, match=r"no test face is left of 5 .*unreadable picture"):
        make(made.flat(tmp_path / "raw"), tmp_path / "pack")
    assert not is_pack(tmp_path / "pack")


def test_a_small_disk_is_refused_before_anything_is_read(faces, tmp_path, monkeypatch):
    monkeypatch.setattr("ofhkit.runtime.files.shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    with pytest.raises(OfhkitError, match=r"the pack of 20 faces needs 0\.00 GB"):
        make(faces.flat(tmp_path / "raw"), tmp_path / "pack")


def test_find_or_prepare(faces, reference, tmp_path, monkeypatch):
    assert find_or_prepare(reference) == reference
    root = faces.flat_zip(tmp_path / "celeba")
    pack = find_or_prepare(root)
    assert pack == tmp_path / "celeba_pack"
    assert find_or_prepare(root) == pack
    assert PackedFaces(pack).metainfo["name"] == "celeba"
    with pytest.raises(OfhkitError, match=r"no data in .*nowhere: make that folder and put img_align_celeba\.zip"):
        find_or_prepare(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(OfhkitError, match=r"no CelebA pictures in .*empty; put img_align"):
        find_or_prepare(tmp_path / "empty")


def test_find_or_prepare_uses_the_cache_beside_read_only_data(faces, tmp_path, monkeypatch):
    root = faces.flat_zip(tmp_path / "celeba")
    monkeypatch.setenv("OFHKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "is_writable", lambda folder: False)
    pack = find_or_prepare(root)
    assert pack.parent == tmp_path / "cache" / "packs"
    assert pack.name.startswith("celeba-")
    assert not (tmp_path / "celeba_pack").exists()


def test_templates(faces, tmp_path):
    native = load_template("celeba_native")
    assert np.array_equal(native, load_template(asset("template_celeba_native.json")))
    default = np.array(DEFAULT_TEMPLATE)
    assert native[1, 0] - native[0, 0] == 39
    np.testing.assert_allclose((native - native[0]) * 49 / 39, default - default[0], atol=0.1)
    pack = make(faces.flat(tmp_path / "raw"), tmp_path / "pack", template=asset("template_celeba_native.json"))
    assert PackedFaces(pack).metainfo["template"] == native.tolist()
    np.testing.assert_allclose(PackedFaces(pack).points5, np.broadcast_to(native, (20, 5, 2)), atol=4)


@pytest.mark.parametrize(
    ("settings", "message"), [({"split": "papre"}, "did you mean 'paper'"), ({"limit": 0}, "limit")]
)
def test_wrong_settings(faces, tmp_path, settings, message):
    with pytest.raises(OfhkitError, match=message):
        make(tmp_path, tmp_path / "pack", **settings)
