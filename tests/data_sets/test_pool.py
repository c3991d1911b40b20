import os
import subprocess
import sys

import pytest

from ofhkit.data.pool import parallel
from ofhkit.errors import OfhkitError


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_results_come_in_order(workers):
    assert list(parallel(abs, range(-20, 0), workers)) == list(range(20, 0, -1))


def test_a_failure_carries_the_worker_s_traceback():
    with pytest.raises(ValueError, match="invalid literal") as caught:
        list(parallel(int, ["1", "x"], 1))
    assert "process_worker" in str(caught.value.__cause__)


def test_a_killed_worker_is_one_clear_sentence():
    with pytest.raises(OfhkitError, match=r"worker process was killed.*goes on where it stopped"):
        list(parallel(os._exit, [1], 1))


def test_stopping_early_leaves_no_process():
    numbers = parallel(abs, iter(range(10**9)), 2)
    assert next(numbers) == 0
    numbers.close()
    listed = subprocess.run(["ps", "--ppid", str(os.getpid()), "-o", "args"], capture_output=True, text=True)
    assert "multiprocessing.spawn" not in listed.stdout


def test_workers_are_light():
    code = "import sys, ofhkit.data.celeba.crops, ofhkit.data.pool; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
