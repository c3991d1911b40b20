"""Weights by name, release files, and the line that states their licence."""

import hashlib
import json
import re
import warnings

import numpy as np
import pytest
import torch
from pipeline_maker import FSRCNN, write_pack, write_pipeline
from test_tools import call

import ofhkit
from ofhkit import zoo
from ofhkit.errors import OfhkitError
from ofhkit.evaluation.compare import compare
from ofhkit.functional.image_quality import psnr
from ofhkit.functional.resample import downsample_cubic, upsample_bicubic
from ofhkit.models.inpainters import GaussianInpainter
from ofhkit.rendering import SyntheticFaces
from ofhkit.zoo.release import export_weights
from ofhkit.zoo.weights import load_weights, save_weights

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
    file = export_weights(run, shelf / "tiny.safetensors", LICENCE, "smooth noise")
    assert zoo.zoo() == {"tiny": file}
    model = ofhkit.load_model("tiny", "cpu")
    assert capsys.readouterr().err == f"tiny: {LICENCE}\n"
    info = model.info
    assert info["version"] == ofhkit.__version__
    assert info["data"] == {"hash": "hash0", "name": "smooth noise"}
    assert (info["scale"], info["size"]) == (8, 16)
    assert np.shape(info["template"]) == (5, 2)
    assert info["model"]["upsampler"]["type"] == "FSRCNN"


def test_a_network_that_knows_faces_of_one_size_only_is_loaded(tmp_path):
    """The smallest face that is asked for when a file is opened is none for it, and it says so."""
    trunk = dict(type="TrunkUpsampler", channels=8, num_blocks=1, ladder=(8, 8, 8))
    file = write_pipeline(tmp_path / "work", "plus", "OFHNet+", write_pack(tmp_path / "pack"), trunk)
    assert ofhkit.load_model(file, "cpu").info["model"]["upsampler"]["type"] == "TrunkUpsampler"


def test_half_precision_is_smaller_and_answers_alike(run, tmp_path):
    half = export_weights(run, tmp_path / "half.safetensors", LICENCE)
    full = export_weights(run, tmp_path / "full.safetensors", LICENCE, half=False)
    tensors = {path: sum(t.nbytes for t in load_weights(path)[0].values()) for path in (half, full)}
    assert tensors[half] < 0.7 * tensors[full]
    image, mask = np.random.default_rng(0).random((2, 16, 16, 3)), np.zeros((2, 16, 16))
    a, b = (ofhkit.hallucinate(ofhkit.load_model(path, "cpu"), image, mask).sr for path in (half, full))
    assert np.abs(a - b).max() < 0.01


def test_weights_that_16_bits_cannot_hold_are_not_released(run, tmp_path):
    tensors, header = load_weights(run / "model.safetensors")
    tensors["upsampler.deconv.weight"][:] = 1e6
    save_weights(run / "model.safetensors", tensors, header)
    with pytest.raises(OfhkitError, match=r"in 16 bits: the tensor 'upsampler\.deconv\.weight' holds NaN or infinity"):
        export_weights(run, tmp_path / "out.safetensors", LICENCE)
    export_weights(run, tmp_path / "out.safetensors", LICENCE, half=False)


def test_a_wrong_name_is_answered_with_the_nearest(run, shelf):
    export_weights(run, shelf / "ofhnet.safetensors", LICENCE)
    with pytest.raises(OfhkitError, match=r"no model 'ofhnt' ships with ofhkit, .* did you mean 'ofhnet'"):
        ofhkit.load_model("ofhnt")
    with pytest.raises(OfhkitError, match=r"no weights .*absent.safetensors"):
        ofhkit.load_model("absent.safetensors")


def test_an_empty_zoo_says_what_to_name(shelf):
    with pytest.raises(OfhkitError, match=r"name the model\.safetensors that ofhkit train wrote"):
        ofhkit.load_model()


def test_a_finished_run_is_named_by_its_folder(run):
    assert ofhkit.load_model(run, "cpu").info["name"] == "fsrcnn"


def results_of(run, path, rows=None):
    """A results.json in which ``rows`` (default: one with the run's own mark) are the methods' scores."""
    mark = hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest()
    rows = rows or [{"method": "IN+FSRCNN", "PSNR": 23.5, "PSNR_p": 0.5, "params": 7, "checkpoint_sha256": mark}]
    protocol = {"data": "faces", "num_images": 5}
    metrics = {"PSNR": {}, "SSIM": {}}
    path.write_text(
        json.dumps({"protocol": protocol, "metrics": metrics, "rows": [{"method": "OFHNet", "PSNR": 9.0}, *rows]})
    )
    return path


def test_scores_are_taken_only_from_results_of_these_weights(run, tmp_path):
    out, results = tmp_path / "out.safetensors", tmp_path / "results.json"
    export_weights(run, out, LICENCE, results=results_of(run, results))
    assert load_weights(out)[1]["metrics"] == {"PSNR": 23.5, "num_images": 5, "test_data": "faces"}
    own = json.loads(results.read_text())["rows"][1]
    for rows, message in (
        ([{**own, "checkpoint_sha256": "0" * 64}], "has no scores of these weights"),
        ([own, {**own, "method": "IN+bicubic"}], "has 2 rows of these weights"),
    ):
        with pytest.raises(OfhkitError, match=message):
            export_weights(run, out, LICENCE, results=results_of(run, results, rows))
    for text in ("[]", '{"protocol": {}, "rows": [3]}'):
        results.write_text(text)
        with pytest.raises(OfhkitError, match=r"is not a results\.json"):
            export_weights(run, out, LICENCE, results=results)


