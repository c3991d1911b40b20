"""Sweeps and the report, on pipelines that were never trained."""

import csv
import json
import re
from pathlib import Path

import cv2
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio
from svg_reader import curves_of

from ofhkit.config import load_config
from ofhkit.data.packed import PackedFaces
from ofhkit.data.sampler import fetch
from ofhkit.errors import OfhkitError
from ofhkit.evaluation.compare import compare
from ofhkit.evaluation.pipelines import load_model
from ofhkit.evaluation.sweep import holes_of
from ofhkit.registry import DEGRADATIONS
from ofhkit.training.curriculum import plan_stages

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def out(work, tmp_path_factory):
    out = tmp_path_factory.mktemp("swept")
    compare(
        [],
        work_dir=work,
        out=out,
        device="cpu",
        metrics=["psnr"],
        sweeps=["size", "position"],
        sweep_limit=2,
        faces=[3],
    )
    return out


def read(path):
    return list(csv.DictReader(path.open()))


@pytest.mark.slow
def test_every_method_is_scored_on_every_hole(out, work, pack):
    rows = read(out / "sweep_size.csv")
    methods = ["Telea+bicubic", "IN+bicubic", "IN+FSRCNN", "OFHNet"]
    holes = ["4x4", "5x5", "6x6", "7x7", "8x8"]
    assert [(r["hole"], r["method"]) for r in rows] == [(h, m) for h in holes for m in methods]
    assert [int(r["area"]) for r in rows if r["method"] == "OFHNet"] == [16, 25, 36, 49, 64]
    model = load_model(work / "fsrcnn/model.safetensors", "cpu")
    degrade = DEGRADATIONS.build(dict(type="Degradation", occluder=holes_of("size")["6x6"]))
    batch = degrade(fetch(PackedFaces(pack, "test"), range(2)))
    with torch.no_grad():
        batch |= model.predict(batch["lr"], batch["mask"])
    assert batch["mask"][0, 0].nonzero().min() == 5
    expected = [peak_signal_noise_ratio(h.numpy(), s.numpy(), data_range=1) for h, s in zip(batch["hr"], batch["sr"])]
    found = next(r for r in rows if r["method"] == "IN+FSRCNN" and r["hole"] == "6x6")
    assert float(found["PSNR"]) == pytest.approx(sum(expected) / 2, abs=1e-4)
    assert json.loads((out / "results.json").read_text())["sweeps"]["size"][0]["method"] == "Telea+bicubic"


def test_teleas_low_resolution_score_falls_with_the_hole(out):
    scores = [float(r["LRPSNR"]) for r in read(out / "sweep_size.csv") if r["method"] == "Telea+bicubic"]
    assert scores == sorted(scores, reverse=True)


def test_pictures_and_curves_are_written(out):
    for kind, holes in (("size", 5), ("position", 4)):
        assert cv2.imread(str(out / f"sweep_{kind}.png")).shape[1] > 2 * holes * 128
        curves = curves_of((out / f"sweep_{kind}.svg").read_text())
        assert [len(heights) for heights in curves] == 5 * [holes]  # four methods and the inpainter
    assert cv2.imread(str(out / "landmarks.png")).shape[0] > 256


def test_the_four_corners_touch_all_edges():
    corners = holes_of("position")
    assert {(c["top"], c["left"]) for c in corners.values()} == {(0, 0), (0, 8), (8, 0), (8, 8)}
    with pytest.raises(OfhkitError, match="no sweep 'sizes'; did you mean 'size'"):
        holes_of("sizes")


def test_the_report_needs_nothing_else(out):
    text = (out / "report.html").read_text()
    markup = re.sub(r"<script.*?</script>", "", text, flags=re.S)
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?!data:)[\w./:]+""", markup)
    assert "://" not in re.sub(r"http://www.w3.org/(2000/svg|1999/xlink)", "", text)  # base64 has no colon
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1])
    assert [row["method"] for row in data["tables"][0]["rows"]][-1] == "OFHNet"
    assert data["faces"]["labels"][0] == "face 3"
    assert data["faces"]["labels"][1].startswith("worst")
    images = data["faces"]["images"]
    assert list(images) == ["lr", "completed", *data["faces"]["methods"], "hr"]
    assert len({len(faces) for faces in images.values()}) == 1
    assert set(data["configs"]) == {"IN+FSRCNN", "OFHNet"}  # those with weights of their own
    assert json.loads(data["configs"]["OFHNet"])["model"]["type"] == "FaceHallucinator"


def test_a_face_that_is_not_there(work, tmp_path):
    with pytest.raises(OfhkitError, match="--faces 9: the test faces here are 0 to 4"):
        compare([], work_dir=work, out=tmp_path, device="cpu", quick=True, faces=[9])


@pytest.mark.parametrize(
    ("name", "losses", "stages"),
    [
        ("l2", {"pixel"}, ["inpainter", "upsampler"]),
        ("l2_structure", {"pixel", "structure"}, ["landmarks", "inpainter", "upsampler"]),
        ("l2_adversarial", {"pixel", "adversarial"}, ["inpainter", "upsampler"]),
        ("all", {"pixel", "adversarial", "structure"}, ["landmarks", "inpainter", "upsampler"]),
    ],
)
def test_ablations_differ_in_their_losses_only(name, losses, stages):
    config = load_config(ROOT / f"configs/ablation/ofhnet_{name}.py")
    whole = load_config(ROOT / "configs/ofhnet_celeba.py")
    assert set(config.model.losses) == losses
    assert all(config.model.losses[term] == whole.model.losses[term] for term in losses)
    assert list(plan_stages(config)) == stages
    assert (config.model.discriminator is not None) == ("adversarial" in losses)
    for key in ("stages", "data", "method"):
        assert config[key] == whole[key]
