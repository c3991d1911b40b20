"""The layout in Gradio. All logic lies beside it; this connects buttons with it."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from ofhkit.errors import OfhkitError
from ofhkit.functional.images import png_uri
from ofhkit.functional.task import LR_SIZE, MAX_HOLE
from ofhkit.restoration.page.archive import MASKS, pack_results, restore_many
from ofhkit.restoration.page.compare import read_cells, restore
from ofhkit.restoration.page.guard import ARCHIVE
from ofhkit.restoration.page.html import draw_batch, draw_results
from ofhkit.restoration.page.inputs import EXAMPLES, MEMORY, Opened, open_example, open_file
from ofhkit.restoration.page.methods import Method
from ofhkit.restoration.page.uploads import MAX_FILES, Uploads

try:
    import gradio as gr
except ImportError:  # ofhkit.restoration.page.server says what to install
    gr = None

__all__ = ["build", "style"]

_log = logging.getLogger(__name__)
_HERE = Path(__file__).parent
_HEAD = """<div class="head"><h1>A tiny face with a hole, made whole</h1>
<p>Open a face, paint over a part of it, and see what every method makes of the 16 × 16 pixels it gets.</p></div>"""
_PICK = """element.querySelectorAll('button').forEach(
  (button) => button.addEventListener('click', () => trigger('click', {name: button.dataset.name})));"""


def style() -> dict[str, Any]:
    """Theme and stylesheet; no font is fetched."""
    fonts = ["system-ui", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif"]
    theme = gr.themes.Default(
        primary_hue="orange", neutral_hue="zinc", font=fonts, font_mono=["ui-monospace", "monospace"]
    )
    return {"theme": theme, "css": (_HERE / "page.css").read_text(encoding="utf-8")}


def build(methods: Sequence[Method], uploads: Uploads, concurrency: int = 2) -> gr.Blocks:
    """Build the page.

    Args:
        methods: what to compare, in order.
        uploads: where archives are kept.
        concurrency: users who are served at a time; others wait in a queue.
    """
    by_name = {method.name: method for method in methods}
    memory = MEMORY // concurrency

    def show(opened: Opened) -> tuple[Opened, dict, str, str]:
        hidden = opened.hidden.copy()
        if not hidden.any():
            hidden[5:11, 5:11] = True
        cells = "".join("01"[int(on)] for on in hidden.flat)
        value = {"image": png_uri(opened.face), "cells": cells}
        return opened, value, compare(opened, value, True), _notes(opened)

    def compare(opened: Opened | None, value: dict | None, intact: bool) -> str:
        if opened is None:
            raise OfhkitError("open a face first")
        results = restore(opened, read_cells((value or {}).get("cells")), bool(intact), methods)
        return draw_results(results, pack_results(results, methods))

    def pick(event: gr.EventData) -> tuple:
        return show(open_example(event._data["name"]))

    def upload(path: str) -> tuple:
        return (*show(open_file(path, memory=memory)), None)

    def many(paths: list[str] | None, mask: str, method: str) -> str:
        handle, archive = uploads.new_archive("restored.zip")
        files = [(Path(path), Path(path).name) for path in paths or []]
        return draw_batch(restore_many(files, mask, by_name[method], archive, memory), f"{ARCHIVE[1:]}/{handle}")

    show(open_example(EXAMPLES[0]))  # loads every network before the first visitor comes
    first = show(open_example(EXAMPLES[0]))
    private = dict(api_visibility="private", concurrency_id="networks", concurrency_limit=concurrency)
    with gr.Blocks(title="ofhkit", analytics_enabled=False, delete_cache=(60, 600)) as page:
        gr.HTML(_HEAD)
        opened = gr.State(None, time_to_live=3600)
        with gr.Tab("One face"), gr.Row():
            with gr.Column(scale=2, min_width=340):
                file = gr.File(show_label=False, height=118, elem_id="photo")
                examples = gr.HTML(_examples(), js_on_load=_PICK, apply_default_css=False, elem_id="examples")
                painter = gr.HTML(
                    {"image": "", "cells": "0" * 256},
                    html_template=(_HERE / "painter.html").read_text(encoding="utf-8"),
                    js_on_load=f"const N = {LR_SIZE}, MOST = {MAX_HOLE};\n" + (_HERE / "painter.js").read_text("utf-8"),
                    apply_default_css=False,
                    elem_id="painter",
                )
                notes = gr.HTML(apply_default_css=False)
                intact = gr.Checkbox(True, label="The true face is under my paint: score against it")
                button = gr.Button("Restore", variant="primary", elem_id="restore")
            with gr.Column(scale=5):
                shown = gr.HTML(apply_default_css=False, elem_id="shown")
        with gr.Tab("Many pictures"), gr.Row():
            with gr.Column(scale=2, min_width=340):
                files = gr.File(label=f"Up to {MAX_FILES} pictures", file_count="multiple", elem_id="photos")
                mask = gr.Radio(list(MASKS), value=next(iter(MASKS)), label="What is hidden")
                method = gr.Dropdown(list(by_name), value=next(iter(by_name)), label="Method")
                start = gr.Button("Restore all", variant="primary", elem_id="restore-all")
            with gr.Column(scale=5):
                table = gr.HTML(apply_default_css=False, elem_id="table")

        face = [opened, painter, shown, notes]
        page.load(lambda: first, None, face, **private)
        wait = dict(show_progress_on=shown)
        examples.click(_guard(pick, [gr.skip()] * 4), None, face, **wait, **private)
        bad = [*[gr.skip()] * 4, None]  # the place for files is free again after a bad one, too
        file.upload(_guard(upload, bad), file, [*face, file], **wait, **private)
        button.click(_guard(compare, gr.skip()), [opened, painter, intact], shown, **private)
        start.click(_guard(many, gr.skip()), [files, mask, method], table, **private)
    return page.queue(max_size=64)


def _guard(function: Callable, otherwise: Any) -> Callable:
    """Show a user's mistake as the sentence it is, and leave the page ``otherwise``; of other errors say only that."""

    @functools.wraps(function)
    def guarded(*args: Any) -> Any:
        try:
            return function(*args)
        except OfhkitError as error:
            sentence = str(error)
        except Exception as error:
            _log.error("%s: %.500r", function.__name__, error, exc_info=_log.isEnabledFor(logging.DEBUG))
            sentence = "the page failed at this; it is not your mistake"
        gr.Warning(escape(sentence), title="That did not work", duration=8)
        return tuple(otherwise) if isinstance(otherwise, list) else otherwise

    return guarded


def _notes(opened: Opened) -> str:
    return f'<p class="origin">{escape("; ".join(opened.notes))}</p>'


def _examples() -> str:
    tiles = (
        f'<button data-name="{name}" title="{name}"><img alt="{name}" src="{png_uri(_thumbnail(name))}"></button>'
        for name in EXAMPLES
    )
    return f'<div class="examples">{"".join(tiles)}</div>'


def _thumbnail(name: str) -> np.ndarray:
    return open_example(name).face
