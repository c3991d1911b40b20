"""One sweep over everything registered, in every role: a new component is tested the day it appears."""

import inspect
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch import nn

from ofhkit.data.pack_writer import PackWriter
from ofhkit.errors import OfhkitError
from ofhkit.functional.alignment import DEFAULT_TEMPLATE
from ofhkit.registry import HALLUCINATORS, LOSSES, ROLES
from ofhkit.testing import ContractError, check

NETWORKS = [name for name, role in ROLES.items() if role.inputs]
TINY = dict(type="EncoderDecoder", channels=(4, 4, 4, 4), decoder_channels=(4, 4, 4))
SMALL = {  # narrow where the defaults are slow; what a constructor demands
    "ResidualUpsampler": dict(channels=(4, 4, 4), head_channels=(4, 4)),
    "URDGN": dict(channels=(4, 4, 4, 4)),
    "LinearUpsampler": dict(block=1, rank=4),
    "VDSR": dict(channels=8, num_blocks=4),
    "TrunkUpsampler": dict(channels=8, num_blocks=2, ladder=(8, 8, 8)),
    "SPARNet": dict(channels=(4, 4, 4), width=4),
    "FSRNet": dict(channels=4, prior_channels=8, stacks=1, num_blocks=1),
    "PartialConvInpainter": dict(channels=(4, 4, 4, 4)),
    "FaceDiscriminator": dict(channels=(4, 4, 4, 4, 4, 4), out_channels=4),
    "URDGNDiscriminator": dict(channels=(4, 4, 4, 4), hidden_channels=8),
    "FixedRectangle": dict(height=6, width=6),
    "Choice": dict(parts=[dict(type="Ellipse"), dict(type="Strokes")]),
    "ParsingIoU": dict(parser=dict(type="FaceParser")),
    "SyntheticFaces": dict(num_faces=2, cache=False),
    "FaceHallucinator": dict(
        inpainter=TINY,
        upsampler=dict(type="FSRCNN", channels=4, map_channels=4, num_blocks=1),
        discriminator=dict(type="FaceDiscriminator", channels=(4, 4, 4, 4, 4, 4), out_channels=4),
        losses=dict(pixel=dict(type="PixelLoss"), adversarial=dict(type="AdversarialLoss")),
    ),
}
PARSER = dict(type="FaceParser")
NOT_EXPORTED = {"Telea": "calls OpenCV"}
CASES = [(role, name) for role, registry in ROLES.items() for name in registry.names()]


def arguments(name: str, component: type, folder) -> dict:
    """What is written above, or a value by the parameter's name."""
    if name in SMALL:
        return SMALL[name]
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    values = dict(
        iterations=2, interval=1, root=folder, network=network, begin=1, metrics=[], dataset=[0], degrade=dict
    )
    values |= dict(metric="PSNR", higher_is_better=True)
    if name == "PhotoFolder":  # it wants faces
        values["root"] = portraits(folder)
    needed = [p.name for p in inspect.signature(component).parameters.values() if p.default is p.empty]
    return {name: values[name] for name in needed if name in values}


def portraits(folder) -> str:
    """A folder of three photographs that show a face."""
    photo = Image.open(Path(__file__).parent / "data/golden_det224.png")
    (target := Path(folder) / "portraits").mkdir(exist_ok=True)
    for i, picture in enumerate((photo, ImageOps.mirror(photo), ImageOps.posterize(photo, 5))):
        picture.save(target / f"{i}.png")
    return str(target)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two faces, as a pack and as pictures."""
    path = tmp_path_factory.mktemp("faces")
    random = np.random.default_rng(0)
    hr = random.integers(0, 255, (2, 3, 128, 128)).astype(np.uint8)
    points = random.uniform(0, 127, (2, 68, 2)).astype(np.float32)
    writer = PackWriter(path, name="two", template=DEFAULT_TEMPLATE, landmark_source="random", settings={})
    writer.append(["0.png", "1.png"], hr, points[:, :5], points, [0, 0])
    writer.finish()
    for i, face in enumerate(hr):
        Image.fromarray(face.transpose(1, 2, 0)).save(path / f"{i}.png")
    return path


@pytest.mark.slow
@pytest.mark.parametrize(("role", "name"), CASES, ids=["-".join(case) for case in CASES])
def test_contract(role, name, folder):
    registry = ROLES[role]
    torch.manual_seed(0)
    component = registry.build(dict(type=name, **arguments(name, registry.get(name), folder)))
    options = dict(export=name not in NOT_EXPORTED) if role in NETWORKS else {}
    if role == "stage":
        pipeline = dict(type="FaceHallucinator", landmark_prior=dict(type="FanZhou"), **SMALL["FaceHallucinator"])
        options = dict(model=dict(parser=PARSER) if name == "ParserStage" else pipeline)
    check(role, component, **options)


class Wrong(nn.Module):
    """An upsampler with a fault."""

    scale = 8

    def __init__(self, fault: str):
        super().__init__()
        self.fault = fault
        self.gain = nn.Parameter(torch.ones(3, 1, 1))
        self.unused = nn.Parameter(torch.ones(1)) if fault == "no gradient" else None

    def forward(self, lr):
        x = lr.mul_(1.5) if self.fault == "in place" else lr
        x = x + torch.rand_like(x) if self.fault == "two calls differ" else x
        x = x - x.mean(0) if self.fault == "depends on the other images" else x
        x = x / 0 if self.fault == "NaN" else x
        return nn.functional.interpolate(x * self.gain, scale_factor=4 if self.fault == "expected" else 8)


@pytest.mark.parametrize(
    "fault", ["in place", "two calls differ", "depends on the other images", "NaN", "expected", "no gradient", "none"]
)
def test_a_broken_promise_is_named(fault):
    if fault == "none":
        check("upsampler", Wrong(fault), export=False)
    else:
        with pytest.raises(ContractError, match=fault):
            check("upsampler", Wrong(fault), export=False)


def test_a_loss_must_leave_its_weight_to_the_caller():
    term = LOSSES.build(dict(type="PixelLoss"))
    plain = term.forward
    term.forward = lambda sr, hr: term.weight * plain(sr, hr)
    with pytest.raises(ContractError, match="multiplies by `weight`"):
        check("loss", term)
    term.forward = lambda sr, target: plain(sr, target)
    with pytest.raises(ContractError, match="'target', which is no batch key"):
        check("loss", term)


def test_an_unknown_role_is_answered():
    with pytest.raises(OfhkitError, match="unknown role 'upsampeler'; did you mean 'upsampler'"):
        check("upsampeler", None)


@pytest.mark.parametrize("role", NETWORKS[:2])
def test_every_component_can_be_swapped_into_a_pipeline(role):
    for name in ROLES[role].names():
        parts = {**SMALL["FaceHallucinator"], role: dict(type=name, **SMALL.get(name, {}))}
        model = HALLUCINATORS.build(dict(type="FaceHallucinator", **parts))
        assert type(getattr(model, role)) is ROLES[role].get(name)
