"""The page as its own process, bounded in memory and open files, with a folder for all that it writes."""

import os
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

TOOL = Path(__file__).parents[2] / "tools" / "demo.py"
LIMITS = {resource.RLIMIT_DATA: 8 * 2**30, resource.RLIMIT_NOFILE: 1024, resource.RLIMIT_FSIZE: 2**30,
          resource.RLIMIT_CORE: 0}  # fmt: skip


class Server:
    """``tools/demo.py`` on a free port.

    Attributes:
        address: where it answers.
        temporary: its folder for temporary files.
    """

    def __init__(self, folder):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address, self.temporary, self.log_file = f"http://127.0.0.1:{port}", folder / "tmp", folder / "log.txt"
        self.temporary.mkdir()
        environment = {**os.environ, "TMPDIR": str(self.temporary), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        command = [sys.executable, str(TOOL), "--port", str(port)]
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, preexec_fn=_bound)
        for _ in range(600):
            assert self.process.poll() is None, self.log()
            try:
                urllib.request.urlopen(self.address, timeout=10).close()
                break
            except urllib.error.URLError:
                time.sleep(0.5)

    def log(self):
        """Everything it printed."""
        return self.log_file.read_text("utf-8", "replace")

    def memory(self, which="VmRSS"):
        """MB it holds (``VmRSS``), or held at the most since :meth:`forget_peak` (``VmHWM``)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith(which))

    def forget_peak(self):
        """Count the most memory anew."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def stop(self):
        """End it as a service manager does; return what it left in its temporary folder."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(90)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("the page did not stop within 90 seconds of SIGTERM") from None
        return [path.name for path in self.temporary.iterdir()]


def _bound():
    for limit, value in LIMITS.items():
        resource.setrlimit(limit, (value, value))
