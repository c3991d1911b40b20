"""What hides a face is found without being told, and nothing where nothing does."""

import numpy as np
import pytest
import torch
from PIL import Image

import ofhkit
from ofhkit.errors import OfhkitError
from ofhkit.export import sample
from ofhkit.functional.images import to_float, to_uint8
from ofhkit.functional.resample import downsample_cubic
from ofhkit.restoration import MaskOptions, Restorer, to_picture
from ofhkit.runtime.files import ASSETS
from ofhkit.zoo.mask_finder import finder_for, load_finder

HR = sample(4).hr
FINE = torch.zeros(1, 1, 128, 128)
FINE[:, :, 64:96, 32:96] = 1
MASK = FINE[0, 0, ::8, ::8].numpy() > 0


def small(painted):
    return to_uint8(downsample_cubic(painted).clamp(0, 1))


@pytest.fixture(scope="module")
def model():
    return ofhkit.load_model("gaussian", "cpu")


@pytest.mark.parametrize("color", [(0.1, 0.6, 0.2), (0.95, 0.95, 0.95), (0.2, 0.1, 0.7)])
def test_a_painted_rectangle_is_found(color):
    damaged = small(torch.where(FINE > 0, torch.tensor(color)[None, :, None, None], HR))
    found = ofhkit.find_mask(damaged)
    overlap = (found & MASK).sum((1, 2)) / (found | MASK).sum((1, 2))
    assert found.shape == (4, 16, 16)
    assert overlap.mean() > 0.8


def test_a_whole_portrait_stays_whole_and_a_stroke_across_it_is_found():
    portrait = to_float(np.array(Image.open(ASSETS / "astronaut_face.png").convert("RGB")))[None]
    assert not ofhkit.find_mask(small(torch.cat((portrait, portrait.flip(-1))))).any()
    portrait[:, :, 56:68, 10:110] = torch.tensor((0.8, 0.1, 0.15))[:, None, None]
    found = ofhkit.find_mask(small(portrait))[0]
    assert found[7:8, 2:13].mean() > 0.9
    assert found[:5].mean() < 0.05


def test_hallucinate_finds_the_mask_itself(model):
    damaged = small(torch.where(FINE > 0, 0.9, HR))
    found = ofhkit.find_mask(damaged, model)
    result = ofhkit.hallucinate(model, damaged, "auto")
    assert found.any()
    np.testing.assert_array_equal(result.mask, found)
    np.testing.assert_array_equal(result.sr, ofhkit.hallucinate(model, damaged, found).sr)


def test_one_face_has_one_mask_and_transparent_pixels_belong_to_it(model):
    face = np.dstack([small(HR)[0], np.full((16, 16), 255, np.uint8)])
    face[2:4, 2:9, 3] = 0
    found = ofhkit.find_mask(face, model)
    assert found.shape == (16, 16)
    assert found[2:4, 2:9].all()
    assert ofhkit.find_mask(np.zeros((0, 16, 16, 3), np.uint8), model).shape == (0, 16, 16)


def test_a_free_model_does_not_bring_along_what_is_for_research(model):
    free = ofhkit.load_model("gaussian-synthetic", "cpu")
    assert finder_for(free) is None
    assert finder_for(model) is finder_for(None) is load_finder()
    with pytest.raises(OfhkitError, match="for research only"):
        ofhkit.hallucinate(free, small(HR), "auto")


def test_a_file_without_a_finder_is_refused():
    with pytest.raises(OfhkitError, match="holds no mask finder"):
        load_finder(ASSETS / "photographs.safetensors")


@pytest.mark.parametrize("kind", ["aligned", "tiny"])
def test_auto_finds_a_caption_before_an_aligned_face(kind, model):
    painted = torch.where(FINE > 0, torch.tensor((0.1, 0.6, 0.2))[None, :, None, None], HR)[:1]
    noisy = (painted + 0.03 * torch.randn(painted.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    rgb = small(noisy)[0] if kind == "tiny" else to_uint8(noisy)[0]
    outcome = next(Restorer(model, MaskOptions(mask="auto"), kind=kind).restore([to_picture(rgb, "face")]))
    found = outcome.faces[0].mask
    assert (found & MASK).sum() / (found | MASK).sum() > 0.7
    assert any("before" in text for text in outcome.mask.found)
