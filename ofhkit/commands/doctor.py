"""What is wrong with an installation, and the command that fixes it. Nothing is changed and nothing is downloaded."""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ofhkit.errors import OfhkitError
from ofhkit.runtime.files import asset, cache_dir

OPENCV = ("opencv-python", "opencv-contrib-python", "opencv-python-headless", "opencv-contrib-python-headless")
PACK_BYTES = 10_500_000_000  # all of CelebA as a pack


@dataclass(frozen=True)
class Finding:
    """One thing looked at: what was found, and what fixes it (empty: nothing needs fixing)."""

    text: str
    remedy: str = ""


def installed() -> dict[str, str]:
    """Return distribution -> version of this environment, names in lower case."""
    return {d.name.lower(): d.version for d in metadata.distributions() if d.name}


def check_requirements() -> Iterator[Finding]:
    """Whether every installed package finds what it needs, in a version that it works with: what ``pip check`` says."""
    command = [sys.executable, "-m", "pip", "check", "--disable-pip-version-check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = list(unmet(done.stdout.splitlines(), installed()))
    yield from found
    if done.returncode and not done.stdout:
        yield Finding(f"pip check does not run: {done.stderr.strip()[-200:]}", "python -m ensurepip --upgrade")
    elif not found:
        yield Finding("every required package is there (pip check)")


def unmet(lines: Iterable[str], versions: Mapping[str, str]) -> Iterator[Finding]:
    """Findings from ``pip check``'s lines; mmcv serves as mmcv-lite.

    >>> [f.remedy for f in unmet(["ofhkit 0.1 has requirement lpips>=0.1.4, but you have lpips 0.1.3."], {})]
    ["pip install 'lpips>=0.1.4'"]
    """
    for line in lines:
        missing = re.fullmatch(r"(\S+ \S+) requires (\S+), which is not installed\.", line)
        wrong = re.fullmatch(r"(\S+ \S+) has requirement (.+), but you have (\S+ \S+)\.", line)
        name = missing[2] if missing else wrong[2] if wrong else ""
        if not name or (name.startswith("mmcv-lite") and "mmcv" in versions):
            continue
        pair = " torchvision" if re.match(r"torch\b", name) else ""  # pip finds the one that belongs to it
        yield Finding(line.removesuffix("."), f"pip install '{name.partition(';')[0].strip()}'{pair}")


def check_rivals(versions: Mapping[str, str]) -> Iterator[Finding]:
    """Packages that write over each other's files.

    >>> [f.remedy for f in check_rivals({'mmcv': '2.1.0', 'mmcv-lite': '2.2.0'})]
    ["pip uninstall -y mmcv mmcv-lite && pip install 'mmcv-lite>=2.1'"]
    """
    for family, kept in ((("mmcv", "mmcv-lite"), "mmcv-lite>=2.1"), (OPENCV, "opencv-python")):
        present = [name for name in family if name in versions]
        names = " and ".join(f"{n} {versions[n]}" for n in present)
        if len(present) > 1:
            remedy = f"pip uninstall -y {' '.join(present)} && pip install '{kept}'"
            yield Finding(f"{names} are both installed and overwrite each other", remedy)
        elif present:
            yield Finding(names)


def check_gpu(driver: bool, cuda_build: str | None, available: bool) -> Iterator[Finding]:
    """Whether torch was built for the GPU that is there.

    Args:
        driver: an NVIDIA driver answers.
        cuda_build: ``torch.version.cuda``.
        available: ``torch.cuda.is_available()``.

    >>> [f.remedy for f in check_gpu(True, None, False)]
    ['pip install --force-reinstall torch torchvision']
    """
    if driver and cuda_build is None:
        text = "there is an NVIDIA GPU, but this torch was built for the CPU"
        yield Finding(text, "pip install --force-reinstall torch torchvision")
    elif driver and not available:
        text = f"there is an NVIDIA GPU, but its driver is too old for torch's CUDA {cuda_build} (or the GPU is hidden)"
        yield Finding(text, "update the driver, or: pip install --force-reinstall 'torch<2.7' 'torchvision<0.22'")
    else:
        yield Finding("GPU: CUDA works" if available else "GPU: none; everything runs on the CPU")


def check_folder(folder: Path, needed: int, option: str) -> Iterator[Finding]:
    """Whether a folder (or the nearest one above it that exists) can be written and has ``needed`` bytes left."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        yield Finding(f"{folder} cannot be written ({error.strerror})", f"choose another folder: {option}")
        return
    free = shutil.disk_usage(place).free
    text = f"{folder}: writable, {free / 1e9:.1f} GB free"
    if free < needed:
        yield Finding(f"{text}; all of CelebA needs {needed / 1e9:.1f} GB", f"free space, or choose another: {option}")
    else:
        yield Finding(text)


def check_lpips(versions: Mapping[str, str]) -> Iterator[Finding]:
    """Whether LPIPS can be measured without the net."""
    reinstall = "pip install --force-reinstall --no-deps -e ."
    try:
        asset("lpips_alex_features.safetensors")
    except OfhkitError as error:
        yield Finding(str(error), reinstall)
        return
    yield (
        Finding("LPIPS: its weights are here, no download")
        if "lpips" in versions
        else Finding("LPIPS: lpips is missing", "pip install 'lpips>=0.1.4'")
    )


def check_plugins() -> Iterator[Finding]:
    """Whether every plugin loads, and beside the package's own components."""
    try:
        from ofhkit.registry import ROLES, plugins

        plugins.load()

        for registry in ROLES.values():  # two components of one name show when both are there
            registry.names()
    except OfhkitError as error:
        yield Finding(f"plugins: {error}", "pip uninstall it, or leave it out of --plugins and OFHKIT_PLUGINS")
        return
    except Exception as error:
        yield Finding(f"plugins cannot be looked at: {type(error).__name__}: {error}", "what is printed above, first")
        return
    for name, reason in plugins.broken().items():
        package, _, version = name.partition(" ")
        fix = f"pip install --upgrade {package}" if version else "correct it"
        yield Finding(f"plugin {name}: {reason}", f"{fix}, or leave it out")
    if not plugins.broken():
        yield Finding("plugins: none is broken")


def diagnose(work_dir: Path) -> Iterator[Finding]:
    """Look at everything; findings come in the order in which they should be fixed."""
    versions = installed()
    yield from check_requirements()
    yield from check_rivals(versions)
    try:
        import torch
        from torch.utils import collect_env
    except Exception as error:
        yield Finding(f"torch cannot be imported: {error}", "pip install --force-reinstall torch torchvision")
    else:
        driver = collect_env.get_nvidia_driver_version(collect_env.run) is not None
        yield from check_gpu(driver, torch.version.cuda, torch.cuda.is_available())
        yield from check_plugins()
    yield from check_lpips(versions)
    yield from check_folder(work_dir, 1_000_000_000, "--work-dir DIR")
    yield from check_folder(cache_dir(), PACK_BYTES, "export OFHKIT_CACHE=DIR")
