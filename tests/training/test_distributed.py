"""Two gloo processes against one: the same losses, weights and metrics; and what happens when one is killed.

Tolerance: the toy GAN runs in float64 and agrees to 1e-10; the real curriculum runs in float32 with SGD and agrees to
1e-4 (Adam turns the rounding of a gradient near zero into a whole step).
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from celeba_maker import MadeCelebA
from curriculum_maker import ENVIRONMENT, OFHNET, ROOT, command, write_config
from process_maker import finish, normalise, start, train_gan
from safetensors.torch import load_file

from ofhkit.errors import OfhkitError
from ofhkit.runtime.distributed import on_main, processes
from ofhkit.runtime.launchers import find_rank
from ofhkit.training.curriculum import Options, train

SGD = """
for _stage in stages.values():
    _stage["optimizer"] = dict(type="SGD", lr=0.05)
stages["upsampler"]["discriminator_optimizer"] = dict(type="SGD", lr=0.05)
model |= dict(landmark_prior=None, losses=dict(structure=dict(type="AdversarialLoss")))  # the landmark network is slow
evaluation |= dict(after_training=8, batch_size=3)
"""
NUMBERS = ("PSNR", "SSIM", "PSNR_hole")
TWO = ("--launcher", "pytorch")


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> tuple[dict, dict]:
    """What one process and what two compute."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    for code, _, errors in finish(start([sys.executable, str(ROOT / "tests/process_maker.py"), str(two)])):
        assert code == 0, errors
    assert len(list(two.glob("iter_*.pth"))) == 2
    assert sorted(p.name == "train.log" for p in two.rglob("*.log")) == [False, True]  # ours and MMEngine's, of rank 0
    return {"gan": train_gan(one), "norms": normalise()}, {
        **torch.load(two / "found.pth", weights_only=True),
        "folder": two,
    }


def close(one, two, tolerance: float) -> None:
    assert one.keys() == two.keys()
    for key, value in one.items():
        if isinstance(value, dict):
            close(value, two[key], tolerance)
        else:
            found, expected = torch.as_tensor(two[key]), torch.as_tensor(value)
            torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.slow
def test_the_same_global_batch_gives_the_same_losses_and_weights(found):
    one, two = (f["gan"] for f in found)
    assert len(one["losses"]) == 9
    assert one["losses"][0] != one["losses"][-1]
    for a, b in zip(one["losses"], two["losses"], strict=True):
        close(a, b, 1e-10)
    close(one["weights"], two["weights"], 1e-10)


def test_what_two_processes_saved_one_goes_on_with(found, tmp_path):
    (saved,) = found[1]["folder"].glob("iter_00000008.pth")
    shutil.copy(saved, tmp_path)
    resumed = train_gan(tmp_path)
    assert len(resumed["losses"]) == 1
    close(found[0]["gan"]["weights"], resumed["weights"], 1e-10)


def test_every_image_is_scored_once_and_in_order(found):
    one, two = (f["gan"] for f in found)
    assert list(two["each"]) == list(one["each"]) == list(range(10, 17))
    close(one["means"], two["means"], 1e-10)
    close(one["each"], two["each"], 1e-10)


def test_batch_norm_sees_the_whole_batch_with_unequal_shares(found):
    one, two = (f["norms"] for f in found)
    assert len(one) == 3
    for name in one:
        renamed = {key.removeprefix("0."): value for key, value in one[name].items()}
        close(renamed, {key.removeprefix("0."): value for key, value in two[name].items()}, 1e-9)


@pytest.mark.slow
def test_a_killed_process_ends_the_job_which_goes_on_to_the_same_result(tmp_path):
    faces = tmp_path / "raw"
    MadeCelebA(40).flat(faces)
    config = write_config(tmp_path, "ofhnet", "OFHNet", OFHNET, SGD)
    train(config, Options(work_dir=tmp_path / "one", device="cpu"), faces)

    job = start(command(config, faces, tmp_path / "two", *TWO))
    for line in job[0].stderr:
        if line.startswith("[inpainter]"):
            break
    job[1].send_signal(signal.SIGKILL)
    (code, _, errors), _ = finish(job, seconds=60)
    assert code == 2
    assert errors.count("error:") == 1
    assert "another process was killed or cannot be reached" in errors
    assert "Traceback" not in errors

    results = finish(start(command(config, faces, tmp_path / "two", *TWO)))
    assert [code for code, _, _ in results] == [0, 0], results
    assert "goes on at iteration" in results[0][2] or "already done" in results[0][2]
    assert results[1][1:] == ("", "")  # the second process prints nothing
    one, two = (load_file(tmp_path / name / "ofhnet_tiny/model.safetensors") for name in ("one", "two"))
    close(one, two, 1e-4)

    scored = [tmp_path / name / "ofhnet_tiny" for name in ("one", "two")]
    rows = [json.loads((folder / "results.json").read_text())["rows"] for folder in scored]
    assert "OFHNet" in results[0][1]  # the table that the first process printed
    for a, b in zip(*rows, strict=True):
        close({k: v for k, v in a.items() if k in NUMBERS}, {k: v for k, v in b.items() if k in NUMBERS}, 1e-4)
    indices = [[line.split(",")[:2] for line in (f / "per_image.csv").read_text().split()] for f in scored]
    assert indices[0] == indices[1]


