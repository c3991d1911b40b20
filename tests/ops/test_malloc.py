import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from ofhkit.runtime.devices import set_malloc_policy
torch.set_num_threads(1)
if {keep} and not set_malloc_policy():
    raise SystemExit(3)
for _ in range(20):  # until the free list has settled
    torch.ones(2**24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    torch.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep):
    done = subprocess.run([sys.executable, "-c", FAULTS.format(keep=keep)], capture_output=True, text=True, check=False)
    if done.returncode == 3:
        pytest.skip("not glibc")
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_freed_memory_is_used_again_without_page_faults():
    without, kept = faults(False), faults(True)
    if without < 100:
        pytest.skip("this allocator keeps large blocks anyway")
    assert kept < without / 10
