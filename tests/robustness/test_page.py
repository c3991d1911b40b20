"""Forged requests to the page that ``tools/demo.py`` serves: nothing is read, lost or kept that should not be.

The long part (``-m long``): 200 requests made from seeds, and eight visitors for ``OFHKIT_PAGE_MINUTES`` (30) minutes.
Stopped, it goes on with the seed that was next.
"""

import io
import json
import os
import random
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from forged_requests import FILES, HEADS, forge, mutate
from page_server import TOOL, Server
from page_visitor import Visitor, file_data
from PIL import Image

from ofhkit.errors import OfhkitError
from ofhkit.runtime.files import asset

pytest.importorskip("gradio", reason="Gradio is not installed (pip install 'ofhkit[demo]')")

MINUTES = float(os.environ.get("OFHKIT_PAGE_MINUTES", "30"))
NO_MASK = re.compile("another colored picture|hides nothing of this face")  # what the door for masks says of a face
STATUS = {200, 307, 400, 403, 404, 405, 413, 415, 422, 429, 503}
MOST = 1000  # MB above the start for any picture


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("page"))
    yield server
    left = server.stop()
    assert not [name for name in left if name.startswith(("uploads-", "tmp", "ofhkit"))], "temporary files were left"
    assert "Traceback" not in server.log()


@pytest.fixture(scope="module")
def visitor(server):
    return Visitor(server.address)


@pytest.fixture(scope="module")
def face():
    return asset("astronaut_face.png").read_bytes()


@pytest.fixture(scope="module")
def paths(server, tmp_path_factory):
    """What forged paths name: a picture of the server, the folder of uploads, a link and a file planted in it."""
    secret = tmp_path_factory.mktemp("secret") / "face.png"
    secret.write_bytes(asset("astronaut_face.png").read_bytes())
    [uploads] = server.temporary.glob("uploads-*")
    token = "0123456789abcdef" * 2
    (uploads / token).mkdir()
    (uploads / token / "link.png").symlink_to(secret)
    (uploads / "planted.png").write_bytes(secret.read_bytes())
    return {"secret": str(secret), "uploads": str(uploads), "token": token, "up": "../" * 20}


def check(server, text):
    """No answer shows a path of the server, an error's insides or a picture; the server lives, without a traceback."""
    for word in (str(server.temporary), str(TOOL.parents[1]), "site-packages", "Traceback"):
        assert word not in text, text[:2000]
    assert "data:image" not in text or text.startswith("<!doctype html>"), text[:2000]  # the page itself has examples
    assert server.process.poll() is None, server.log()[-2000:]
    assert "Traceback" not in server.log()


@pytest.mark.parametrize("form", FILES)
def test_a_forged_path_reads_nothing(server, visitor, paths, form):
    path = form.format(**paths)
    answers = set()
    for event, data, many in visitor.doors():
        answers.add(visitor.ask(event, data([file_data(path)] if many else file_data(path, url=path))))
    [answer] = answers
    check(server, answer)
    nobody = form.format(**{**paths, "secret": "/nowhere/at/all.png"})
    assert answer == visitor.ask(event, data([file_data(nobody)] if many else file_data(nobody)))


def test_no_address_is_asked_for(server, visitor):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        for name in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0"):
            link = f"http://{name}:{listener.getsockname()[1]}/face.png"
            for event, data, many in visitor.doors():
                for value in (file_data(link), file_data("a.png", url=link), file_data(link, is_stream=True)):
                    check(server, visitor.ask(event, data([value] if many else value)))
            check(server, visitor.http.get(f"/gradio_api/proxy={link}").text)
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize("name", sorted(forge({})))
def test_a_forged_request_is_answered_in_a_sentence(server, visitor, paths, name):
    method, path, options = forge(paths)[name]
    answer = visitor.http.request(method, path, **options)
    assert answer.status_code in STATUS, answer.text[:500]
    assert answer.status_code != 200 or name.startswith("fine"), answer.text[:500]
    check(server, answer.text)


