"""A tool in a process of its own, forked from one that has imported everything: a hundred runs cost one import."""

import functools
import multiprocessing
import os
import resource
import runpy
import sys
from pathlib import Path

import torch
from curriculum_maker import ROOT

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["ofhkit.training.curriculum", "ofhkit.data.celeba.prepare",
                                "ofhkit.evaluation.pipelines", "ofhkit.evaluation.report", "ofhkit.export",
                                "ofhkit.restoration", "ofhkit.training.stages"])  # fmt: skip


class Job:
    """A run of a tool.

    Args:
        arguments: the tool's path, then its own.
        log: a file for what it prints.
        most: bytes that a file of it may grow to.
    """

    def __init__(self, arguments: list[str], log: Path, most: int | None = None):
        _imported()
        self.log = Path(log)
        self.process = CONTEXT.Process(target=_run, args=([str(a) for a in arguments], str(log), most))
        self.process.start()

    @property
    def running(self) -> bool:
        return self.process.is_alive()

    def kill(self) -> None:
        """SIGKILL, unless it has ended."""
        self.process.kill()
        self.process.join()

    def wait(self, seconds: float = 600) -> int:
        """Its exit code."""
        self.process.join(seconds)
        assert not self.running, f"it hangs: {self.said()}"
        return self.process.exitcode

    def said(self) -> str:
        return self.log.read_text("utf-8", "replace")


@functools.cache
def _imported() -> None:
    """Wait for the imports, so that they are no part of any run."""
    first = CONTEXT.Process(target=int)
    first.start()
    first.join()


def _run(arguments: list[str], log: str, most: int | None) -> None:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(output, stream)
    if most is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    torch.set_num_threads(1)  # another number of threads adds in another order, and runs differ in last bits
    os.chdir(ROOT)
    sys.argv = arguments
    runpy.run_path(arguments[0], run_name="__main__")
