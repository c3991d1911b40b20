"""How fast faces are rendered: ``pytest tests/benchmarks/test_synthetic_benchmark.py --benchmark-only -s``.

Prints faces a second beside the table. On a machine that does other work, processor time of one process tells more:
``--benchmark-timer=time.process_time`` (for the first benchmark only: the second waits for other processes).
"""

import itertools

import cv2
import pytest

from ofhkit.rendering.dataset import available_cores, render_chunks
from ofhkit.rendering.render import render_face

COUNT = 64


@pytest.fixture
def one_thread():
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(threads)


@pytest.mark.benchmark(group="rendering")
def test_one_face_on_one_core(benchmark, one_thread):
    index = itertools.count()
    benchmark.pedantic(lambda: render_face(0, "train", next(index)), rounds=COUNT, warmup_rounds=4)
    if benchmark.stats:
        print(f"\none core: {1 / benchmark.stats['median']:.1f} faces/s")


@pytest.mark.benchmark(group="rendering")
def test_filling_a_cache_on_all_cores(benchmark):
    cores = available_cores()

    def fill():
        return sum(len(faces) for faces, _, _ in render_chunks(0, "train", 0, 4 * COUNT, cores))

    assert benchmark.pedantic(fill, rounds=2, warmup_rounds=0) == 4 * COUNT
    if benchmark.stats:
        print(f"\n{cores} cores: {4 * COUNT / benchmark.stats['min']:.1f} faces/s")
