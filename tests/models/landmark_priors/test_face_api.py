import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from ofhkit.functional.alignment import DEFAULT_TEMPLATE
from ofhkit.models.landmark_priors.face_api import FaceAPI68, FaceLandmark68, face_box
from ofhkit.registry import PRIORS
from ofhkit.runtime.files import asset

DATA = Path(__file__).parents[2] / "data"


def read(name: str) -> torch.Tensor:
    """A picture of tests/data as (1, 3, H, W) float32 0..255."""
    image = cv2.imread(str(DATA / name))[..., ::-1]
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float()


@pytest.fixture(scope="module")
def prior() -> FaceAPI68:
    return PRIORS.build({"type": "FaceAPI68"})


@torch.no_grad()
def test_network_equals_the_original():
    """Golden points: output of the original JavaScript on the same picture."""
    golden = np.array(json.loads((DATA / "face_api_golden.json").read_text())["landmark68"]["points"])
    points = FaceLandmark68().eval()(read("golden_face112.png"))[0].numpy() * 112
    assert np.abs(points - golden).max() < 1e-3


@torch.no_grad()
def test_prior_reads_its_box_in_crop_pixels(prior):
    """The golden picture, enlarged into the box, must give the golden points there."""
    golden = np.array(json.loads((DATA / "face_api_golden.json").read_text())["landmark68"]["points"])
    left, top, side = prior.box
    assert (left, top, side) == (-6, 11, 140)
    large = torch.nn.functional.interpolate(read("golden_face112.png"), (side, side), mode="bicubic") / 255
    crop = torch.zeros(1, 3, 128, 128)
    crop[..., top:, :] = large[..., : 128 - top, -left : 128 - left]
    points = prior(crop.clamp(0, 1))[0].numpy()
    expected = (golden + 0.5) * side / 112 - 0.5 + [left, top]
    eye_distance = np.linalg.norm(expected[45] - expected[36])
    assert np.linalg.norm(points - expected, axis=1).mean() < 0.03 * eye_distance  # the chin's row and edges are cut


def test_prior_is_frozen_batched_and_differentiable(prior):
    assert not prior.train().training
    assert not any(module.training for module in prior.modules())
    assert not any(p.requires_grad for p in prior.parameters())
    assert sum(p.numel() for p in prior.parameters()) == 356840
    faces = torch.rand(3, 3, 128, 128, generator=torch.Generator().manual_seed(0), requires_grad=True)
    points = prior(faces)
    torch.testing.assert_close(points[1:2], prior(faces[1:2]), atol=1e-3, rtol=1e-4)
    points[1].square().mean().backward()
    assert faces.grad[1].abs().sum() > 0
    assert faces.grad[0].abs().sum() == 0


def test_box_scales_with_the_template():
    points = np.array(json.loads(asset("template_celeba_native.json").read_text())["points"])
    left, top, side = face_box(points)
    assert side == pytest.approx(140 * 39 / 49, abs=1)
    assert left + side / 2 - 0.5 == points[:2, 0].mean()
    assert (points[0, 1] - top) / 39 == pytest.approx((DEFAULT_TEMPLATE[0][1] - 11) / 49, abs=0.02)
