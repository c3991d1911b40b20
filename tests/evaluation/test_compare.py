"""One command from finished pipelines to tables; the numbers are those of the metrics, the texts those of the rows."""

import csv
import json
import math
import shutil
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from pipeline_maker import FSRCNN, ROOT, write_pack, write_pipeline
from skimage.metrics import peak_signal_noise_ratio

from ofhkit.data.packed import PackedFaces
from ofhkit.errors import OfhkitError
from ofhkit.evaluation.compare import compare
from ofhkit.evaluation.figures import make_gallery
from ofhkit.functional.statistics import paired_p_value
from ofhkit.registry import METRICS, UPSAMPLERS

LIMITED = {"data.dataset.limit": 4}  # as in a short training; --limit goes before it
METHODS = ["mean face", "Telea+bicubic", "IN+bicubic", "IN+FSRCNN", "OFHNet"]


@pytest.fixture(scope="module")
def result(work, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    return compare([], work_dir=work, out=out, device="cpu"), out


@pytest.mark.slow
def test_a_release_file_is_scored_as_its_run(work, pack, tmp_path):
    file = tmp_path / "small.safetensors"
    shutil.copy(work / "fsrcnn/model.safetensors", file)
    options = dict(out=tmp_path / "out", device="cpu", metrics=["psnr"], data_root=pack, alone=True)
    (run,), (release,) = (compare([what], **options) for what in (work / "fsrcnn", file))
    assert release["PSNR"] == run["PSNR"]
    assert (release["method"], release["config"]) == ("IN+FSRCNN", "small")


@pytest.mark.slow
def test_flips_are_named_and_cost_twice_the_upsampler(work, tmp_path):
    plain, twice = (
        {
            r["method"]: r
            for r in compare([], work_dir=work, out=tmp_path / str(f), device="cpu", limit=2, metrics=["psnr"], flips=f)
        }
        for f in (False, True)
    )
    assert {"OFHNet, flips", "IN+FSRCNN, flips"} <= twice.keys()
    before, after = plain["OFHNet"], twice["OFHNet, flips"]
    assert before["PSNR"] != after["PSNR"]
    assert 1.5 < after["gmacs"] / before["gmacs"] < 2


@pytest.mark.slow
def test_every_row_and_every_number(result):
    rows, out = result
    assert [row["method"] for row in rows] == METHODS
    stored = json.loads((out / "results.json").read_text())
    assert stored["rows"] == rows
    wanted = ["PSNR", "SSIM", "LPIPS", "NRMSE", "PSNR_hole", "PSNR_known", "params", "gmacs", "ms_per_image"]
    for row in rows:
        assert all(isinstance(row[key], float | int) and math.isfinite(row[key]) for key in wanted)
        low, high = row["PSNR_ci95"]
        assert low <= row["PSNR"] <= high
    assert "null" not in (out / "results.json").read_text()


def test_a_row_carries_the_mark_of_its_own_weights_only(result):
    marks = {row["method"]: row["checkpoint_sha256"] for row in result[0] if "checkpoint_sha256" in row}
    assert set(marks) == {"IN+FSRCNN", "OFHNet"}
    assert marks["IN+FSRCNN"] != marks["OFHNet"]


def test_the_mean_face_scores_what_numpy_says(result, pack):
    rows, _ = result
    train, test = PackedFaces(pack, "train"), PackedFaces(pack, "test")
    mean = np.mean([train[i]["hr"].numpy() / 255.0 for i in range(len(train))], 0)
    expected = [peak_signal_noise_ratio(test[i]["hr"].numpy() / 255.0, mean, data_range=1) for i in range(len(test))]
    assert rows[0]["PSNR"] == pytest.approx(np.mean(expected), abs=1e-4)
    assert rows[0]["params"] == 3 * 128 * 128
    assert rows[0]["gmacs"] == rows[0]["budget"] == 0
    assert "LRPSNR" not in rows[0]


def test_per_image_values_give_means_and_p_values(result):
    rows, out = result
    values: dict[str, list] = {}
    for line in csv.DictReader((out / "per_image.csv").open()):
        values.setdefault(line["method"], []).append(float(line["PSNR"]))
        assert 16 < float(line["hole_area"]) < 64
    assert list(values) == METHODS
    best = max(rows, key=lambda row: row["PSNR"])
    for row in rows:
        assert np.mean(values[row["method"]]) == pytest.approx(row["PSNR"], rel=1e-12)
        if row is best:
            assert "PSNR_p" not in row
        else:
            assert row["PSNR_p"] == paired_p_value(values[row["method"]], values[best["method"]])


def test_the_tables_stand_in_four_formats_beside_the_papers_numbers(result, capsys):
    _, out = result
    for stem in ("table1", "table2"):
        assert all((out / f"{stem}.{kind}").stat().st_size for kind in ("md", "csv", "tex", "json"))
    text = (out / "table1.md").read_text()
    line = next(line for line in text.splitlines() if line.startswith("| OFHNet"))
    assert "20.44" in line
    assert "0.63" in line
    assert "data_hash: hash0" in text
    assert "which no loss has used" in text
    assert "num_images: 5" in text
    assert "5.33" in (out / "table2.tex").read_text()
    protocol = json.loads((out / "table2.json").read_text())["protocol"]
    assert set(protocol["checkpoints"]) == {"IN+FSRCNN", "OFHNet"}  # IN+bicubic has no file of its own
    assert cv2.imread(str(out / "grid.png")).shape[1] > 7 * 128


@pytest.mark.slow
def test_metrics_can_be_chosen(work, tmp_path):
    rows = compare([], work_dir=work, out=tmp_path, device="cpu", metrics=["psnr"], limit=2, cfg_options=LIMITED)
    assert not {"SSIM", "LPIPS", "NRMSE"} & set(rows[0])
    assert "num_images: 2" in (tmp_path / "table1.md").read_text()
    assert not (tmp_path / "table2.md").exists()
    with pytest.raises(OfhkitError, match="no metric 'ssm'; did you mean 'ssim'"):
        compare([], work_dir=work, out=tmp_path, device="cpu", metrics=["ssm"])


def test_rows_of_different_protocols_are_refused(pack, tmp_path):
    write_pipeline(tmp_path, "one", "IN+FSRCNN", pack, FSRCNN)
    write_pipeline(tmp_path, "two", "IN+VDSR", pack, FSRCNN, data="other")
    with pytest.raises(OfhkitError, match=r"were trained on different faces \(data hashes hash0 and other\)"):
        compare([], work_dir=tmp_path, device="cpu")


def test_rows_of_one_method_are_told_apart(pack, tmp_path):
    write_pipeline(tmp_path, "short", "OFHNet", pack, FSRCNN)
    write_pipeline(tmp_path, "long", "OFHNet", pack, FSRCNN)
    rows = compare([], work_dir=tmp_path, out=tmp_path, device="cpu", quick=True)
    assert [row["method"] for row in rows[-2:]] == ["OFHNet (long)", "OFHNet (short)"]
    assert "ms_per_image" not in rows[0]


def test_runs_that_differ_in_their_seed_get_a_mean_with_its_deviation(pack, tmp_path):
    for seed in range(3):
        stored = write_pipeline(tmp_path, f"run{seed}", "OFHNet", pack, FSRCNN, seed=seed).with_name("config.json")
        config = json.loads(stored.read_text())
        stored.write_text(json.dumps({**config, "runtime": {**config["runtime"], "seed": seed}}))
    write_pipeline(tmp_path, "other", "OFHNet", pack, FSRCNN, budget=1.0)
    rows = compare([], work_dir=tmp_path, out=tmp_path / "out", device="cpu", quick=True, alone=True)
    runs = [row["PSNR"] for row in rows if row["config"].startswith("run") and row["config"] != rows[-1]["config"]]
    assert rows[-1]["method"] == "OFHNet, mean of 3 seeds"
    assert (rows[-1]["PSNR"], rows[-1]["PSNR_sd"]) == pytest.approx((np.mean(runs), np.std(runs, ddof=1)))
    assert (len(runs), len(rows), rows[-1]["params"]) == (3, 5, rows[0]["params"])
    line = next(x for x in (tmp_path / "out/table1.md").read_text().splitlines() if "mean of 3" in x)
    assert f"± {np.std(runs, ddof=1):.2f}" in line


def test_no_training_faces_no_mean_face(tmp_path):
    pack = write_pack(tmp_path / "test_only", (0, 0, 3))
    write_pipeline(tmp_path, "one", "IN+FSRCNN", pack, FSRCNN)
    rows = compare([], work_dir=tmp_path, out=tmp_path, device="cpu", quick=True)
    assert [row["method"] for row in rows] == ["Telea+bicubic", "IN+bicubic", "IN+FSRCNN"]
    assert "no row for the mean face" in (tmp_path / "table1.md").read_text()


def test_the_parser_has_no_row(pack, tmp_path, capsys):
    parser, method = ROOT / "configs/parser_synthetic.py", ROOT / "configs/fsrcnn_celeba.py"
    write_pipeline(tmp_path, "fsrcnn_celeba", "IN+FSRCNN", pack, FSRCNN)
    rows = compare([parser, method], work_dir=tmp_path, out=tmp_path, device="cpu", quick=True)
    assert rows[-1]["method"] == "IN+FSRCNN"
    assert "parser_synthetic.py trains no method and has no row" in capsys.readouterr().err
    with pytest.raises(OfhkitError, match=r"parser_synthetic.py describes no method"):
        compare([parser], work_dir=tmp_path, device="cpu")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_broken_weights_are_not_scored(pack, tmp_path, value):
    from safetensors import safe_open
    from safetensors.torch import save_file

    path = write_pipeline(tmp_path, "one", "IN+FSRCNN", pack, FSRCNN)
    with safe_open(path, "pt") as file:
        tensors, header = {k: file.get_tensor(k) for k in file.keys()}, file.metadata()  # noqa: SIM118
    tensors["upsampler.deconv.bias"] = tensors["upsampler.deconv.bias"] + value
    save_file(tensors, path, header)
    with pytest.raises(OfhkitError, match="holds NaN or infinity"):
        compare([], work_dir=tmp_path, out=tmp_path / "out", device="cpu", quick=True)
    assert not (tmp_path / "out" / "results.json").exists()


def test_a_missing_plugin_is_named_with_the_option_that_loads_it(pack, tmp_path, monkeypatch):
    stored = write_pipeline(tmp_path, "one", "IN+FSRCNN", pack, FSRCNN).with_name("config.json")
    stored.write_text(json.dumps({**json.loads(stored.read_text()), "custom_imports": ["beside/mine.py"]}))
    monkeypatch.delitem(UPSAMPLERS.module_dict, "FSRCNN")
    message = r"/one/model.safetensors: .*unknown upsampler 'FSRCNN'.*with a plugin: --plugins beside/mine.py"
    for named in ([], [tmp_path / "one"]):
        with pytest.raises(OfhkitError, match=message):
            compare(named, work_dir=tmp_path, device="cpu")


def test_the_folder_of_a_run_stands_for_it(pack, tmp_path):
    run = write_pipeline(tmp_path / "elsewhere", "own+limit=4", "OFHNet", pack, FSRCNN).parent
    rows = compare([run], work_dir=tmp_path, out=tmp_path, device="cpu", quick=True)
    assert rows[-1]["config"] == "own+limit=4"
    weights = run / "model.safetensors"
    rows = compare([run], work_dir=tmp_path, out=tmp_path, device="cpu", quick=True, checkpoint=weights)
    assert rows[-1]["config"] == "own+limit=4"
    weights.unlink()
    with pytest.raises(OfhkitError, match=r"own\+limit=4 holds no finished run \(no model\.safetensors\)"):
        compare([run], work_dir=tmp_path, device="cpu")


@pytest.mark.parametrize(("metric", "worst"), [("PSNR", "worst 7.00"), ("LPIPS", "worst 11.0000")])
def test_the_worst_faces_are_worst_by_what_the_metric_says(pack, metric, worst):
    faces = {key: torch.rand(5, 3, 16, 16) for key in ("lr", "completed", "sr", "hr")}
    values = {i: {metric: value} for i, value in enumerate([9.0, 8.0, 7.0, 11.0, 10.0])}
    pipeline = SimpleNamespace(predict=lambda batch: faces)
    scored = SimpleNamespace(row={"method": "A"}, per_image=values, pipeline=pipeline)
    metrics = [METRICS.build(dict(type=metric))]
    labels, _ = make_gallery([scored], PackedFaces(pack, "test"), lambda batch: faces, metrics, faces=[0])
    assert labels[:2] == ["face 0", worst]
