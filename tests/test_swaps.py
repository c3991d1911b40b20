"""Everything registered can be swapped in, from the command line and by a configuration of two lines, and used."""

import inspect

import pytest
import torch
from pipeline_maker import FSRCNN, INPAINTER, ROOT, write_pack
from test_components import CASES, SMALL, arguments

from ofhkit.config import load_config
from ofhkit.registry import LOSSES, ROLES
from ofhkit.testing.networks import sample_batch
from ofhkit.training.curriculum import Options, train
from ofhkit.zoo import load_model

LOSS_PLACES = {  # what a loss needs -> where it belongs
    "lr_filled": "stages.inpainter.loss",
    "predicted_landmarks": "stages.landmarks.loss",
    "parsing_logits": "stages.parser.loss",
}
OBJECTS = {"network", "dataset"}  # hooks that take these are made by the runner, not by a configuration


def place(role: str, name: str) -> str:
    if role != "loss":
        here = ROLES[role]
        return here.places[here.key_for(here.get(name))].replace("STAGE", "upsampler").replace("NAME", "swapped")
    needs = inspect.signature(LOSSES.get(name).forward).parameters
    return next((where for need, where in LOSS_PLACES.items() if need in needs), "model.losses.swapped")


SWAPPED = [(r, n) for r, n in CASES if r != "hook" or not OBJECTS & set(inspect.signature(ROLES[r].get(n)).parameters)]


@pytest.mark.parametrize(("role", "name"), SWAPPED, ids=["-".join(case) for case in SWAPPED])
def test_by_option_and_by_two_lines(role, name, tmp_path):
    given = {"type": name, **arguments(name, ROLES[role].get(name), str(tmp_path))}
    key = place(role, name)
    parser = "parser" in key.split(".")
    base = ROOT / "configs" / ("parser_synthetic.py" if parser else "fsrcnn_synthetic.py")
    by_option = load_config(base, {f"{key}.{argument}": value for argument, value in given.items()})
    first, *parts = key.split(".")
    lines = repr(given)
    for part in reversed(parts):
        lines = f"dict({part}={lines})"
    (tmp_path / "two_lines.py").write_text(f"_base_ = {str(base)!r}\n{first} = {lines}\n")
    by_lines = load_config(tmp_path / "two_lines.py")
    assert by_option.to_dict() == by_lines.to_dict()
    node = by_lines
    for part in key.split("."):
        node = node[part]
    assert node["type"] == name
    if role != "dataset":
        assert isinstance(ROLES[role].build(node), ROLES[role].get(name))


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    return write_pack(tmp_path_factory.mktemp("swaps") / "pack")


ROLES_OF_A_PIPELINE = ("inpainter", "upsampler", "discriminator", "prior", "loss")
OF_THE_PARSER = ("ParsingLoss", "FaceParser")
OF_FSRNET = ("CoarseLoss", "HeatmapLoss")  # they judge what only this network returns beside the face
LEARNT = [(r, n) for r, n in CASES if r in ROLES_OF_A_PIPELINE and n not in OF_THE_PARSER]


@pytest.mark.slow
@pytest.mark.parametrize(("role", "name"), LEARNT, ids=["-".join(case) for case in LEARNT])
def test_trained_saved_loaded_and_exported(role, name, pack, tmp_path):
    """The whole pipeline with it: one iteration a stage, written to the disk, read from there, exported."""
    key = place(role, name)
    tiny = dict(iterations=1, batch_size=2)
    losses = dict(pixel=dict(type="PixelLoss"), adversarial=dict(type="AdversarialLoss"))
    losses |= dict(structure=dict(type="SemanticStructureLoss")) if role == "prior" else {}
    config = dict(
        _base_=str(ROOT / "configs/ofhnet_celeba.py"),
        model=dict(
            inpainter=INPAINTER,
            upsampler=dict(type="FSRNet", **SMALL["FSRNet"]) if name in OF_FSRNET else FSRCNN,
            discriminator=dict(type="FaceDiscriminator", **SMALL["FaceDiscriminator"]),
            losses=dict(_delete_=True, **losses),
        ),
        stages=dict(landmarks=tiny, inpainter=tiny, upsampler=tiny),
        data=dict(dataset=dict(root=str(pack))),
        runtime=dict(validations=1, val_images=1),
    )
    (tmp_path / "tiny.py").write_text("\n".join(f"{k} = {v!r}" for k, v in config.items()))
    given = {"type": name, **SMALL.get(name, {})}
    options = {f"{key}.{argument}": value for argument, value in given.items()}
    file = train(tmp_path / "tiny.py", Options(work_dir=tmp_path, device="cpu"), cfg_options=options)
    model = load_model(file, "cpu")
    batch = sample_batch()
    with torch.no_grad():
        sr = model(batch["lr"], batch["mask"])
    assert sr.shape == (2, 3, 128, 128)
    if role in ("inpainter", "upsampler"):
        assert type(getattr(model, role)) is ROLES[role].get(name)
    if name != "Telea":  # calls OpenCV
        exported = torch.export.export(model, (batch["lr"], batch["mask"])).module()
        assert torch.allclose(exported(batch["lr"], batch["mask"]), sr, atol=1e-4)
