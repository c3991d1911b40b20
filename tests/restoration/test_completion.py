"""A photograph's hole: the completion from all known pixels, and a model's detail on it."""

import numpy as np
import torch

import ofhkit
from ofhkit.functional.images import to_float
from ofhkit.functional.resample import downsample_cubic
from ofhkit.models.inpainters import SpectralInpainter
from ofhkit.restoration.completion import complete_crop


def test_a_share_of_the_models_detail_is_mixed_in():
    faces = torch.rand(6, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    prior = SpectralInpainter(rank=2)
    prior.partial_fit(faces, faces)
    prior.finalise()
    model = ofhkit.load_model("fsrcnn", "cpu")
    crop, hole = np.full((128, 128, 3), 90, np.uint8), np.zeros((128, 128), bool)
    hole[40:80, 30:90] = True
    plain = complete_crop(crop, hole, prior)
    with torch.no_grad():
        wanted = prior(to_float(crop)[None], torch.from_numpy(hole)[None, None].float())[0]
        drawn = model(downsample_cubic(wanted[None], 16).clamp(0, 1), torch.zeros(1, 1, 16, 16))[0].clamp(0, 1)
    torch.testing.assert_close(plain, wanted)
    torch.testing.assert_close(complete_crop(crop, hole, prior, model, 0.25), 0.75 * wanted + 0.25 * drawn)
    torch.testing.assert_close(complete_crop(crop, hole, prior, model, 1.0), drawn)
