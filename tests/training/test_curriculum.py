"""A whole curriculum on drawn faces in CelebA's format: trained, killed, continued, reused, tabulated."""

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from celeba_maker import MadeCelebA
from curriculum_maker import ENVIRONMENT, OFHNET, command, write_config
from safetensors.numpy import load_file

from ofhkit.config import load_config
from ofhkit.config.check import complete
from ofhkit.errors import OfhkitError
from ofhkit.evaluation.compare import compare
from ofhkit.training.curriculum import Options, _is_done, place_stages, plan_stages, train
from ofhkit.zoo import load_model
from ofhkit.zoo.weights import load_weights, save_weights

METHODS = ["mean face", "Telea+bicubic", "IN+bicubic", "IN+Ma", "IN+FSRCNN", "OFHNet"]


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("celeba") / "raw"
    MadeCelebA(40).flat(root)
    return root


@pytest.fixture(scope="module")
def configs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("configs")
    for name, method, model in (("ofhnet", "OFHNet", OFHNET), ("fsrcnn", "IN+FSRCNN", ""), ("ma", "IN+Ma", "")):
        write_config(folder, name, method, model)
    return folder


def run(arguments: list[str]) -> subprocess.CompletedProcess:
    return subprocess.run(arguments, env=ENVIRONMENT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def trained(faces, configs, tmp_path_factory) -> Path:
    """One uninterrupted run of the tool."""
    work = tmp_path_factory.mktemp("work")
    done = run(command(configs / "ofhnet_tiny.py", faces, work))
    assert done.returncode == 0, done.stderr
    assert " 10/10 " in done.stderr
    assert max(len(line) for line in done.stderr.splitlines() if "/10 " in line or "total" in line) <= 80
    assert "ETA" in (work / "ofhnet_tiny/upsampler/train.log").read_text()
    return work


@pytest.mark.slow
def test_a_run_leaves_weights_and_pictures_and_no_checkpoints(trained):
    own = trained / "ofhnet_tiny"
    assert {p.name.rpartition("-")[0] for p in (trained / "shared").iterdir()} == {"inpainter", "landmarks"}
    assert (own / "model.safetensors").is_file()
    assert list((own / "upsampler/samples").glob("*.png"))
    assert not list(trained.rglob("iter_*.pth"))
    model = load_model(own / "model.safetensors", "cpu")
    assert model.info["method"] == "OFHNet"
    assert model.scale == 8
    spent = [load_weights(file)[1]["core_seconds"] for file in trained.rglob("weights.safetensors")]
    assert min(spent) > 0
    assert model.info["core_hours"] == round(sum(spent) / 3600, 4)


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_to_the_same_bits(trained, faces, configs, tmp_path):
    expected = load_file(trained / "ofhnet_tiny/model.safetensors")
    kills = 0
    for delay in (0.0, 0.05, 0.2, 0.4):
        process = subprocess.Popen(
            command(configs / "ofhnet_tiny.py", faces, tmp_path), env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
        )
        for line in process.stderr:
            if line.startswith(("[inpainter]", "[upsampler]")):
                break
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
    assert kills >= 2
    done = run(command(configs / "ofhnet_tiny.py", faces, tmp_path))
    assert done.returncode == 0, done.stderr
    found = load_file(tmp_path / "ofhnet_tiny/model.safetensors")
    assert all((found[k] == expected[k]).all() for k in expected)


@pytest.mark.slow
def test_what_a_kill_left_beside_finished_weights_is_removed(trained, faces, configs, tmp_path):
    shutil.copytree(trained, tmp_path / "work")
    own = tmp_path / "work/ofhnet_tiny"
    left = [own / ".model.safetensors.a.tmp", own / "upsampler/iter_00000010.pth", own / "upsampler/.best.a.tmp"]
    for path in left:
        path.write_bytes(b"torn")
    done = run(command(configs / "ofhnet_tiny.py", faces, tmp_path / "work"))
    assert done.returncode == 0, done.stderr
    assert not [path for path in left if path.exists()]


def options(work: Path, **more) -> Options:
    return Options(work_dir=work, device="cpu", **more)


@pytest.mark.slow
def test_methods_share_the_inpainter_and_the_table_has_every_row(trained, faces, configs, tmp_path, capsys):
    before = (trained / "shared").stat().st_mtime_ns
    for name in ("fsrcnn", "ma"):
        train(configs / f"{name}_tiny.py", options(trained), faces)
    assert (trained / "shared").stat().st_mtime_ns == before  # nothing new was trained there
    rows = compare([], work_dir=trained, data_root=faces, out=tmp_path, device="cpu")
    assert [row["method"] for row in rows] == METHODS
    stored = json.loads((tmp_path / "results.json").read_text())
    assert stored["rows"] == rows
    assert stored["protocol"]["num_images"] == 8
    assert all(isinstance(row[m], float) for row in rows for m in ("PSNR", "SSIM"))
    assert (tmp_path / "table1.md").read_text() in capsys.readouterr().out


@pytest.mark.parametrize("name", ["ma_celeba", "ofhnet_plus_celeba", "ofhnet_synthetic"])
def test_each_stage_knows_its_place_and_about_what_follows(name):
    config = load_config(name)
    config.model = complete(config.model, "model")
    plan = plan_stages(config, 0.01)
    place_stages(plan, config.model)
    places = [(stage.place, stage.later) for stage in plan.values()]
    assert [place for place, _ in places] == [f"stage {i + 1} of {len(plan)}" for i in range(len(plan))]
    assert places[-1][1] == 0
    assert all(later >= 0 for _, later in places)
    assert name != "ofhnet_synthetic" or places[0][1] > places[1][1] / 2 > 0


@pytest.mark.slow
def test_a_finished_run_is_not_done_again_and_fresh_sets_it_aside(trained, faces, configs):
    weights = trained / "ofhnet_tiny/upsampler/weights.safetensors"
    before = weights.stat().st_mtime_ns
    train(configs / "ofhnet_tiny.py", options(trained), faces)
    assert weights.stat().st_mtime_ns == before
    train(configs / "ofhnet_tiny.py", options(trained, fresh=True, stages=("upsampler",)), faces)
    assert weights.stat().st_mtime_ns != before
    assert (trained / "ofhnet_tiny/upsampler.before-1/weights.safetensors").is_file()


def test_an_incomplete_file_of_a_finished_step_is_not_filled_up_with_random_numbers(trained, faces, configs, tmp_path):
    work = shutil.copytree(trained, tmp_path / "work")
    (work / "ofhnet_tiny/model.safetensors").unlink()
    file = work / "ofhnet_tiny/upsampler/weights.safetensors"
    tensors, header = load_weights(file)
    save_weights(file, {name: t for name, t in tensors.items() if name != "head3.bias"}, header)
    with pytest.raises(OfhkitError, match=r"upsampler/weights\.safetensors does not fit .*missing: head3\.bias"):
        train(configs / "ofhnet_tiny.py", options(work), faces)
    assert not (work / "ofhnet_tiny/model.safetensors").exists()


def test_budget_and_seed_are_other_results(trained, faces, configs, tmp_path):
    train(configs / "ofhnet_tiny.py", options(tmp_path, budget=0.5, stages=("inpainter",)), faces)
    other = json.loads(next((tmp_path / "shared").glob("inpainter-*/stage.json")).read_text())
    first = json.loads(next((trained / "shared").glob("inpainter-*/stage.json")).read_text())
    assert (first["spec"]["iterations"], other["spec"]["iterations"]) == (10, 5)
    assert first["digest"] != other["digest"]
    assert not (tmp_path / "ofhnet_tiny/model.safetensors").exists()  # not finished: nothing to be tested


def test_a_stage_is_not_built_on_nothing(faces, configs, tmp_path):
    with pytest.raises(OfhkitError, match="'upsampler' needs 'inpainter', which is not done: add it to --stages"):
        train(configs / "ofhnet_tiny.py", options(tmp_path, stages=("upsampler",)), faces)


def test_untrained_configurations_are_listed_with_their_commands(configs, trained, tmp_path):
    names = [configs / "ofhnet_tiny.py", configs / "ma_tiny.py"]
    with pytest.raises(OfhkitError, match=r"(?s)not trained .*ofhkit train .*ofhnet_tiny.*ofhkit train .*ma_tiny"):
        compare(names, work_dir=tmp_path)
    with pytest.raises(OfhkitError, match="nothing is trained under"):
        compare([], work_dir=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stages", "inpainters"], "no stage 'inpainters'; did you mean 'inpainter'?"),
        (["--budget", "-1"], "--budget: -1 is no positive number"),
        (["--device", "gpu"], "--device takes auto, cpu, cuda or mps, got 'gpu'"),
        (["--cfg-options", "model.upsampler.type=FSRCN"], "did you mean 'FSRCNN'?"),
        (["--data-root", "nowhere"], "no data in nowhere"),
        (["--bugdet", "1"], "did you mean '--budget'?"),
    ],
)
def test_mistakes_are_one_sentence(configs, faces, tmp_path, arguments, message):
    done = subprocess.run(
        command(configs / "ofhnet_tiny.py", faces, tmp_path / "w", *arguments),
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("content", ["", "[]", "5", '{"digest": {}}', '{"digest"'])
def test_a_damaged_stage_json_is_a_stage_that_is_not_done(tmp_path, content):
    (tmp_path / "stage.json").write_text(content)
    (tmp_path / "weights.safetensors").write_bytes(b"")
    assert not _is_done(tmp_path, "mark", anew=False)
