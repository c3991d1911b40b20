"""A row that is assembled carries the inpainter that its name says."""

import torch
from mmengine.config import ConfigDict
from pipeline_maker import FSRCNN, INPAINTER

from ofhkit.evaluation.pipelines import Pipeline, with_baselines
from ofhkit.models.inpainters import GaussianInpainter
from ofhkit.registry import HALLUCINATORS


def pipeline(method, inpainter):
    model = HALLUCINATORS.build(dict(type="FaceHallucinator", inpainter=inpainter, upsampler=FSRCNN))
    model.info = {"method": method, "budget": 1.0}
    nowhere = ConfigDict(data=dict(dataset=dict(type="PackedFaces", root="nowhere")))
    return Pipeline(method, method, model, nowhere, "0" * 64)


def test_each_kind_of_completion_has_its_own_bicubic_row():
    prior = GaussianInpainter()
    prior.partial_fit(torch.rand(4, 3, 16, 16), torch.rand(4, 3, 128, 128))
    prior.finalise()
    given = [pipeline("Gaussian+FSRCNN", prior), pipeline("IN+FSRCNN", INPAINTER)]
    rows = {p.method: p.model.inpainter for p in with_baselines(given)[0]}
    assert list(rows) == ["Telea+bicubic", "IN+bicubic", "Gaussian+bicubic", "Gaussian+FSRCNN", "IN+FSRCNN"]
    assert rows["Gaussian+bicubic"] is prior
    assert rows["IN+bicubic"] is given[1].model.inpainter
    assert list(p.method for p in with_baselines(given[1:])[0])[1] == "IN+bicubic"
    assert "IN+bicubic" not in [p.method for p in with_baselines(given[:1])[0]]
