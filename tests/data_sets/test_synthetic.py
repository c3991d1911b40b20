import multiprocessing
import os
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from ofhkit.errors import OfhkitError
from ofhkit.functional.alignment import DEFAULT_TEMPLATE
from ofhkit.functional.face_labels import PARSING_LABELS, five_points, flip_landmarks
from ofhkit.registry import DATASETS
from ofhkit.rendering import SyntheticFaces, dataset
from ofhkit.rendering.camera import LABEL, Camera, landmarks68, rotation
from ofhkit.rendering.head import load_head
from ofhkit.rendering.render import frame, render_face, render_scene
from ofhkit.rendering.scene import draw_scene, generator

BARE = dict(hat="none", glasses="none", hair="buzz", beard="none", hairline=0.1, blur=0.0, noise=0.0)


def scene_of(index, **changes):
    return replace(draw_scene(load_head(), generator(7, "train", index)), **changes)


def draw(scene):
    return render_scene(scene, generator(7, "val", 0))


@pytest.fixture(scope="module")
def bare_faces():
    scenes = [scene_of(i, **BARE) for i in range(6)]
    return scenes, [draw(scene) for scene in scenes]


def test_items_and_batches():
    data = DATASETS.build(dict(type="SyntheticFaces", num_faces=3, seed=1, cache=False))
    item = data[2]
    assert item["hr"].shape == (3, 128, 128)
    assert item["hr"].dtype == torch.uint8
    assert item["landmarks"].dtype == torch.float32
    assert item["index"] == 2
    batch = data.__getitems__([2, 0])
    assert batch["hr"].shape == (2, 3, 128, 128)
    assert torch.equal(batch["parsing"][0], item["parsing"])
    assert torch.equal(batch["landmarks"][0], item["landmarks"])
    with pytest.raises(IndexError):
        data[3]


def test_cache_holds_the_same_faces_and_serves_smaller_requests(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OFHKIT_CACHE", str(tmp_path))
    cached = SyntheticFaces(3, seed=5, split="val", num_workers=1)
    assert "3/3" in capsys.readouterr().err
    direct = SyntheticFaces(2, seed=5, split="val", cache=False)
    smaller = SyntheticFaces(2, seed=5, split="val")
    assert capsys.readouterr().err == ""  # nothing was rendered again
    for i in range(2):
        for key in ("hr", "landmarks", "parsing"):
            assert torch.equal(cached[i][key], direct[i][key])
            assert torch.equal(smaller[i][key], direct[i][key])
    assert len(smaller) == 2
    assert smaller.metainfo == direct.metainfo != cached.metainfo
    assert len(list(tmp_path.glob("*/pack.json"))) == 1


def test_any_number_of_workers_gives_the_same_bits():
    alone = dataset.render_many(2, "test", range(1, 6))
    parts = list(dataset.render_chunks(2, "test", 1, 6, num_workers=2, chunk=2))
    assert [len(part[0]) for part in parts] == [2, 2, 1]
    for k, whole in enumerate(alone):
        assert np.array_equal(whole, np.concatenate([part[k] for part in parts]))


@pytest.mark.skipif(sys.platform != "linux", reason="the replaced renderer reaches only forked processes")
def test_a_dead_worker_is_an_error_not_a_hang(monkeypatch):
    monkeypatch.setattr(dataset, "render_face", lambda *_: multiprocessing.parent_process() and os._exit(1))
    with pytest.raises(OfhkitError, match="a worker process was killed"):
        list(dataset.render_chunks(0, "val", 0, 2, num_workers=2, chunk=1))


def test_splits_and_seeds_never_meet():
    draws = {
        generator(s, split, i).integers(2**63)
        for s in range(4)
        for split in ("train", "val", "test")
        for i in range(50)
    }
    assert len(draws) == 4 * 3 * 50


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (dict(num_faces=0), "num_faces must be 1"),
        (dict(num_faces=1, split="trian"), "did you mean 'train'"),
        (dict(num_faces=1, seed=-1), "seed must lie"),
        (dict(num_faces=1, limit=0), "limit must be 1"),
        (dict(num_faces=dict(train=4, test=2), split="val"), "nothing of the split 'val'"),
    ],
)
def test_user_errors(arguments, words):
    with pytest.raises(OfhkitError, match=words):
        SyntheticFaces(cache=False, **arguments)


def test_sizes_by_split_and_limit():
    sizes = dict(train=9, val=4, test=2)
    assert [len(SyntheticFaces(sizes, split=s, cache=False)) for s in sizes] == [9, 4, 2]
    assert len(SyntheticFaces(9, limit=3, cache=False)) == 3
    assert len(SyntheticFaces(9, limit=30, cache=False)) == 9


def test_five_points_meet_the_template_with_no_better_similarity(bare_faces):
    for face in bare_faces[1]:
        offset = five_points(face.landmarks.astype(np.float64)) - np.array(DEFAULT_TEMPLATE)
        assert np.abs(offset).max() < 16
        centred = five_points(face.landmarks.astype(np.float64)) - five_points(face.landmarks.astype(np.float64)).mean(
            0
        )
        assert np.allclose(offset.mean(0), 0, atol=1e-3)  # shift
        assert abs((offset * centred).sum()) < 0.1  # scale
        assert abs((offset[:, 0] * -centred[:, 1] + offset[:, 1] * centred[:, 0]).sum()) < 0.1  # rotation


