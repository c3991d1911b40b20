"""Two methods that need no training: a small random network and Telea with bicubic."""

import pytest
import torch
from picture_maker import write_pictures

from ofhkit.demo import Method, installed_methods
from ofhkit.registry import HALLUCINATORS


@pytest.fixture(scope="session")
def methods():
    torch.manual_seed(0)
    parts = dict(
        inpainter=dict(type="EncoderDecoder", channels=[4, 4, 8, 8], decoder_channels=[8, 4, 4]),
        upsampler=dict(type="ResidualUpsampler", channels=[4, 4, 4], head_channels=[4, 4]),
    )
    model = HALLUCINATORS.build(dict(type="FaceHallucinator", **parts)).eval()
    model.info = {"name": "small", "method": "OFHNet", "licence": "for tests"}
    telea = next(m for m in installed_methods() if m.name == "Telea + bicubic")
    return [Method("small", "random <weights>", model), telea]


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures"))
