"""Put strangers' files through a door in a process that is bounded in memory and time; see ``DOORS`` in ``doors.py``.

    python bounded.py DOOR FOLDER    # one JSON line a file: [name, outcome, what was said, MB above the start]

The outcome is ``ok``, ``refused`` (an :class:`OfhkitError` in one line without control characters) or ``broken``.
"""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
SECONDS, MEGABYTES = 30, 1024  # for one file, above what the process takes before the first


@contextmanager
def limited(megabytes: int = MEGABYTES) -> Iterator[None]:
    """Let this process take so much more address space than it has, and no more."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + megabytes * 2**20, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def put_through(door: str, folder: Path) -> dict[str, tuple[str, str, float]]:
    """File name -> (outcome, what was said, MB above the start) of each file in a folder; one that kills is broken."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    found: dict[str, tuple[str, str, float]] = {}
    while left := sorted({p.name for p in Path(folder).iterdir()} - set(found)):
        command = [sys.executable, str(HERE / "bounded.py"), door, str(folder)]
        done = subprocess.run(command, input="\n".join(left), env=environment, capture_output=True, text=True)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
        found |= {name: (outcome, said, memory) for name, outcome, said, memory in lines}
        if len(lines) < len(left):
            found[left[len(lines)]] = "broken", f"the process ended with {done.returncode}: {done.stderr[-500:]}", 0.0
    return found


def _too_long(*_: object) -> None:
    raise TimeoutError(f"more than {SECONDS} s")


def _one(door, path: Path) -> tuple[str, str]:
    from ofhkit.errors import OfhkitError

    signal.alarm(SECONDS)
    try:
        door(path)
        return "ok", ""
    except OfhkitError as error:
        text = str(error)
        return ("refused" if "\n" not in text and len(text) < 2000 else "broken"), text
    except BaseException as error:
        return "broken", f"{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)


def main() -> None:
    from doors import DOORS

    door, folder = DOORS[sys.argv[1]](), Path(sys.argv[2])
    signal.signal(signal.SIGALRM, _too_long)
    start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with limited():
        for name in sys.stdin.read().splitlines():
            outcome, said = _one(door, folder / name)
            above = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start) / 1024
            print(json.dumps([name, outcome, said, round(above, 1)]), flush=True)


if __name__ == "__main__":
    main()
