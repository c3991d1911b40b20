"""Requests that a stranger might send to the page: paths, some dozens written down, and any number made from a seed."""

import json
import random

JOIN, UPLOAD = "/gradio_api/queue/join", "/gradio_api/upload"
FILES = (
    "{secret}", "/{secret}", "{secret}/", "{secret}/.", "{up}{secret}", "{uploads}/..{up}{secret}",
    "{uploads}/{up}{secret}", "{uploads}/planted.png", "{uploads}/{token}/link.png",
    "{token}/link.png", "{token}/..", "{token}/../planted.png",
    "{token}", "{uploads}", "archives/x", "/proc/self/environ", "/dev/zero", "/dev/stdin", "/etc/passwd", "~/face.png",
    "file://{secret}", "file:{secret}", "http://example.invalid/face.png", "https://example.invalid/a.png",
    "ftp://example.invalid/a.png", "//example.invalid/a.png", "data:image/png;base64,AAAA", "\\\\host\\share\\a.png",
    "C:\\face.png", "", ".", "..", "\0", "{secret}\0.png", "{token}/a\0.png", "a" * 5000, "{token}/" + "a" * 300,
    "%2e%2e/{secret}", "{token}/\ud800.png", "{token}/link.png\n", "\u202e{secret}", "*", "{token}/*",
)  # fmt: skip
VALUES = (
    None, True, -1, 2**70, 1e308, float("nan"), float("inf"), "", "a" * 10_000, "\ud800", "\0", [], [[]], {},
    {"path": None}, {"path": 5}, {"path": ["a"]}, {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}},
    {"mask": "g" * 4096}, {"mask": "1" * 4096}, {"mask": "1" * 4097}, 
    {"mask": "0" * 4096, "points": [[9, 9]] * 5}, [None] * 2000,
    {"__type__": "update"}, "<script>alert(1)</script>",
    {"video": {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}}, [{"path": "/etc/passwd"}] * 100,
)  # fmt: skip


