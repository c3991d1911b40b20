"""Files that are either whole or absent: atomic writes, locks between processes, disk space, assets, user cache."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

from ofhkit.errors import OfhkitError, did_you_mean

PACKAGE = Path(__file__).parents[1]
ASSETS = PACKAGE / "assets"


def beside(name: str) -> Path:
    """Return the path of what a checkout has beside the package and a wheel inside it (``setup.py`` puts it there).

    >>> beside('configs').is_dir()
    True
    """
    return PACKAGE / name if (PACKAGE / name).exists() else PACKAGE.parent / name


def asset(name: str) -> Path:
    """Return the path of a file that ships with the package.

    Raises:
        OfhkitError: no such asset; names the nearest one.

    >>> asset('LICENSES.md').name
    'LICENSES.md'
    """
    path = ASSETS / name
    if not path.is_file():
        raise OfhkitError(
            f"the package has no asset {name!r}; {did_you_mean(name, (p.name for p in ASSETS.iterdir()))}"
        )
    return path


def open_regular(path: str | os.PathLike) -> BinaryIO:
    """Open a file to read; what is no regular file is neither opened nor waited for.

    Raises:
        OfhkitError: there is none, it is a folder, a pipe or a device, or the system refuses it.

    >>> open_regular('nowhere.png')
    Traceback (most recent call last):
        ...
    ofhkit.errors.OfhkitError: nowhere.png: no such file
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise OfhkitError(f"{path}: not a regular file")
        file = os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb")
    except (FileNotFoundError, NotADirectoryError):
        raise OfhkitError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise OfhkitError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # it was replaced in between
        file.close()
        raise OfhkitError(f"{path}: not a regular file")
    return file


def cache_dir() -> Path:
    """Return the folder for what is made once and kept: ``$OFHKIT_CACHE``, else ``ofhkit`` in the user's cache."""
    if os.environ.get("OFHKIT_CACHE"):
        return Path(os.path.expanduser(os.environ["OFHKIT_CACHE"]))
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif os.name == "nt":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "ofhkit"


def atomic_write(path: str | os.PathLike, content: bytes | str | Callable[[BinaryIO], None]) -> Path:
    """Write a file so that readers see the old one or the new one, never a part: temporary file, fsync, rename.

    Args:
        path: the file; missing parent folders are made, and a symbolic link is followed to the file it names.
        content: bytes, text (UTF-8), or a function that writes to the open binary file it is given.

    Raises:
        OfhkitError: something is there that is no regular file: a folder, a pipe, a device.
        OSError: it cannot be written.

    >>> import tempfile; folder = Path(tempfile.mkdtemp())
    >>> atomic_write(folder / 'a.txt', 'whole').read_text()
    'whole'
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        found = path.stat().st_mode  # an OSError where links go in circles
    except FileNotFoundError:
        found = stat.S_IFREG | 0o666 & ~_umask()
    if not stat.S_ISREG(found):
        raise OfhkitError(f"{path} is a folder, a pipe or a device, which is not written over; name another file")
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, found & 0o777)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def csv_cell(value: Any) -> Any:
    """What a spreadsheet would take for a formula gets an apostrophe before it; numbers stay numbers.

    >>> csv_cell('=1+1'), csv_cell(-1.5), csv_cell('plain')
    ("'=1+1", -1.5, 'plain')
    """
    return f"'{value}" if isinstance(value, str) and value[:1] in tuple("=+-@\t\r") else value


def _umask() -> int:
    """The process's umask (there is no way to read it but to set it)."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def file_lock(
    path: str | os.PathLike, *, waiting: Callable[[], None] | None = None, timeout: float = -1
) -> Iterator[None]:
    """Hold ``path`` as a lock between processes; the system frees it when its holder dies.

    Args:
        path: the lock file (stays behind, empty).
        waiting: called once if another process holds the lock.
        timeout: seconds to wait at the most; negative = for ever.

    Raises:
        OfhkitError: the lock was not free within ``timeout``.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(str(path))
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if waiting is not None:
                waiting()
            lock.acquire(timeout=timeout)
    except Timeout:
        raise OfhkitError(f"another process holds {path}; wait for it to end or stop it") from None
    try:
        yield
    finally:
        lock.release()


def is_writable(folder: str | os.PathLike) -> bool:
    """Whether a file can be made in ``folder`` (tried, because permission bits do not tell of read-only mounts)."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def check_disk_space(folder: str | os.PathLike, needed: int, what: str) -> int:
    """Return the free bytes of the disk under ``folder``, which need not exist yet.

    Raises:
        OfhkitError: fewer than ``needed`` bytes are free.
    """
    folder = Path(folder).absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OfhkitError(
            f"{what} needs {needed / 1e9:.2f} GB, but the disk of {folder} has {free / 1e9:.2f} GB free; "
            "choose another disk or fewer faces"
        )
    return free
