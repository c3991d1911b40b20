"""SIGKILL at any moment, also during a save and during preparation: the same command goes on, and nothing differs.

python -m pytest -m long tests/robustness/test_kills.py    # 100 kills of each
"""

import random
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from celeba_maker import MadeCelebA
from curriculum_maker import OFHNET, ROOT, command, write_config
from forked import Job
from safetensors.numpy import load_file

TOOL = ROOT / "tools/prepare_celeba.py"
KILLS = [2, pytest.param(100, marks=pytest.mark.long)]
A_RUN = 5  # kills of the same run
PACK = ("faces.npy", "index.npz", "pack.json")


class Killer:
    """Starts a command again and again, and kills it at moments between ``first`` and ``last`` seconds."""

    def __init__(self, arguments: list[str], log: Path, kills: int = 0, seed: int = 0):
        self.arguments, self.log, self.left = arguments, log, kills
        self.draw = random.Random(seed)
        self.killed = self.in_a_save = 0
        self.first = self.last = 0.0

    def measure(self, started: Path) -> None:
        """Let the command end once; ``started`` exists as soon as it has begun to write."""
        job = self._start()
        start = time.monotonic()
        while not started.exists() and job.running:
            time.sleep(0.01)
        self.first = time.monotonic() - start
        assert job.wait() == 0, job.said()
        self.last = time.monotonic() - start

    def until_done(self, folder: Path) -> None:
        """Kill and start again, until it ends by itself or no kill is left; then let it end."""
        while self.left:
            job = self._start()
            if self._kill(job, folder):
                self.left, self.killed = self.left - 1, self.killed + 1
            else:
                assert job.wait() == 0, job.said()
                return
        job = self._start()
        assert job.wait() == 0, job.said()

    def _start(self) -> Job:
        return Job(self.arguments, self.log)

    def _kill(self, job: Job, folder: Path) -> bool:
        """At a random moment, or, every other time, in the first save after it; False if it has ended before."""
        third = (
            self.first + (self.last - self.first) / 3
        )  # so that a run, which goes on where it was, is killed several times
        moment = time.monotonic() + self.draw.uniform(self.first * 0.9, third)
        wants_save = self.draw.random() < 0.5
        while time.monotonic() < moment or (wants_save and not (saving := list(folder.rglob(".*.tmp")))):
            if not job.running:
                return False
            time.sleep(0.003)
        self.in_a_save += bool(wants_save and saving)
        job.kill()
        return job.process.exitcode == -signal.SIGKILL


def attack(reference: Killer, whole: Path, kills: int, counts, check: Callable[[Path], None]) -> None:
    """Kill runs, four at a time, until there were so many kills; each must end as ``check`` says."""

    def one(number: int) -> Killer:
        out = whole.with_name(f"run{number}")
        arguments = [str(out) if argument == str(whole) else argument for argument in reference.arguments]
        killer = Killer(arguments, whole.with_name(f"log{number}"), min(A_RUN, kills), number)
        killer.first, killer.last = reference.first, reference.last
        killer.until_done(out)
        check(out)
        return killer

    while counts["cases"] < kills:
        first, left = counts.get("runs that ended with the same bits", 0), kills - counts["cases"]
        assert first < 20 + kills
        with ThreadPoolExecutor(4) as pool:
            for killer in pool.map(one, range(first, first + min(4, -(-left // A_RUN)))):
                counts.add(cases=killer.killed, in_a_save=killer.in_a_save, runs_that_ended_with_the_same_bits=1)
    counts.done()


@pytest.mark.parametrize("kills", KILLS)
def test_a_killed_training_ends_bit_equal(tmp_path, kills, counts):
    pack, whole = tmp_path / "pack", tmp_path / "whole"
    raw = MadeCelebA(20).flat(tmp_path / "raw")
    assert Job([TOOL, "--root", raw, "--out", pack, "--workers", "0"], tmp_path / "log").wait() == 0
    config = write_config(tmp_path, "ofhnet", "OFHNet", OFHNET)
    reference = Killer(command(config, pack, whole)[1:], tmp_path / "log")
    reference.measure(whole)
    expected = load_file(whole / "ofhnet_tiny/model.safetensors")

    def check(work):
        found = load_file(work / "ofhnet_tiny/model.safetensors")
        assert found.keys() == expected.keys()
        assert all(np.array_equal(found[name], expected[name]) for name in expected)
        assert not [path for path in work.rglob("*") if path.suffix in (".tmp", ".pth")]

    attack(reference, whole, kills, counts("SIGKILL of a training"), check)


@pytest.mark.parametrize("kills", KILLS)
def test_a_killed_preparation_ends_byte_equal(tmp_path, kills, counts):
    raw, whole = MadeCelebA(20 if kills < 50 else 200).flat(tmp_path / "raw"), tmp_path / "whole"
    reference = Killer([str(TOOL), "--root", str(raw), "--workers", "0", "--out", str(whole)], tmp_path / "log")
    reference.measure(whole)
    expected = {name: (whole / name).read_bytes() for name in PACK if name != "index.npz"}
    index = dict(np.load(whole / "index.npz"))

    def check(out):
        assert {name: (out / name).read_bytes() for name in expected} == expected
        assert all(np.array_equal(array, index[name]) for name, array in np.load(out / "index.npz").items())

    attack(reference, whole, kills, counts("SIGKILL of a preparation"), check)
