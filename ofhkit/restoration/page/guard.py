"""What reaches the page: the routes it needs, the events its buttons send, and files that were uploaded here."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from ofhkit.errors import OfhkitError
from ofhkit.restoration.page.compare import read_mask, read_points
from ofhkit.restoration.page.uploads import MAX_FILES, MAX_FOLDER, MAX_UPLOAD, Uploads

__all__ = ["Guard", "read_event"]

MAX_EVENT = 2**18
UPLOAD, JOIN, STREAM = "/gradio_api/upload", "/gradio_api/queue/join", "/gradio_api/queue/data"
ARCHIVE = "/archive"
PATIENCE, SLOWEST = (
    10,
    60,
)  # seconds until somebody must listen to a session; for a visitor to send or take a message
WAITING = 4  # events of a session whose results nobody has taken yet
READ = re.compile(
    r"/|/(config|theme\.css|favicon\.ico|manifest\.json|robots\.txt)|/(static|assets|svelte)/[\w./-]{1,200}"
    rf"|{ARCHIVE}/[0-9a-f]{{32}}/restored\.zip|/gradio_api/(info|startup-events|app_id|heartbeat/[\w-]{{1,64}})",
    re.ASCII,
)
HEADERS = [
    (
        b"content-security-policy",
        b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
        b"img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' blob: data:; worker-src 'self' blob:; "
        b"frame-ancestors 'self'",
    ),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]
_HOST = rb"([\w.-]{1,255}|\[[0-9a-fA-F:.]{2,45}\])(:\d{1,5})?"
_ADDRESSES = {  # Gradio builds links of them
    b"host": re.compile(_HOST),
    b"x-forwarded-host": re.compile(rb"%s(, ?%s)*" % (_HOST, _HOST)),
    b"x-forwarded-proto": re.compile(rb"https?(, ?https?)*"),
}
_SESSION = re.compile(r"[\w-]{1,64}", re.ASCII)
WRONG = "this is no request of the page; reload it"
TOO_LARGE = "more than this page takes at once"
_Message = MutableMapping[str, Any]
_log = logging.getLogger(__name__)


def read_event(body: bytes, events: Mapping[int, Any], uploads: Uploads) -> dict[str, Any]:
    """What a button of the page sends, taken apart and put together anew: nothing else gets to Gradio.

    Args:
        body: JSON of the request.
        events: what the page's buttons call, by number (``gradio.Blocks.fns``).
        uploads: the only files that an event may name.

    Raises:
        OfhkitError: it is something else, or names another file.
    """
    try:
        sent = json.loads(body)
        event, session, values = events[sent["fn_index"]], sent["session_hash"], sent["data"]
        if not _SESSION.fullmatch(session) or not isinstance(values, list) or len(values) != len(event.inputs):
            raise ValueError
        data = [_value(block, value, uploads) for block, value in zip(event.inputs, values)]
        about = sent.get("event_data")
        name = str(about.get("name"))[:64] if isinstance(about, dict) else ""
    except (KeyError, TypeError, ValueError, RecursionError):
        raise OfhkitError(WRONG) from None
    return {"data": data, "fn_index": event._id, "session_hash": session, "event_data": {"name": name}}


def _value(block: Any, value: Any, uploads: Uploads) -> Any:
    """A value of an input, as this input sends it."""
    kind = type(block).__name__
    if kind == "State":
        return None  # the server's own
    if kind == "File" and block.file_count == "single":
        return None if value is None else _file(value, uploads)
    if kind == "File" and isinstance(value or [], list):
        if len(value or []) > MAX_FILES:
            raise OfhkitError(f"{len(value)} pictures are more than {MAX_FILES} at once; choose fewer")
        return [_file(item, uploads) for item in value or []]
    if kind == "HTML":
        read_mask(value["mask"])
        points = value.get("points") or []
        return {"mask": value["mask"], "points": read_points(points).tolist() if points else []}
    if kind == "Checkbox" and isinstance(value, bool):
        return value
    if kind in ("Radio", "Dropdown") and value in [choice for _, choice in block.choices]:
        return value
    raise ValueError


def _file(value: Any, uploads: Uploads) -> dict[str, Any]:
    path = uploads.find(value.get("path") if isinstance(value, dict) else None)
    return {"path": str(path), "meta": {"_type": "gradio.FileData"}}


class Guard:
    """An ASGI application in front of Gradio's: everything that a visitor sends passes here.

    Args:
        app: what is guarded.
        page: the ``gradio.Blocks`` it serves.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], page: Any, uploads: Uploads):
        self.app, self.page, self.uploads = app, page, uploads
        self.listeners: dict[str, int] = {}  # of each session: what nobody listens to is not kept
        self.seen: dict[str, float] = {}  # when a session was last heard of
        self.arriving = 0  # bytes of uploads on their way
        self._tasks: set[asyncio.Task] = set()

    async def __call__(self, scope: _Message, receive: Callable, send: Callable) -> None:
        """Pass a request on, or answer it with one sentence; so does what fails behind, and one line in the log."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        else:
            reply = _Reply(send)
            try:
                await self._answer(scope, receive, reply)
            except asyncio.CancelledError:  # the server stops while this visitor listens
                await reply.end()
            except Exception as error:
                _log.error("%s %r: %.500r", scope["method"], scope["path"][:200], error)
                if not reply.started:
                    await reply.say(500, "the page could not answer this; reload it")

    async def _answer(self, scope: _Message, receive: Callable, reply: _Reply) -> None:
        scope = {**scope, "headers": [(name, value) for name, value in scope["headers"] if name != b"x-gradio-server"]}
        path, method, headers = scope["path"], scope["method"], dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        limit = MAX_UPLOAD if path == UPLOAD else MAX_EVENT
        if not length.isdigit() or len(length) > 19 or int(length) > limit:
            await reply.say(413, TOO_LARGE)
        elif any(name in headers and not form.fullmatch(headers[name]) for name, form in _ADDRESSES.items()):
            await reply.say(400, WRONG)
        elif method == "POST" and path == UPLOAD:
            await self._upload(scope, _impatient(receive), reply)
        elif method == "POST" and path == JOIN:
            await self._join(scope, _impatient(receive), reply)
        elif method == "GET" and path == STREAM:
            await self._stream(scope, receive, reply)
        elif method in ("GET", "HEAD") and READ.fullmatch(path):
            await self.app({**scope, "query_string": b""}, receive, reply)
        else:
            await reply.say(404, "not served here")

    async def _upload(self, scope: _Message, receive: Callable, reply: _Reply) -> None:
        taken = 0

        async def counted() -> _Message:
            nonlocal taken
            message = await receive()
            size = len(message.get("body", b""))
            taken, self.arriving = taken + size, self.arriving + size
            return {"type": "http.disconnect"} if max(taken - MAX_UPLOAD, self.arriving - MAX_FOLDER) > 0 else message

        try:
            await self.app({**scope, "query_string": b""}, counted, reply)
        finally:
            self.arriving -= taken

    async def _stream(self, scope: _Message, receive: Callable, reply: _Reply) -> None:
        session = parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [""])[0]
        if session not in self.listeners:
            await reply.say(404, WRONG)
            return
        self.listeners[session] += 1
        try:
            await self.app(scope, receive, reply)
        finally:
            self.listeners[session] -= 1
            self._expect(session)

    def _expect(self, session: str) -> None:
        """Forget a session, its events and results, if nobody listens to it in a while."""

        async def forget() -> None:
            await asyncio.sleep(PATIENCE)
            if self.listeners.get(session) == 0 and time.monotonic() - self.seen[session] > 0.9 * PATIENCE:
                del self.listeners[session], self.seen[session]
                queue = self.page._queue
                await queue.clean_events(session_hash=session)
                queue.pending_messages_per_session.pop(session, None)
                queue.pending_event_ids_session.pop(session, None)

        self.seen[session] = time.monotonic()
        task = asyncio.create_task(forget())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _join(self, scope: _Message, receive: Callable, reply: _Reply) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                await reply.say(408, WRONG)
                return
            body, more = body + message.get("body", b""), message.get("more_body", False)
            if len(body) > MAX_EVENT:
                await reply.say(413, TOO_LARGE)
                return
        try:
            event = read_event(body, self.page.fns, self.uploads)
        except OfhkitError as error:
            await reply.say(400, str(error))
            return
        session, body = event["session_hash"], json.dumps(event).encode()
        if len(self.page._queue.pending_event_ids_session.get(session, ())) >= WAITING:
            await reply.say(429, "wait for what you asked for before")
            return
        self.listeners.setdefault(session, 0)
        self._expect(session)
        headers = [(k, v) for k, v in scope["headers"] if k not in (b"content-length", b"content-type")]
        headers += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        waiting = [{"type": "http.request", "body": body, "more_body": False}]

        async def replayed() -> _Message:
            return waiting.pop() if waiting else await receive()

        await self.app({**scope, "headers": headers, "query_string": b""}, replayed, reply)


class _Reply:
    """Sends an answer, with headers that let the browser fetch from nowhere else."""

    def __init__(self, send: Callable):
        self.send, self.started, self.ended = send, False, False

    async def __call__(self, message: _Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            message = {**message, "headers": [*message.get("headers", []), *HEADERS]}
        self.ended = message["type"] == "http.response.body" and not message.get("more_body", False)
        await asyncio.wait_for(self.send(message), SLOWEST)

    async def end(self) -> None:
        """End an answer that has begun."""
        if self.started and not self.ended:
            await self({"type": "http.response.body", "body": b""})

    async def say(self, status: int, text: str) -> None:
        """Answer with a sentence, where Gradio's script looks for it."""
        await self(
            {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]}
        )
        await self({"type": "http.response.body", "body": json.dumps({"detail": text}).encode()})


def _impatient(receive: Callable) -> Callable:
    """Hang up on who stops sending."""

    async def received() -> _Message:
        try:
            return await asyncio.wait_for(receive(), SLOWEST)
        except (TimeoutError, asyncio.TimeoutError):
            return {"type": "http.disconnect"}

    return received
