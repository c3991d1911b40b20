"""The processor this runs on, and the kernels in C (``kernels/``), compiled at run time where there is a compiler, and
kept in the user's cache.

Installing compiles nothing. :func:`library` returns ``None`` wherever anything is missing or wrong - no compiler, no
OpenMP runtime that torch has loaded, a cache that others could write to, ``OFHKIT_NO_KERNELS`` - and its callers then
use torch's operators. Where ``ATEN_CPU_CAPABILITY=avx2`` keeps torch from wider vectors, the kernels have none either.
"""

import ctypes
import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch

from ofhkit.runtime.files import atomic_write, cache_dir

VARIABLE = "OFHKIT_NO_KERNELS"
SOURCES = Path(__file__).with_name("kernels")
FLAGS = ("-O3", "-march=native", "-fPIC", "-shared")
TIMEOUT = 120  # seconds
DIGEST = hashlib.sha256().digest_size  # appended to a cached library, whose loader ignores it


def library() -> ctypes.CDLL | None:
    """Return the compiled kernels, or ``None`` where they cannot be had or ``OFHKIT_NO_KERNELS`` is set.

    >>> library() is None or library().ofhkit_block() in (16, 32)
    True
    """
    if os.environ.get(VARIABLE, "0") not in ("", "0") or os.name != "posix":
        return None
    return _load()


@functools.cache
def _load() -> ctypes.CDLL | None:
    try:
        command = compiler()
        return None if command is None else load(build(command, cache_dir() / "kernels"))
    except (OSError, AttributeError, subprocess.SubprocessError):
        return None


def compiler() -> list[str] | None:
    """Return the command of the C compiler, ``$CC`` before ``cc``, ``gcc`` and ``clang``."""
    chosen = shlex.split(os.environ.get("CC", ""))
    if chosen and shutil.which(chosen[0]):
        return chosen
    return next(([name] for name in ("cc", "gcc", "clang") if shutil.which(name)), None)


def flags() -> tuple[str, ...]:
    """Return what the compiler is told: vectors no wider than torch may use."""
    narrow = os.environ.get("ATEN_CPU_CAPABILITY") == "avx2"
    return (*FLAGS, "-mno-avx512f") if narrow else FLAGS


def build(command: list[str], folder: Path) -> Path:
    """Return the compiled library in ``folder``, which is compiled unless it is there and whole.

    Raises:
        OSError: The folder cannot be made or is open to others.
        subprocess.SubprocessError: The compiler fails.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_private(folder)
    path = folder / f"{_key(command)}.so"
    if not _whole(path):
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            target = Path(temporary) / "kernels.so"
            arguments = [*command, *flags(), *map(str, sorted(SOURCES.glob("*.c"))), "-o", str(target)]
            subprocess.run(arguments, check=True, capture_output=True, timeout=TIMEOUT)
            content = target.read_bytes()
        atomic_write(path, content + hashlib.sha256(content).digest())
    _check_private(path)
    return path


def load(path: Path) -> ctypes.CDLL:
    """Return the library with its functions' types; ``OSError`` where a symbol is missing."""
    found = ctypes.CDLL(str(path))
    address, number, small = ctypes.c_void_p, ctypes.c_long, ctypes.c_int
    found.ofhkit_block.restype = number
    for name, tensors, room, sizes, flags_ in (
        ("ofhkit_upsample_conv", 5, 3, 7, 2),
        ("ofhkit_conv", 6, 3, 7, 3),
        ("ofhkit_upsample_conv_gradient", 6, 4, 6, 1),
        ("ofhkit_conv_gradient", 4, 4, 6, 1),
    ):
        memory, kernel = getattr(found, f"{name}_room"), getattr(found, name)
        memory.restype, memory.argtypes = number, [number] * room
        kernel.restype, kernel.argtypes = None, [address] * tensors + [number] * sizes + [small] * flags_
    return found


def _check_private(path: Path) -> None:
    status = path.stat()
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise OSError(f"{path} belongs to another user or can be written by others.")


def _whole(path: Path) -> bool:
    try:
        content = path.read_bytes()
    except OSError:
        return False
    return len(content) > DIGEST and hashlib.sha256(content[:-DIGEST]).digest() == content[-DIGEST:]


def _key(command: list[str]) -> str:
    """Return a name for everything that the compiled library depends on."""
    version = subprocess.run([*command, "--version"], check=True, capture_output=True, timeout=TIMEOUT).stdout
    sources = [path.read_bytes() for path in sorted(SOURCES.glob("*.[ch]"))]
    parts = [*sources, " ".join([*command, *flags()]).encode(), version, processor_features().encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:32]


def processor_name() -> str:
    """Return what the system calls the processor."""
    named = (line.partition(":")[2].strip() for line in _lines("model name"))
    return next(named, platform.processor() or platform.machine() or "unknown")


def processor_features() -> str:
    """Return all that code compiled for this processor alone depends on."""
    lines = {*_lines("model name", "flags", "Features", "CPU part")}
    return "\n".join([platform.machine(), platform.processor(), *sorted(lines)])


def device_name(device: torch.device) -> str:
    """Return what the machine calls ``device``, with the number of threads for a CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type != "cpu":
        return f"{platform.machine()} ({device.type})"
    threads = torch.get_num_threads()
    return f"{processor_name()}, {threads} thread{'s' if threads > 1 else ''}"


def _lines(*beginnings: str) -> list[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        return []
    return [line for line in lines if line.startswith(beginnings)]
