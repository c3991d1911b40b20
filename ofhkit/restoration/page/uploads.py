"""Files of visitors, uploaded ones and archives of results: under names that nobody can guess, for some minutes."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ofhkit.errors import OfhkitError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["FULL", "MAX_ARCHIVE", "MAX_BYTES", "MAX_FILES", "MAX_FOLDER", "MAX_UPLOAD", "UNKNOWN", "Uploads"]

MAX_FILES, MAX_BYTES = 64, 15 * 2**20
MAX_UPLOAD = MAX_FILES * MAX_BYTES // 3  # bytes at once
MAX_FOLDER, MAX_ARCHIVE = 2**31, 2**29  # bytes of all visitors together; of an archive
LEAST = 2**16  # bytes that a file counts
MINUTES = 15
UNKNOWN = "a file of this request is not one that was uploaded here in the last minutes; choose it again"
FULL = "the page holds as many files as it can; try again in some minutes"
_HANDLE = re.compile(r"[0-9a-f]{32}/[\w.() -]{1,80}")


class Uploads:
    """The files of all visitors. A visitor knows a file by its handle ``TOKEN/NAME`` and never learns where it lies.

    Attributes:
        folder: where they lie; temporary, removed when the server stops.
        listed: sets in which Gradio notes the files it has taken; what was removed is struck out. Gradio's own clean-up
            (``delete_cache``) walks them while requests add to them, and ends for good with the first collision.
    """

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="uploads-", ignore_cleanup_errors=True)
        self.folder = Path(self._temporary.name).resolve()
        self.listed: Sequence[set[str]] = ()
        self.archives = self.folder / "archives"
        self.archives.mkdir()

    def find(self, handle: object) -> Path:
        """The uploaded file of a handle.

        Raises:
            OfhkitError: it is no handle, or of no file in the folder: one sentence for every reason. Nothing outside
                the folder is looked at.
        """
        path = _inside(self.folder, handle)
        if path is None:
            raise OfhkitError(UNKNOWN)
        return path

    def new_archive(self, name: str) -> tuple[str, Path]:
        """A handle and a path for an archive that is about to be written.

        Raises:
            OfhkitError: the folder is full.
        """
        if self.size() > MAX_FOLDER - MAX_ARCHIVE:
            raise OfhkitError(FULL)
        handle = f"{secrets.token_hex(16)}/{name}"
        path = self.archives / handle
        path.parent.mkdir()
        return handle, path

    async def send(self, request: Request) -> Response:
        """Answer with an archive."""
        from starlette.responses import FileResponse, PlainTextResponse

        path = _inside(self.archives, request.path_params["handle"])
        if path is None:
            return PlainTextResponse("this archive is not here any more; restore the pictures again", 404)
        return FileResponse(path, media_type="application/zip", filename=path.name)

    async def receive(self, request: Request) -> Response:
        """Keep the files of a form and answer with their handles, or with one sentence."""
        from starlette.requests import ClientDisconnect
        from starlette.responses import JSONResponse, PlainTextResponse

        if not request.headers.get("content-type", "").startswith("multipart/form-data"):
            return PlainTextResponse("files come as multipart/form-data", 415)
        try:
            async with request.form(max_files=MAX_FILES, max_fields=4, max_part_size=2**16) as form:
                files = [value for value in form.getlist("files") if not isinstance(value, str)]
                if any((file.size or 0) > MAX_BYTES for file in files):
                    return PlainTextResponse(f"a file has more than {MAX_BYTES // 2**20} MB; reduce it first", 413)
                size = await asyncio.to_thread(self.size)
                if size + sum(file.size or 0 for file in files) > MAX_FOLDER:
                    return PlainTextResponse(FULL, 503)
                return JSONResponse([await asyncio.to_thread(self._keep, file.file, file.filename) for file in files])
        except ClientDisconnect:
            return PlainTextResponse(f"no more than {MAX_UPLOAD // 2**20} MB at once, and without breaks", 413)
        except OSError:  # a full disk
            return PlainTextResponse(FULL, 503)

    @asynccontextmanager
    async def lifespan(self, app: Any) -> AsyncIterator[None]:
        """Remove files when they are old, and all of them at the end."""
        sweeping = asyncio.create_task(self._sweep())
        try:
            yield
        finally:
            sweeping.cancel()
            self._temporary.cleanup()

    def _keep(self, file: Any, name: str) -> str:
        handle = f"{secrets.token_hex(16)}/{_plain(name)}"
        path = self.folder / handle
        path.parent.mkdir()
        with path.open("xb") as out:
            shutil.copyfileobj(file, out)
        return handle

    def size(self) -> int:
        """Bytes of all files; one takes :data:`LEAST` at least, so that their number is bounded, too."""
        total = 0
        for folder, _, names in os.walk(self.folder):
            for name in names:
                with suppress(OSError):  # removed meanwhile
                    total += max(LEAST, os.lstat(os.path.join(folder, name)).st_size)
        return total

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(60)
            await asyncio.to_thread(self.remove_old)

    def remove_old(self) -> None:
        """Remove what is older than :data:`MINUTES`."""
        for path in (*self.folder.iterdir(), *self.archives.iterdir()):
            with suppress(OSError):  # removed meanwhile
                if path == self.archives or time.time() - path.lstat().st_mtime < 60 * MINUTES:
                    continue
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()
        for names in self.listed:
            names.difference_update([name for name in tuple(names) if not os.path.exists(name)])


def _inside(folder: Path, handle: object) -> Path | None:
    """The file of a handle; None for what is no handle, or of no file of the folder."""
    if not isinstance(handle, str) or not _HANDLE.fullmatch(handle):
        return None
    path = folder / handle
    return path if path.resolve() == path and path.is_file() else None


def _plain(name: str) -> str:
    """A file's name without what a file system, a table or a page could take for something else.

    >>> _plain("../=Loch <b>.png")
    'Loch _b_.png'
    """
    name = re.sub(r"[^\w.() -]+", "_", name.replace("\\", "/").rsplit("/", 1)[-1]).lstrip("_.- ")
    stem, dot, suffix = name.rpartition(".")
    stem, suffix = (part.encode()[:most].decode(errors="ignore") for part, most in ((stem or suffix, 60), (suffix, 12)))
    return f"{stem}{dot}{suffix}".rstrip(". ") if dot and stem else stem.rstrip(" ") or "picture"