@pytest.mark.parametrize("name", HEADS)
def test_a_forged_head_is_refused(server, name):
    host, port = server.address.removeprefix("http://").split(":")
    first, *rest = HEADS[name]
    sent = "\r\n".join([first, f"Host: {host}", "Connection: close", *rest, "", ""])
    with socket.create_connection((host, int(port)), 30) as connection:
        connection.sendall(sent.encode("latin-1"))
        answer = b"".join(iter(lambda: connection.recv(2**16), b"")).decode("latin-1")
    assert answer.startswith("HTTP/1.1 4"), answer[:300]
    check(server, answer)


@pytest.mark.slow
def test_silent_visitors_keep_nobody_out_for_long(server, visitor):
    host, port = server.address.removeprefix("http://").split(":")
    silent = [socket.create_connection((host, int(port)), 30) for _ in range(300)]
    for connection in silent[::2]:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX-")
    try:
        assert httpx.get(f"{server.address}/config", timeout=30).status_code == 503
        time.sleep(25)
        assert httpx.get(f"{server.address}/config", timeout=30).status_code == 200
    finally:
        for connection in silent:
            connection.close()
    check(server, "")


def test_nobody_hears_another_session_and_unheard_results_are_forgotten(server, visitor, face):
    event, data, _ = next(visitor.doors())
    [path] = visitor.upload(("face.png", face))
    answers = [visitor.join(event, data(file_data(path)), session="unheard")[0].status_code for _ in range(6)]
    assert answers == [200, 200, 200, 200, 429, 429]
    time.sleep(15)
    assert visitor.http.get("/gradio_api/queue/data?session_hash=unheard").status_code == 404
    check(server, "")


def pictures():
    """Pictures that are small as files and large in the memory; name -> bytes."""
    rng = np.random.default_rng(0)

    def coded(image, kind, **options):
        file = io.BytesIO()
        image.save(file, kind, **options)
        return file.getvalue()

    yield "huge.png", coded(Image.new("1", (30000, 30000)), "PNG")
    yield "wide.png", coded(Image.new("L", (60000, 4)), "PNG")
    yield "noise.jpg", coded(Image.fromarray(rng.integers(0, 256, (3600, 4100, 3), np.uint8)), "JPEG", quality=60)
    yield "clear.png", coded(Image.new("RGBA", (5000, 5900), (9, 9, 9, 0)), "PNG")
    yield "half.png", coded(Image.new("RGBA", (3800, 3900), (200, 90, 9, 128)), "PNG")
    yield "floats.tif", coded(Image.new("F", (5000, 5000)), "TIFF", compression="tiff_lzw")
    yield "cmyk.jpg", coded(Image.new("CMYK", (3800, 3900)), "JPEG")
    yield "many.gif", coded(Image.new("L", (2000, 2000)), "GIF", save_all=True,
                            append_images=[Image.new("L", (2000, 2000), n) for n in range(1, 30)])  # fmt: skip
    yield "eps.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n{} loop\n"
    yield "list.mp4", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"


def test_a_picture_takes_no_more_than_a_gigabyte(server, visitor, face):
    large = io.BytesIO()
    with Image.open(io.BytesIO(face)) as image:
        image.convert("RGB").resize((3600, 3600)).save(large, "JPEG")  # a face is found in it: all of the work is done
    doors = list(visitor.doors())
    [path] = visitor.upload(("face.jpg", large.getvalue()))
    answers = [visitor.ask(event, data([file_data(path)] if many else file_data(path))) for event, data, many in doors]
    rest = [answer for answer in answers if "data:image" not in answer]
    assert len(rest) == 1
    assert NO_MASK.search(rest[0])
    start, taken = server.memory(), {}
    for name, content in (("face.jpg", large.getvalue()), *pictures()):
        [path] = visitor.upload((name, content))
        server.forget_peak()
        for event, data, many in doors:
            answer = visitor.ask(event, data([file_data(path)] if many else file_data(path)))
            assert str(server.temporary) not in answer
        taken[name] = server.memory("VmHWM") - start
    print(taken)
    assert max(taken.values()) < MOST, taken
    check(server, "")