def forge(paths):
    """Name -> (method, path, what httpx takes); a name that starts with ``fine`` may be answered with 200."""
    secret = paths.get("secret", "")
    event = {"data": [], "fn_index": 0, "session_hash": "forged", "event_data": None, "trigger_id": None}
    file = {"path": secret, "meta": {"_type": "gradio.FileData"}}

    def join(**changed):
        return "POST", JOIN, {"content": json.dumps({**event, **changed})}

    def raw(content, **headers):
        return "POST", JOIN, {"content": content, "headers": headers}

    def form(content, kind="multipart/form-data; boundary=a"):
        return "POST", UPLOAD, {"content": content, "headers": {"content-type": kind}}

    part = b'--a\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n\r\n%s\r\n--a--\r\n'
    return {
        "an event that is not": join(fn_index=99),
        "an event below zero": join(fn_index=-1),
        "an event of words": join(fn_index="upload"),
        "an event in a list": join(fn_index=[0]),
        "an event by its name": ("POST", "/gradio_api/call/upload", {"json": {"data": [file]}}),
        "an event called directly": ("POST", "/gradio_api/run/upload", {"json": {"data": [file], "fn_index": 4}}),
        "an event called as of old": ("POST", "/gradio_api/api/upload", {"json": {"data": [file], "fn_index": 4}}),
        "a function of a component": ("POST", "/gradio_api/component_server", {"json": {
            "component_id": 6, "fn_name": "ls", "session_hash": "forged", "data": secret}}),
        "too few values": join(fn_index=7, data=[None]),
        "too many values": join(fn_index=7, data=[None] * 50),
        "values that are no list": join(fn_index=4, data={"0": None}),
        "no values": raw(json.dumps({"fn_index": 0, "session_hash": "forged"})),
        "a choice that is not": join(fn_index=7, data=[[], "../../x", "ofhnet"]),
        "a method that is not": join(fn_index=7, data=[[], "No hole", "__class__"]),
        "a session in a list": join(session_hash=["a"]),
        "a session with a path": join(session_hash="../../etc"),
        "a session of 10,000 letters": join(session_hash="a" * 10_000),
        "no session": join(session_hash=None),
        "a session that is half a letter": join(session_hash="\ud800"),
        "NaN": join(fn_index=6, data=[None, {"mask": float("nan")}, True]),
        "a hole that is none": join(fn_index=6, data=[None, {"mask": "g" * 4096}, True]),
        "points that are none": join(fn_index=3, data=[None, {"mask": "0" * 4096, "points": [[0, "a"]] * 5}]),
        "a thousand points": join(fn_index=3, data=[None, {"mask": "0" * 4096, "points": [[0, 0]] * 1000}]),
        "points beyond the picture": join(fn_index=3, data=[None, {"mask": "0" * 4096, "points": [[0, 1e308]] * 5}]),
        "a mask by its path": join(fn_index=5, data=[file, None, {"mask": "0" * 4096}]),
        "a word for yes": join(fn_index=6, data=[None, {"mask": "0" * 4096}, "yes"]),
        "65 files": join(fn_index=7, data=[[file] * 65, "No hole", "ofhnet"]),
        "2,000 files": join(fn_index=7, data=[[file] * 2000, "No hole", "ofhnet"]),
        "files in files": join(fn_index=4, data=[{**file, "path": {**file}}]),
        "a number of 10,000 digits": raw(b'{"data": [], "fn_index": ' + b"9" * 10_000 + b"}"),
        "deep lists": raw(b"[" * 100_000),
        "deep values": raw(b'{"fn_index": 4, "session_hash": "a", "data": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"),
        "deep names": raw(b'{"a":' * 40_000 + b"1" + b"}" * 40_000),
        "no JSON": raw(b"\xff\xfe\0"),
        "nothing": raw(b""),
        "a number": raw(b"1"),
        "null": raw(b"null"),
        "a megabyte": raw(b" " * 2**20),
        "a megabyte of unknown length": ("POST", JOIN, {"content": iter([b" " * 2**16] * 16)}),
        "another host": ("GET", "/", {"headers": {"host": "a b"}}),
        "half an address": ("GET", "/", {"headers": {"x-forwarded-host": "[::1"}}),
        "a host with markup": ("GET", "/", {"headers": {"x-forwarded-host": "<b>"}}),
        "fine: a server of its own": ("GET", "/", {"headers": {"x-gradio-server": "http://[::1"}}),
        "another scheme": ("GET", "/", {"headers": {"x-forwarded-proto": "javascript"}}),
        "fine: a deep link": ("GET", "/?deep_link=../../etc", {}),
        "a deep link made": ("GET", "/gradio_api/deep_link?session_hash=forged", {}),
        "a file": ("GET", f"/gradio_api/file={secret}", {}),
        "a file in an older way": ("GET", f"/file/{secret}", {}),
        "a file of the programs": ("GET", "/static/..%2f..%2f..%2fblocks.py", {}),
        "a file of the assets": ("GET", "/assets/../../../blocks.py", {}),
        "a file with an endless name": ("GET", "/svelte/" + "a" * 5000, {}),
        "a component's file": ("GET", "/gradio_api/custom_component/file/client/component/..%2f..%2fapp.py", {}),
        "a stream": ("GET", "/gradio_api/stream/forged/1/2/playlist.m3u8", {}),
        "a recording": ("POST", "/gradio_api/process_recording", {"files": {"video": b"x"}}),
        "written code": ("POST", "/gradio_api/vibe-edit", {"json": {"prompt": "x"}}),
        "a login": ("POST", "/login", {"data": {"username": "a", "password": "b"}}),
        "watching": ("GET", "/monitoring/summary", {}),
        "an archive that is not": ("GET", f"/archive/{'0' * 32}/restored.zip", {}),
        "an archive elsewhere": ("GET", "/archive/..%2f..%2fetc%2fpasswd", {}),
        "an upload as an archive": ("GET", f"/archive/{paths.get('token', '0' * 32)}/link.png", {}),
        "another's session": ("GET", "/gradio_api/queue/data?session_hash=nobody", {}),
        "a session of bytes": ("GET", "/gradio_api/queue/data?session_hash=%ff%00", {}),
        "no session to hear": ("GET", "/gradio_api/queue/data", {}),
        "another's event ended": ("POST", "/gradio_api/cancel", {"json": {"session_hash": "a", "fn_index": 0,
                                  "event_id": "b"}}),
        "a put": ("PUT", JOIN, {"content": b"{}"}),
        "a method of one's own": ("BREW", "/", {}),
        "an upload of no form": form(b"x", "application/octet-stream"),
        "an upload of fields": form(b"a=" + b"x" * 10_000, "application/x-www-form-urlencoded"),
        "an upload without a boundary": form(b"x", "multipart/form-data"),
        "fine: an upload that breaks off": form((part % (b"a", b"x"))[:60]),
        "an upload of one large field": form((part % (b"a", b"x" * 2**20)).replace(b'; filename="a"', b"")),
        "an upload with a large header": form(b"--a\r\nx: " + b"x" * 2**20),
        "an upload without a name": form(b"--a\r\nContent-Disposition: form-data\r\n\r\nx\r\n--a--\r\n"),
        "an upload of 65 files": ("POST", UPLOAD, {"files": [("files", ("a", b"x"))] * 65}),
        "a large upload": ("POST", UPLOAD, {"files": {"files": ("a.png", bytes(15 * 2**20 + 1))}}),
        "fine: an upload that climbs": form(part % (b"../../../etc/face.png", b"x")),
        "fine: an upload of zeros": form(part % (b"\0\0", b"x")),
        "fine: an upload of dots": form(part % (b"..", b"x")),
        "fine: an upload with a long name": form(part % (b"a" * 3000, b"x")),
        "fine: an upload of half letters": form(part % (b"\xed\xa0\x80=<b>.png", b"x")),
        "fine: an upload of nothing": form(b"--a--\r\n"),
    }  # fmt: skip


HEADS = {  # what no client library sends
    "a length below zero": (f"POST {JOIN} HTTP/1.1", "Content-Length: -1"),
    "a length of a terabyte": (f"POST {UPLOAD} HTTP/1.1", f"Content-Length: {2**40}"),
    "a length of 300 digits": (f"POST {UPLOAD} HTTP/1.1", "Content-Length: " + "9" * 300),
    "two lengths": (f"POST {JOIN} HTTP/1.1", "Content-Length: 1", "Content-Length: 2"),
    "a length and chunks": (f"POST {JOIN} HTTP/1.1", "Content-Length: 1", "Transfer-Encoding: chunked", "", "0"),
    "an address that climbs": ("GET /static/../../../../etc/passwd HTTP/1.1",),
    "an address that climbs, coded": ("GET /static/%2e%2e/%2e%2e/%2e%2e/etc/passwd HTTP/1.1",),
    "another server": ("GET http://example.invalid/ HTTP/1.1",),
    "a web socket": ("GET /gradio_api/queue/join HTTP/1.1", "Connection: Upgrade", "Upgrade: websocket",
                     "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="),
    "noise": ("\x16\x03\x01\x02",),
}  # fmt: skip


def mutate(rng: random.Random, visitor, paths, uploaded):
    """One request: a good one of which a few parts are replaced, or one of :func:`forge` with other bytes."""
    if rng.random() < 0.3:
        forged = forge(paths)
        method, path, options = forged[rng.choice(sorted(forged))]
        if isinstance(options.get("content"), bytes | str):
            content = options["content"]
            return (
                method,
                path,
                {**options, "content": _noise(rng, content if isinstance(content, bytes) else content.encode())},
            )
        return method, path, options
    event, data, many = rng.choice(list(visitor.doors()))
    file = {"path": uploaded, "meta": {"_type": "gradio.FileData"}}
    if rng.random() < 0.7:
        file[rng.choice(("path", "url", "meta", "is_stream", "orig_name"))] = _anything(rng, paths)
    body = {"data": data([file] * rng.randint(1, 5) if many else file), "fn_index": event, "event_data": None,
            "session_hash": f"seed{rng.getrandbits(32)}", "trigger_id": None}  # fmt: skip
    for _ in range(rng.randint(0, 2)):
        if rng.random() < 0.5:
            body[rng.choice((*body, "batched", "event_id", "simple_format", "request"))] = _anything(rng, paths)
        elif isinstance(body["data"], list) and body["data"]:
            body["data"][rng.randrange(len(body["data"]))] = _anything(rng, paths)
    content = json.dumps(body).encode()
    return "POST", JOIN, {"content": _noise(rng, content) if rng.random() < 0.2 else content}


def _anything(rng, paths):
    return rng.choice(FILES).format(**paths) if rng.random() < 0.4 else rng.choice(VALUES)


def _noise(rng, content):
    content = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        if content:
            content[rng.randrange(len(content))] = rng.randrange(256)
    return bytes(content)
