"""Weights by name, release files, and the line that states their licence."""

import json

import numpy as np
import pytest
import torch
from pipeline_maker import FSRCNN, write_pack, write_pipeline

import ofhkit
from ofhkit import zoo
from ofhkit.errors import OfhkitError
from ofhkit.functional.image_quality import psnr
from ofhkit.functional.resample import downsample_cubic, upsample_bicubic
from ofhkit.rendering import SyntheticFaces
from ofhkit.training.checkpoint import load_weights

LICENCE = "for non-commercial research only (WEIGHTS_LICENSE)"


@pytest.fixture
def run(tmp_path):
    pack = write_pack(tmp_path / "pack")
    return write_pipeline(tmp_path / "work", "fsrcnn", "IN+FSRCNN", pack, FSRCNN).parent


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """An empty zoo."""
    monkeypatch.setattr(zoo, "FOLDER", tmp_path / "zoo")
    return tmp_path / "zoo"


def test_a_released_model_is_found_by_name_and_states_its_licence(run, shelf, capsys):
    file = zoo.export_weights(run, shelf / "tiny.safetensors", LICENCE, "smooth noise")
    assert zoo.zoo() == {"tiny": file}
    model = ofhkit.load_model("tiny", "cpu")
    assert capsys.readouterr().err == f"tiny: {LICENCE}\n"
    info = model.info
    assert info["version"] == ofhkit.__version__
    assert info["data"] == {"hash": "hash0", "name": "smooth noise"}
    assert (info["scale"], info["size"]) == (8, 16)
    assert np.shape(info["template"]) == (5, 2)
    assert info["model"]["upsampler"]["type"] == "FSRCNN"


def test_half_precision_is_smaller_and_answers_alike(run, tmp_path):
    half = zoo.export_weights(run, tmp_path / "half.safetensors", LICENCE)
    full = zoo.export_weights(run, tmp_path / "full.safetensors", LICENCE, half=False)
    tensors = {path: sum(t.nbytes for t in load_weights(path)[0].values()) for path in (half, full)}
    assert tensors[half] < 0.7 * tensors[full]
    image, mask = np.random.default_rng(0).random((2, 16, 16, 3)), np.zeros((2, 16, 16))
    a, b = (ofhkit.hallucinate(ofhkit.load_model(path, "cpu"), image, mask).sr for path in (half, full))
    assert np.abs(a - b).max() < 0.01


def test_a_wrong_name_is_answered_with_the_nearest(run, shelf):
    zoo.export_weights(run, shelf / "ofhnet.safetensors", LICENCE)
    with pytest.raises(OfhkitError, match=r"no model 'ofhnt' ships with ofhkit, .* did you mean 'ofhnet'"):
        ofhkit.load_model("ofhnt")
    with pytest.raises(OfhkitError, match=r"no weights .*absent.safetensors"):
        ofhkit.load_model("absent.safetensors")


def test_an_empty_zoo_says_what_to_name(shelf):
    with pytest.raises(OfhkitError, match=r"name the model\.safetensors that tools/train\.py wrote"):
        ofhkit.load_model()


def test_a_finished_run_is_named_by_its_folder(run):
    assert ofhkit.load_model(run, "cpu").info["name"] == "fsrcnn"


def test_scores_are_taken_only_from_results_of_these_weights(run, tmp_path):
    out = tmp_path / "out.safetensors"
    plain = zoo.export_weights(run, out, LICENCE)
    mark = load_weights(plain)[1]["sha256_of_run"][:12]
    results = tmp_path / "results.json"
    protocol = {"data": "faces", "num_images": 5, "checkpoints": {"IN+FSRCNN": mark}}
    rows = [{"method": "OFHNet", "PSNR": 9.0}, {"method": "IN+FSRCNN", "PSNR": 23.5, "parameters": 7, "config": "x"}]
    results.write_text(json.dumps({"protocol": protocol, "rows": rows}))
    header = load_weights(zoo.export_weights(run, out, LICENCE, results=results))[1]
    assert header["metrics"] == {"PSNR": 23.5, "num_images": 5, "test_data": "faces"}
    results.write_text(json.dumps({"protocol": {**protocol, "checkpoints": {"IN+FSRCNN": "0" * 12}}, "rows": rows}))
    with pytest.raises(OfhkitError, match="has no scores of these weights"):
        zoo.export_weights(run, out, LICENCE, results=results)
    results.write_text("[]")
    with pytest.raises(OfhkitError, match=r"is not a results\.json"):
        zoo.export_weights(run, out, LICENCE, results=results)


def test_a_licence_of_several_lines_is_refused(run, tmp_path):
    with pytest.raises(OfhkitError, match="the licence is one line"):
        zoo.export_weights(run, tmp_path / "out.safetensors", "two\nlines")


@pytest.mark.parametrize("name", sorted(zoo.zoo()))
def test_what_ships_restores_a_face_better_than_bicubic_fills_it(name):
    faces = SyntheticFaces(4, seed=3, split="test", cache=False)
    hr = torch.stack([faces[i]["hr"] for i in range(4)])
    mask = torch.zeros(4, 1, 16, 16)
    mask[:, :, 6:12, 3:9] = 1
    lr = downsample_cubic(hr.float() / 255)
    result = ofhkit.hallucinate(
        ofhkit.load_model(name, "cpu"), (lr * (1 - mask)).clamp(0, 1).numpy(), mask[:, 0].numpy()
    )
    black = psnr(upsample_bicubic(lr * (1 - mask)).clamp(0, 1), hr / 255, 1.0)
    assert (psnr(torch.from_numpy(result.sr), hr / 255, 1.0) > black).all()


def test_what_ships_says_what_it_is():
    for name, path in zoo.zoo().items():
        info = load_weights(path)[1]
        assert info["name"] == name
        assert info["metrics"]["PSNR"] > 20
        assert info["licence"]
        assert path.stat().st_size < 6e6
