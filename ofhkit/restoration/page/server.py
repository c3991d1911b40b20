"""The page as a server that keeps its files, its paths and its visitors to itself."""

from __future__ import annotations

import importlib.util
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ofhkit.errors import OfhkitError
from ofhkit.restoration.page.guard import ARCHIVE, PATIENCE, UPLOAD, Guard
from ofhkit.restoration.page.methods import Method
from ofhkit.restoration.page.uploads import MAX_BYTES, Uploads

__all__ = ["application", "serve"]

SESSIONS = 256
LIMITS = {"limit_concurrency": 256, "timeout_graceful_shutdown": 3}


def application(methods: Sequence[Method], concurrency: int = 2) -> Guard:
    """The page as an ASGI application.

    Raises:
        OfhkitError: Gradio is not installed.
    """
    if importlib.util.find_spec("gradio") is None:
        raise OfhkitError("the page needs Gradio, which is missing: pip install 'ofhkit[demo]'")
    uploads = Uploads()
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "GRADIO_TEMP_DIR": str(uploads.folder)}
    import gradio
    from fastapi import FastAPI

    from ofhkit.restoration.page.layout import build, style

    page = build(methods, uploads, concurrency)
    page.state_session_capacity = SESSIONS
    uploads.listed = page.temp_file_sets
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=uploads.lifespan)
    app.add_route(UPLOAD, uploads.receive, methods=["POST"])  # before Gradio's own
    app.add_route(f"{ARCHIVE}/{{handle:path}}", uploads.send)
    gradio.mount_gradio_app(
        app,
        page,
        path="",
        show_error=False,
        allowed_paths=[],
        max_file_size=MAX_BYTES,
        ssr_mode=False,
        enable_monitoring=False,
        run_history=False,
        pwa=False,
        mcp_server=False,
        footer_links=[],
        **style(),
    )
    page.has_launched = True  # Gradio checks paths of a page that was launched, and takes a mounted one for none
    return Guard(app, page, uploads)


def serve(methods: Sequence[Method], host: str, port: int, concurrency: int = 2) -> None:
    """Serve the page until it is stopped; its address is printed when it answers.

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

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                number = self.servers[0].sockets[0].getsockname()[1]
                print(f"{len(methods)} methods; open http://{host}:{number}/ (Ctrl-C stops)", flush=True)

    config = uvicorn.Config(app, host=host, port=port, log_level="warning", http=_impatient(), **LIMITS)
    with suppress(KeyboardInterrupt):
        Server(config).run()


def _impatient() -> type:
    """HTTP that hangs up on who asks for nothing: otherwise some hundred silent visitors keep all others out."""
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Impatient(H11Protocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.last, self.watch = None, self.loop.call_later(PATIENCE, self.look)

        def look(self) -> None:
            if self.cycle is self.last and (self.cycle is None or self.cycle.response_complete):
                self.transport.close()
            else:
                self.last, self.watch = self.cycle, self.loop.call_later(PATIENCE, self.look)

        def connection_lost(self, exc: Exception | None) -> None:
            self.watch.cancel()
            super().connection_lost(exc)

    return Impatient
