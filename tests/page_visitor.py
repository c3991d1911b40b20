"""A visitor of the page who speaks its protocol directly: uploads, events with any content, and their outcomes."""

import itertools
import json
from functools import partial

import httpx

API = "/gradio_api"
NUMBERS = itertools.count()


def file_data(path, **more):
    """What stands for a file in an event."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}, **more}


class Visitor:
    """One visitor; ``session`` is another one for every event unless it is given."""

    def __init__(self, address, timeout=120):
        limits = httpx.Limits(keepalive_expiry=2)  # the server hangs up after five seconds
        self.http = httpx.Client(base_url=address, timeout=timeout, limits=limits)
        config = self.http.get("/config").json()
        self.kinds = {component["id"]: component["type"] for component in config["components"]}
        self.props = {component["id"]: component["props"] for component in config["components"]}
        self.events = {event["id"]: event for event in config["dependencies"]}

    def upload(self, *files):
        """Handles of files ``(name, bytes)``."""
        return self.http.post(f"{API}/upload", files=[("files", file) for file in files]).raise_for_status().json()

    def join(self, event, data, session=None, **more):
        """The answer to an event, and its session."""
        session = session or f"visitor{next(NUMBERS)}"
        body = {
            "data": data,
            "fn_index": event,
            "session_hash": session,
            "event_data": None,
            "trigger_id": None,
            **more,
        }
        return self.http.post(f"{API}/queue/join", content=json.dumps(body)), session

    def messages(self, session):
        """All messages until the server ends the stream: hanging up before, a visitor may lose the next event."""
        with self.http.stream("GET", f"{API}/queue/data", params={"session_hash": session}) as answer:
            answer.raise_for_status()
            for line in answer.iter_lines():
                if line.startswith("data:"):
                    yield json.loads(line[5:])

    def ask(self, event, data, **more):
        """Everything that comes back for an event, as text."""
        answer, session = self.join(event, data, **more)
        if answer.status_code != 200:
            return answer.text
        return answer.text + "".join(map(json.dumps, self.messages(session)))

    def doors(self):
        """Every event that takes files: its number, how to make its data of one value, and whether it takes several."""
        for number, event in self.events.items():
            for place, component in enumerate(event["inputs"]):
                if self.kinds[component] in ("file", "image", "gallery", "uploadbutton", "imageeditor"):
                    plain = [self.plain(other) for other in event["inputs"]]
                    many = self.kinds[component] == "gallery" or self.props[component].get("file_count") == "multiple"
                    yield number, partial(_with, plain, place), many

    def plain(self, component):
        """A value that an input takes."""
        props = self.props[component]
        if self.kinds[component] in ("radio", "dropdown"):
            return props["choices"][0][1]
        return props.get("value")


def _with(values, place, value):
    return [*values[:place], value, *values[place + 1 :]]
