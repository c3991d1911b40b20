"""No visitor reaches a file of the server: files forged into every event of the page that takes files."""

import asyncio
import errno
import io
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from page_visitor import Visitor, file_data
from PIL import Image

from ofhkit.restoration.page import guard, uploads
from ofhkit.restoration.page.guard import MAX_EVENT, TOO_LARGE, WRONG
from ofhkit.restoration.page.server import application
from ofhkit.restoration.page.uploads import MAX_BYTES, MAX_FILES, UNKNOWN
from ofhkit.runtime.files import asset

pytest.importorskip("gradio", reason="Gradio is not installed (pip install 'ofhkit[demo]')")

FORGED = ("{picture}", "{picture}/", "/{picture}", "{up}{picture}", "{uploads}/../..{picture}", "{uploads}/link.png",
          "{uploads}/planted.png", "{token}/../../{picture}", "/etc/passwd", "/etc/nowhere", "{uploads}", "", ".", "\0",
          "file://{picture}", "http://127.0.0.1:9/face.png", "~/.bashrc", "a" * 5000)  # fmt: skip


@pytest.fixture(scope="module")
def visitor(address):
    return Visitor(address)


def plant(uploads, picture):
    """A link to a picture and a file that nobody uploaded, in the folder itself."""
    os.symlink(picture, uploads / "link.png")
    (uploads / "planted.png").write_bytes(picture.read_bytes())


def test_a_forged_file_is_refused_by_every_event_and_in_one_sentence(visitor):
    uploads, picture = Path(os.environ["GRADIO_TEMP_DIR"]), asset("astronaut_face.png")
    plant(uploads, picture)
    token = visitor.upload(("a.png", b"\x89PNG"))[0].split("/")[0]
    doors = list(visitor.doors())
    assert len(doors) == 3  # one picture; a mask; many
    answers = set()
    for (event, data, many), form in itertools.product(doors, FORGED):
        path = form.format(picture=picture, uploads=uploads, token=token, up="../" * 20)
        for value in (
            file_data(path),
            file_data(path, is_stream=True),
            file_data(path, url=path),
            {"path": path},
            path,
        ):
            answers.add(visitor.ask(event, data([value] if many else value)))
            visitor.ask(event, data(value if many else [value]))
    assert answers == {json.dumps({"detail": UNKNOWN})}


def test_an_uploaded_file_is_taken_by_every_event(visitor, pictures):
    grey = io.BytesIO()
    Image.open(pictures["plain"]).convert("L").save(grey, "PNG")
    for event, data, many in visitor.doors():
        [path] = visitor.upload(("face.png", grey.getvalue()))
        answer = visitor.ask(event, data([file_data(path)] if many else file_data(path)))
        assert ("data:image/png" in answer) or ('"mask": "' in answer)  # what is bright hides


def test_what_the_new_buttons_send_is_taken_apart(visitor):
    """Points and holes come through as numbers, faces by their number; nothing else does."""
    names = {event["api_name"]: number for number, event in visitor.events.items()}
    place, choose = names["place"], names["choose"]
    hole = "0" * 4096
    for value in ({"mask": "g" * 4096}, {"mask": hole, "points": [[0, 2]] * 5}, {"mask": hole, "points": "12345"},
                  {"mask": hole, "points": [[0, 0]] * 6}, {"points": [[0, 0]] * 5}, None, []):  # fmt: skip
        answer, _ = visitor.join(place, [None, value])
        assert answer.status_code == 400, value
    for number in ("7", "../../etc", "-1", "", "9" * 64):
        answer = visitor.ask(choose, [None], event_data={"name": number})
        assert "there is no such face" in answer
    assert "open a photograph first" in visitor.ask(place, [None, {"mask": hole, "points": [[0.5, 0.5]] * 5}])


def test_gradio_checks_paths_too(methods, tmp_path, monkeypatch):
    """Behind the guard: a path outside the folder fails in Gradio as well."""
    from gradio.context import LocalContext
    from gradio.exceptions import InvalidPathError

    monkeypatch.setenv("GRADIO_TEMP_DIR", os.environ["GRADIO_TEMP_DIR"])
    page = application(methods).page
    event = next(event for event in page.fns.values() if event.name == "upload")
    LocalContext.blocks.set(page)
    for path in (shutil.copy(asset("astronaut_face.png"), tmp_path), "/etc/nowhere.png"):
        with pytest.raises(InvalidPathError, match="not uploaded by a user"):
            asyncio.run(page.preprocess_data(event, [file_data(path)], None))