def test_the_scores_of_a_comparison_are_those_of_the_methods_own_row(run, tmp_path):
    rows = compare([], run.parent, out=tmp_path / "out", device="cpu", quick=True)
    assert [row["method"] for row in rows][-2:] == ["IN+bicubic", "IN+FSRCNN"]
    file = export_weights(run, tmp_path / "a.safetensors", LICENCE, results=tmp_path / "out/results.json")
    assert load_weights(file)[1]["metrics"]["PSNR"] == rows[-1]["PSNR"] != rows[-2]["PSNR"]


def test_a_release_is_given_new_scores_and_keeps_all_else(run, tmp_path):
    file = export_weights(run, tmp_path / "zoo/tiny.safetensors", LICENCE, "smooth noise")
    tensors, header = load_weights(file)
    mark = hashlib.sha256(file.read_bytes()).hexdigest()
    rows = [{"method": "IN+FSRCNN", "PSNR": 20.0, "checkpoint_sha256": mark}]
    export_weights(file, file, results=results_of(run, tmp_path / "results.json", rows))
    again, rescored = load_weights(file)
    assert {k: (v.dtype, v.tolist()) for k, v in again.items()} == {
        k: (v.dtype, v.tolist()) for k, v in tensors.items()
    }
    assert rescored.pop("metrics") == {"PSNR": 20.0, "num_images": 5, "test_data": "faces"}
    assert rescored == header


def test_a_release_takes_another_runs_inpainter(run, tmp_path):
    other = tmp_path / "other/model.safetensors"
    tensors, header = load_weights(run / "model.safetensors")
    prior = GaussianInpainter()
    prior.partial_fit(torch.rand(5, 3, 16, 16), torch.rand(5, 3, 128, 128))
    prior.finalise()
    own = {f"inpainter.{k}": v for k, v in prior.state_dict().items()}
    model = {**header["model"], "inpainter": {"type": "GaussianInpainter"}}
    upsampler = {k: v + 1 for k, v in tensors.items() if k.startswith("upsampler") and v.is_floating_point()}
    save_weights(other, {**own, **upsampler}, {**header, "method": "Gaussian+x", "model": model})
    file = export_weights(run, tmp_path / "mixed.safetensors", LICENCE, half=False, inpainter=other)
    mixed = ofhkit.load_model(file, "cpu")
    assert mixed.info["method"] == "Gaussian+FSRCNN"
    assert "metrics" not in mixed.info
    assert torch.equal(mixed.inpainter.covariance, prior.covariance)
    assert all(torch.equal(v, tensors[f"upsampler.{k}"]) for k, v in mixed.upsampler.state_dict().items())


def test_a_licence_of_several_lines_is_refused(run, tmp_path):
    for licence in ("two\nlines", ""):
        with pytest.raises(OfhkitError, match="the licence is one line"):
            export_weights(run, tmp_path / "out.safetensors", licence)


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


def cards() -> dict[str, dict[str, str]]:
    """Name -> column -> cell of the table in the model cards."""
    lines = [line for line in (zoo.FOLDER / "README.md").read_text().splitlines() if line.startswith("| ")]
    titles, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return {row[0].split("`")[1]: dict(zip(titles, row)) for row in rows}


SHOWN = {"PSNR": ("PSNR", 2), "SSIM": ("SSIM", 4), "LPIPS": ("LPIPS", 4)}
SHOWN |= {"NRMSE (%)": ("NRMSE", 2), "parsing IoU": ("IoU", 4)}  # title in the cards -> name, decimals


def test_cards_headers_and_listing_say_the_same(monkeypatch, capsys):
    assert set(cards()) == set(zoo.zoo()) != set()
    assert call(monkeypatch, "list_models.py") == 0
    listed = re.split(r"^(?=\S)", capsys.readouterr().out, flags=re.M)[1:]
    for name, text in zip(zoo.zoo(), listed):
        card, info = cards()[name], load_weights(zoo.zoo()[name])[1]
        scores = [f"{info['metrics'][key]:.{decimals}f}" for key, decimals in SHOWN.values()]
        assert [card[title] for title in SHOWN] == scores, name
        assert re.findall(r"(?:PSNR|SSIM|LPIPS|NRMSE|IoU) ([\d.]+)", text) == scores, name
        assert text.startswith(f"{name}{' (default)' * (name == zoo.DEFAULT_MODEL)}: {info['method']}, ")
        assert ("(default)" in card["name"]) == (name == zoo.DEFAULT_MODEL)
        assert re.split(",| with ", card["method"])[0] == info["method"]
        assert f"budget {info['budget']:g}" in card["trained on"]


def test_a_model_that_is_free_to_use_brings_no_research_weights_along():
    assert zoo.completer_for(ofhkit.load_model("ofhnet-synthetic", "cpu"), "cpu") is None
    assert zoo.completer_for(ofhkit.load_model("ofhnet", "cpu"), "cpu") is not None


@pytest.mark.parametrize("name", sorted(zoo.zoo()))
def test_what_is_no_face_stays_a_picture_and_the_fast_form_is_used(name):
    """A network whose numbers grow from block to block on noise would also refuse its fast form."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = ofhkit.load_model(name, "cpu")
        if hasattr(model.upsampler, "fused"):
            ofhkit.load_model(name, "cpu", fuse=True)
    noise = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert model.upsample(noise, torch.zeros(4, 1, 16, 16)).abs().max() < 100