def test_old_files_are_removed_and_a_full_folder_takes_no_more(monkeypatch, tmp_path):
    from ofhkit.restoration.page import uploads

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    files = uploads.Uploads()
    path, old = files.new_archive("restored.zip")[1], files.folder / "left.tmp"
    path.write_bytes(b"1")
    old.write_bytes(bytes(uploads.LEAST + 1))
    assert files.size() == 2 * uploads.LEAST + 1
    files.listed = [{str(old), str(path), str(files.folder / "gone")}]
    files.remove_old()
    assert old.exists()
    assert files.listed == [{str(old), str(path)}]
    monkeypatch.setattr(uploads, "MAX_FOLDER", uploads.MAX_ARCHIVE + 2 * uploads.LEAST)
    with pytest.raises(OfhkitError, match="holds as many files as it can"):
        files.new_archive("restored.zip")
    for place in (old, path.parent):
        os.utime(place, (0, 0))
    files.remove_old()
    assert files.size() == 0
    assert files.listed == [set()]
    assert files.archives.exists()


def test_it_stops_while_a_visitor_listens(tmp_path):
    server = Server(tmp_path)
    host, port = server.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 30) as connection:
        connection.sendall(b"GET /gradio_api/heartbeat/a HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"200 OK" in connection.recv(2**16)
        left = server.stop()
    assert not [name for name in left if name.startswith("uploads-")]
    assert "Traceback" not in server.log()


@pytest.mark.long
@pytest.mark.slow
def test_two_hundred_requests_made_from_seeds(server, visitor, paths, face, counts):
    counts = counts("requests to the page")
    for seed in range(counts["cases"], 200):
        rng = random.Random(seed)
        [path] = visitor.upload(("face.png", face))
        method, address, options = mutate(rng, visitor, paths, path)
        answer = visitor.http.request(method, address, **options)
        assert answer.status_code in STATUS, (seed, answer.text[:500])
        check(server, answer.text)
        if answer.status_code == 200 and "event_id" in answer.text and (session := session_of(options)):
            text = "".join(map(json.dumps, visitor.messages(session)))
            assert str(server.temporary) not in text, seed
            assert "Traceback" not in text, seed
        taken = answer.status_code == 200
        counts.add(cases=1, taken=taken, refused=not taken)
    counts.done()


def session_of(options):
    try:
        return json.loads(options["content"])["session_hash"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None


@pytest.mark.long
@pytest.mark.slow
def test_eight_visitors_and_flat_memory(server, face, counts):
    """After a fifth of the time the memory has its size: what comes later is no more than noise."""
    counts = counts(f"eight visitors of the page for {MINUTES:g} minutes")
    end, memory, done = time.monotonic() + 60 * MINUTES, [], [0] * 8
    stop = threading.Event()

    def visit(number):
        visitor = Visitor(server.address, timeout=300)
        rng = random.Random(number)
        while time.monotonic() < end and not stop.is_set():
            for event, data, many in visitor.doors():
                handles = visitor.upload(*[(f"{n}.png", face) for n in range(rng.randint(1, 3) if many else 1)])
                files = [file_data(handle) for handle in handles]
                answer = visitor.ask(event, data(files if many else files[0]), session=f"client{number}")
                assert "data:image" in answer or NO_MASK.search(answer), answer
                done[number] += 1
                time.sleep(rng.uniform(2, 10))  # while the result is looked at

    with ThreadPoolExecutor(8) as pool:
        visits = [pool.submit(visit, number) for number in range(8)]
        while not all(visit.done() for visit in visits):
            time.sleep(min(10, 6 * MINUTES))
            memory.append(server.memory())
            if any(visit.done() and visit.exception() for visit in visits):
                stop.set()
    for visit in visits:
        visit.result()
    rest = memory[len(memory) // 5 :]
    print(f"server's MB every ten seconds: {memory}")
    first, last = (int(np.median(part)) for part in (rest[: len(rest) // 4], rest[-len(rest) // 4 :]))
    assert last < first + 100, memory
    check(server, "")
    counts.add(cases=sum(done), MB_in_the_server_once_warm=first, MB_at_the_end=last)
    counts.done()