@pytest.mark.parametrize("path", ["/gradio_api/file=/etc/passwd", "/file=/etc/passwd", "/gradio_api/proxy=http://a.b/",
                                  "/docs", "/openapi.json", "/monitoring", "/gradio_api/runs"])  # fmt: skip
def test_no_file_of_the_server_is_served(visitor, path):
    assert visitor.http.get(path).status_code == 404


def test_what_is_sent_is_limited_and_what_is_fetched_is_local(visitor):
    join, whole = "/gradio_api/queue/join", b"0" * (MAX_EVENT + 1)
    assert visitor.http.post(join, content=b"{}").json() == {"detail": WRONG}
    assert visitor.http.post(join, content=whole).json() == {"detail": TOO_LARGE}
    assert visitor.http.post(join, content=iter([whole])).json() == {"detail": TOO_LARGE}  # without a length, too
    assert "default-src 'self'" in visitor.http.get("/").headers["content-security-policy"]
    answer = visitor.http.post("/gradio_api/upload", files={"files": ("a.png", bytes(MAX_BYTES + 1))})
    assert (answer.status_code, answer.text) == (413, "a file has more than 15 MB; reduce it first")
    many = [("files", ("a.png", b"1"))] * (MAX_FILES + 1)
    assert visitor.http.post("/gradio_api/upload", files=many).status_code == 400
    assert len(list(Path(os.environ["GRADIO_TEMP_DIR"]).rglob("a.png"))) == 1  # of the first test


def test_a_session_that_is_heard_of_again_is_not_forgotten_by_an_older_alarm(monkeypatch):
    monkeypatch.setattr(guard, "PATIENCE", 0.4)
    forgotten = []

    async def clean_events(session_hash):
        forgotten.append(session_hash)

    queue = SimpleNamespace(
        clean_events=clean_events, pending_messages_per_session={}, pending_event_ids_session={"a": {"event"}}
    )

    async def story():
        page = guard.Guard(None, SimpleNamespace(_queue=queue), None)
        page.listeners["a"] = 0
        page._expect("a")
        await asyncio.sleep(0.25)
        page._expect("a")
        await asyncio.sleep(0.25)
        assert not forgotten
        await asyncio.sleep(0.4)
        return page

    assert not asyncio.run(story()).listeners
    assert forgotten == ["a"]
    assert not queue.pending_event_ids_session


@pytest.mark.parametrize(
    ("given", "kept"),
    [("=1+1.png", "1_1.png"), ("../../a.png", "a.png"), ("\U00020000" * 90 + ".png", "\U00020000" * 15 + ".png"),
     ("a." + "b" * 90, "a." + "b" * 12), ("..", "picture"), (".png", "png"), ("\x1b[31m.png", "31m.png"),
     ("", "picture")],
)  # fmt: skip
def test_names_are_harmless_and_short(visitor, given, kept):
    [handle] = visitor.upload((given, b"1")) if given else [f"/{uploads._plain(given)}"]
    assert handle.split("/")[1] == kept


def test_a_full_disk_is_a_sentence(visitor, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(uploads.Uploads, "_keep", full)
    answer = visitor.http.post("/gradio_api/upload", files={"files": ("a.png", b"1")})
    assert (answer.status_code, answer.text) == (503, uploads.FULL)


@pytest.mark.slow
def test_the_address_is_printed_when_it_answers(tmp_path):
    code = (
        "from ofhkit.restoration.page.methods import Method; from ofhkit.restoration.page.server import serve;"
        "from ofhkit.zoo import load_model;"
        "serve([Method('a', '', load_model('gaussian-synthetic', 'cpu'))], '127.0.0.1', 0)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as server:
        line = server.stdout.readline()
        address = re.search(r"open (http://127\.0\.0\.1:[1-9]\d*)/", line)[1]
        assert httpx.get(f"{address}/config", timeout=60).status_code == 200
        server.terminate()
