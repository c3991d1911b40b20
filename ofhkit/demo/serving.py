"""The page as a server that keeps its files, its paths and its visitors to itself."""

from __future__ import annotations

import importlib.util
import os
import socket
import tempfile
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from ofhkit.demo.methods import Method
from ofhkit.demo.opening import MAX_BYTES
from ofhkit.demo.packing import MAX_FILES
from ofhkit.errors import OfhkitError

__all__ = ["Guard", "application", "serve"]

MAX_BODY = 2**20
HEADERS = {
    "content-security-policy": "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' blob: data:; worker-src 'self' blob:; frame-ancestors 'self'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
CLOSED = ("/file", "/proxy", "/stream", "/monitoring", "/deep_link", "/vibe", "/runs", "/openapi.json")
_Message = MutableMapping[str, Any]


class Guard:
    """Limits what may be sent, serves no file that Gradio would, and lets the browser fetch from nowhere else."""

    def __init__(self, app: Callable[..., Awaitable[None]]):
        self.app = app

    async def __call__(self, scope: _Message, receive: Callable, send: Callable) -> None:
        """Pass a request on, or answer it with 404 or 413."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"].removeprefix("/gradio_api")
        if path.startswith(CLOSED):
            await _answer(send, 404, "not served here")
            return
        limit = MAX_FILES * MAX_BYTES if path.startswith("/upload") else MAX_BODY
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > limit:
            await _answer(send, 413, "more than this page takes")
            return
        taken = 0

        async def counted() -> _Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            return {"type": "http.disconnect"} if taken > limit else message

        async def dressed(message: _Message) -> None:
            if message["type"] == "http.response.start":
                extra = [(key.encode(), value.encode()) for key, value in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", []), *extra]}
            await send(message)

        await self.app(scope, counted, dressed)


async def _answer(send: Callable, status: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


def application(methods: Sequence[Method], concurrency: int = 2) -> Any:
    """The page as an ASGI application.

    Raises:
        OfhkitError: Gradio is not installed.
    """
    if importlib.util.find_spec("gradio") is None:
        raise OfhkitError("the page needs Gradio, which is missing: pip install 'ofhkit[demo]'")
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("GRADIO_TEMP_DIR", tempfile.mkdtemp(prefix="uploads-"))
    import gradio
    from fastapi import FastAPI

    from ofhkit.demo.page import build, style

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard)
    return gradio.mount_gradio_app(
        app,
        build(methods, concurrency),
        path="",
        show_error=False,
        allowed_paths=[],
        max_file_size=MAX_BYTES,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        footer_links=[],
        **style(),
    )


def serve(methods: Sequence[Method], host: str, port: int, concurrency: int = 2) -> None:
    """Serve the page until it is stopped.

    Raises:
        OfhkitError: Gradio is not installed, or the port is taken.
    """
    app = application(methods, concurrency)
    import uvicorn

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise OfhkitError(f"--host {host} --port {port}: {reason}; choose another port") from None
    uvicorn.run(app, host=host, port=port, log_level="warning")