def test_places_come_from_what_the_launcher_set():
    nodes = dict(SLURM_JOB_ID="77", SLURM_STEP_ID="0", SLURM_NODELIST="gpu[03-05,9]", SLURM_NTASKS="16")
    slurm = dict(SLURM_PROCID="5", SLURM_STEP_NUM_TASKS="8", SLURM_LOCALID="1", **nodes)
    place = find_rank("slurm", slurm)
    assert (place.rank, place.world_size, place.local_rank, place.address) == (5, 8, 1, "gpu03:20077")
    assert find_rank("slurm", {**slurm, "SLURM_STEP_ID": "1"}).port != place.port
    mpi = dict(PMI_RANK="1", PMI_SIZE="2", MPI_LOCALRANKID="1", MASTER_ADDR="h", MASTER_PORT="1")
    assert find_rank("mpi", mpi).address == "h:1"
    places = dict(OMPI_COMM_WORLD_RANK="0", OMPI_COMM_WORLD_SIZE="2", OMPI_COMM_WORLD_LOCAL_RANK="0")
    jobs = [find_rank("mpi", {**places, "PMIX_NAMESPACE": name}) for name in ("145", "146", "145")]
    assert jobs[0].port == jobs[2].port != jobs[1].port


def test_a_batch_script_that_srun_did_not_start_waits_for_nobody():
    batch = dict(SLURM_PROCID="0", SLURM_NTASKS="8", SLURM_LOCALID="0", SLURM_JOB_ID="77", SLURM_NODELIST="gpu03")
    with pytest.raises(OfhkitError, match=r"SLURM_STEP_NUM_TASKS is not set\); start with srun"):
        find_rank("slurm", batch)


SLURM = dict(SLURM_STEP_NUM_TASKS="2", SLURM_JOB_NODELIST="localhost", SLURM_STEP_ID="0", SLURM_JOB_ID=str(os.getpid()))
OPEN_MPI = dict(OMPI_COMM_WORLD_SIZE="2", OMPI_COMM_WORLD_LOCAL_SIZE="2", PMIX_NAMESPACE=str(os.getpid()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "job", "numbers"),
    [
        ("slurm", SLURM, ("SLURM_PROCID", "SLURM_LOCALID")),
        ("mpi", OPEN_MPI, ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK")),
    ],
)
def test_two_processes_meet_by_what_slurm_and_mpi_set(launcher, job, numbers):
    """The variables are those that srun 22.05 and Open MPI's mpirun 4.1 were seen to set."""
    met = (
        "from ofhkit.runtime.distributed import *\n"
        "with processes({!r}, 'cpu'):\n    print(gather(rank()), world_size())"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", met.format(launcher)],
            env={**ENVIRONMENT, **job, **dict.fromkeys(numbers, str(number))},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    assert [(code, out) for code, out, _ in finish(started)] == [(0, "[0, 1] 2\n")] * 2


@pytest.mark.parametrize(
    ("launcher", "message"),
    [
        ("pytorch", r"not started by it \(RANK is not set\); start with torchrun --nproc_per_node N"),
        ("slurm", r"SLURM_PROCID is not set\); start with srun"),
        ("mpi", r"OMPI_COMM_WORLD_RANK is not set\); start with mpirun"),
        ("pytorhc", "did you mean 'pytorch'"),
    ],
)
def test_a_launcher_that_did_not_start_this_is_a_sentence(launcher, message):
    with pytest.raises(OfhkitError, match=message):
        find_rank(launcher, {})


RESTARTED = """
import os
from ofhkit.commands.options import run
from ofhkit.runtime.distributed import gather, processes, rank
from ofhkit.errors import OfhkitError

def main():
    with processes("pytorch", "cpu"):
        if os.environ["TORCHELASTIC_RESTART_COUNT"] == "0" and rank() == 1:
            os._exit(9)
        raise OfhkitError(f"the processes {gather(rank())} are together")

run(main)
"""


@pytest.mark.slow
def test_processes_that_torchrun_starts_again_find_each_other_and_tell_once(tmp_path):
    """The store of the first attempt outlives it: its addresses and what was told in it mean nothing to the second."""
    (tmp_path / "tool.py").write_text(RESTARTED)
    arguments = ["--standalone", "--nproc_per_node", "2", "--max-restarts", "1", str(tmp_path / "tool.py")]
    torchrun = [sys.executable, "-m", "torch.distributed.run", *arguments]
    done = subprocess.run(torchrun, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    said = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert done.returncode != 0
    assert len(said) == 2, done.stderr
    assert "another process was killed or cannot be reached" in said[0]
    assert said[1] == "error: the processes [0, 1] are together"


def test_one_gpu_for_all_processes_is_refused(monkeypatch):
    for name, value in dict(RANK="0", WORLD_SIZE="2", LOCAL_RANK="0").items():
        monkeypatch.setenv(name, value)
    with pytest.raises(OfhkitError, match="--device cuda:1: each of several processes"), processes("pytorch", "cuda:1"):
        pass


def test_torchrun_without_launcher_is_refused(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(OfhkitError, match="torchrun started 2 processes: add --launcher pytorch"), processes():
        pass
    assert on_main(lambda: Path("x")) == Path("x")  # alone, it is a plain call
