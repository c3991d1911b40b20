"""The page without a server, exported and served as files; and what it is asked in a browser."""

import base64
import functools
import http.server
import threading


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def serve(folder):
    """A file server of a folder, in a thread."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def visit(page, server):
    """Open the site and wait until its first example is restored."""
    page.goto(f"http://127.0.0.1:{server.server_port}/")
    page.wait_for_selector("html[data-ready]")
    settle(page)


def settle(page):
    """Wait until nothing is being restored."""
    page.wait_for_selector("#result[aria-busy=false]")


def open_bytes(page, content, name="a.png"):
    """Open a picture as dropping it does, and wait for its result."""
    page.evaluate(
        """async ([text, name]) => {
             const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
             await ofhkit.open(new File([bytes], name)); }""",
        [base64.b64encode(content).decode(), name],
    )
    page.wait_for_timeout(200)
    settle(page)
