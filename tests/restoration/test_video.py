"""A video comes back as a video, calm where it stood still."""

import os
import stat

import cv2
import numpy as np
import pytest
from PIL import Image

from ofhkit.restoration.faces import scaling
from ofhkit.restoration.video import assemble, count_frames, steady


def film(path, frames=6, rate=12.0, size=(96, 64)):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate, size)
    for number in range(frames):
        writer.write(np.full((size[1], size[0], 3), 20 * number, np.uint8))
    writer.release()
    return path


def read(path):
    frames = cv2.VideoCapture(str(path))
    rate, out = frames.get(cv2.CAP_PROP_FPS), []
    while True:
        good, frame = frames.read()
        if not good:
            return rate, np.array(out)
        out.append(frame)


@pytest.mark.parametrize("every", [1, 2])
def test_restored_frames_stand_among_the_others(tmp_path, every):
    source = film(tmp_path / "a.mp4")
    Image.fromarray(np.full((64, 96, 3), 250, np.uint8)).save(tmp_path / "three.png")
    Image.fromarray(np.full((10, 10, 3), 250, np.uint8)).save(tmp_path / "other_size.png")
    out = assemble(source, {3: tmp_path / "three.png", 5: tmp_path / "other_size.png"}, tmp_path / "out.mp4", every)
    rate, frames = read(out)
    assert (rate, len(frames), frames.shape[1:]) == (12.0 / every, 6 // every, (64, 96, 3))
    expected = [0, 20, 250, 60, 80, 100][::every]
    assert np.abs(frames.mean((1, 2, 3)) - expected).max() < 9
    assert sorted(p.name for p in tmp_path.glob("*.mp4")) == ["a.mp4", "out.mp4"]
    assert count_frames(out) == 6 // every


def test_sound_is_carried_over_by_ffmpeg(tmp_path, monkeypatch):
    source, said = film(tmp_path / "a.mp4"), tmp_path / "said"
    fake = tmp_path / "ffmpeg"
    fake.write_text(f'#!/bin/sh\necho "$@" > {said}\nfor last; do :; done\necho joined > "$last"\n')
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert assemble(source, {}, tmp_path / "out.mp4").read_text() == "joined\n"
    assert f"-i {source} -map 0:v -map 1:a?" in said.read_text()
    fake.write_text("#!/bin/sh\nexit 1\n")
    assert len(read(assemble(source, {}, tmp_path / "out.mp4"))[1]) == 6


def test_a_face_that_holds_still_does_not_tremble():
    generator = np.random.default_rng(0)
    places, before = [], []
    for _ in range(40):
        matrix = scaling(256)
        matrix[:, 2] += generator.normal(0, 0.5, 2)
        before = [steady(matrix, before, 128)]
        places.append(before[0][:, 2])
    trembling = np.abs(np.diff(places, axis=0)).mean()
    assert trembling < 0.08  # instead of .56
    away = scaling(256)
    away[:, 2] += 30
    assert np.array_equal(steady(away, before, 128), away)