def test_landmarks_agree_with_an_independent_projection():
    scene = scene_of(3, yaw=0.4, pitch=-0.15, roll=0.2, distance=9.0)
    head = load_head()
    points = head.shape(scene.weights)
    camera = frame(points, scene)
    inner = points[head.landmarks[17:]].astype(np.float64)
    turn = cv2.Rodrigues(np.array([0, 0, scene.roll]))[0] @ cv2.Rodrigues(np.array([scene.pitch, 0, 0]))[0]
    turn = turn @ cv2.Rodrigues(np.array([0, scene.yaw, 0]))[0]
    flip = np.diag([1.0, -1.0, -1.0])  # OpenCV looks along +z, y down
    pose = cv2.Rodrigues(flip @ turn)[0]
    offset = np.array([0, 0, scene.distance]) - flip @ turn @ camera.centre
    image, _ = cv2.projectPoints(inner, pose, offset, np.diag([scene.distance, scene.distance, 1.0]), None)
    truth = cv2.estimateAffinePartial2D(image[:, 0], render_scene(scene, generator(0, "val", 0)).landmarks[17:])
    fitted = image[:, 0] @ truth[0][:, :2].T + truth[0][:, 2]
    assert np.abs(fitted - landmarks68(head, points, camera)[17:]).max() < 0.01


def test_labels_follow_pose():
    scene = scene_of(1, **BARE, roll=0.0)
    for yaw in (-0.5, 0.5):
        face = draw(replace(scene, yaw=yaw))
        x = np.arange(128)[None, :] + np.zeros((128, 1))
        nose = x[face.parsing == LABEL["nose"]].mean()
        eyes = x[(face.parsing == LABEL["left_eye"]) | (face.parsing == LABEL["right_eye"])].mean()
        assert (nose - eyes) * yaw > 1  # a face turned to the right shows its nose right of the eyes
        sizes = [(face.parsing == LABEL[name]).sum() for name in ("left_eye", "right_eye")]
        assert (sizes[0] > sizes[1]) == (yaw > 0)  # the far eye is smaller


def test_turning_a_camera_turns_projected_points():
    head = load_head()
    camera = Camera(rotation(0, 0, 0.3), np.array([0, 7.0, 1.0]), 1e6)
    straight = camera._replace(turn=np.eye(3))
    a, b = (c.project(head.mean)[0] @ [1, 1j] for c in (camera, straight))
    assert np.allclose(a, b * np.exp(-0.3j), atol=1e-3)  # y points down: counter-clockwise is a negative angle


def near_label(face, points, names, reach):
    """Whether each point has a pixel of one of the labels within ``reach``."""
    wanted = np.isin(face.parsing, [LABEL[n] for n in names])
    distance = cv2.distanceTransform(np.uint8(~wanted), cv2.DIST_L2, 5)
    at = np.clip(np.rint(points).astype(int), 0, 127)
    return distance[at[:, 1], at[:, 0]] <= reach


@pytest.mark.parametrize(
    ("points", "names", "reach"),
    [
        (slice(17, 22), ["left_brow"], 3.0),
        (slice(22, 27), ["right_brow"], 3.0),
        (slice(27, 31), ["nose"], 2.0),
        (slice(31, 36), ["nose"], 2.5),
        (slice(36, 42), ["left_eye"], 2.5),
        (slice(42, 48), ["right_eye"], 2.5),
        (slice(49, 54), ["upper_lip"], 2.5),
        (slice(55, 60), ["lower_lip"], 2.5),
    ],
)
def test_landmarks_lie_on_their_regions(bare_faces, points, names, reach):
    scenes, faces = bare_faces
    hits = [near_label(f, f.landmarks[points], names, reach) for s, f in zip(scenes, faces) if abs(s.yaw) < 0.35]
    assert len(hits) >= 4
    assert np.mean(hits) > 0.95


def test_jaw_points_lie_on_the_outline_of_the_face(bare_faces):
    _, faces = bare_faces
    skin = [LABEL[n] for n in PARSING_LABELS[1:10]]
    found = []
    for face in faces:
        inside = np.pad(np.isin(face.parsing, skin), 1, mode="edge").astype(np.uint8)
        edge = cv2.morphologyEx(inside, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))[1:-1, 1:-1]
        distance = cv2.distanceTransform(np.uint8(edge == 0), cv2.DIST_L2, 5)
        for x, y in face.landmarks[3:14]:
            if 1 <= x <= 126 and 1 <= y <= 126:
                found.append(distance[round(float(y)), round(float(x))])
    assert len(found) > 30
    assert np.mean(np.array(found) < 4) > 0.9


def test_every_label_occurs():
    changes = [
        dict(hat="beanie"),
        dict(hat="cap"),
        dict(glasses="square"),
        dict(cloth_height=0.4),
        dict(hair="long"),
        dict(hair="buzz"),
    ]
    faces = [draw(scene_of(20 + i, **change)) for i, change in enumerate(changes)]
    faces.append(draw(scene_of(30, weights={**scene_of(30).weights, "unit/jawOpen": 0.5})))
    seen = set(np.unique([face.parsing for face in faces]))
    assert seen == set(range(len(PARSING_LABELS)))


def test_left_is_left(bare_faces):
    for face in bare_faces[1]:
        columns = [
            np.nonzero(face.parsing == LABEL[n])[1].mean() for n in ("left_eye", "right_eye", "left_brow", "right_brow")
        ]
        assert columns[0] < columns[1]
        assert columns[2] < columns[3]
        assert np.allclose(flip_landmarks(flip_landmarks(face.landmarks)), face.landmarks)


def test_faces_differ_and_are_not_blank():
    faces = [render_face(0, "train", i).image.astype(float) for i in range(4)]
    assert min(f.std() for f in faces) > 10
    for i in range(3):
        assert np.abs(faces[i] - faces[i + 1]).mean() > 5
