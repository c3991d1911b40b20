import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from ofhkit.errors import OfhkitError
from ofhkit.restoration.face_detector import TinyFaceDetector, suppress

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def detector() -> TinyFaceDetector:
    return TinyFaceDetector()


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.ascontiguousarray(cv2.imread(str(DATA / "golden_det224.png"))[..., ::-1])


@pytest.fixture(scope="module")
def golden() -> np.ndarray:
    """Output of the original JavaScript on the same picture."""
    return np.array(json.loads((DATA / "face_api_golden.json").read_text())["detector"]["boxes"])


def test_detector_equals_the_original(detector, picture, golden):
    boxes = detector.detect(picture, size=224)
    assert boxes.shape == golden.shape == (1, 5)
    assert np.abs(boxes - golden).max() < 1e-3
    assert sum(p.numel() for p in detector.parameters()) == 193321


def test_other_sizes_and_shapes(detector, picture, golden):
    wide = np.zeros((300, 448, 3), np.uint8)
    wide[:, :] = 90
    wide[40:264, 100:324] = picture
    box = detector.detect(wide, size=416)[0]
    expected = golden[0, :4] + np.array([100, 40, 0, 0])
    assert np.abs(box[:4] - expected).max() < 20
    assert box[4] > 0.5


def test_no_face_gives_no_box(detector):
    assert detector.detect(np.full((90, 120, 3), 128, np.uint8)).shape == (0, 5)


def test_suppression_keeps_the_best_and_the_distant():
    boxes = np.array([[0, 0, 10, 10, 0.6], [2, 0, 10, 10, 0.8], [9, 0, 10, 10, 0.7]])
    assert suppress(boxes, 0.4)[:, 4].tolist() == [0.8, 0.7]
    assert suppress(boxes, 0.9)[:, 4].tolist() == [0.8, 0.7, 0.6]
    assert suppress(boxes[:0], 0.4).shape == (0, 5)


@pytest.mark.parametrize(
    ("shape", "dtype", "size"), [((9, 9), np.uint8, 64), ((9, 9, 3), float, 64), ((9, 9, 3), np.uint8, 100)]
)
def test_wrong_input_is_one_sentence(detector, shape, dtype, size):
    with pytest.raises(OfhkitError, match=r"expected a picture|multiple of 32"):
        detector.detect(np.zeros(shape, dtype), size=size)
