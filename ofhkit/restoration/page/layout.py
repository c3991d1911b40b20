"""The layout in Gradio. All logic lies beside it; this connects buttons with it."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from ofhkit.errors import OfhkitError
from ofhkit.functional.images import png_uri
from ofhkit.restoration.page.archive import MASKS, pack_results, restore_many
from ofhkit.restoration.page.compare import read_mask, read_points, restore
from ofhkit.restoration.page.guard import ARCHIVE
from ofhkit.restoration.page.html import draw_batch, draw_faces, draw_results
from ofhkit.restoration.page.inputs import EXAMPLES, MEMORY, Opened, open_example
from ofhkit.restoration.page.methods import Method
from ofhkit.restoration.page.photograph import add_mask, choose_face, open_file, paste, place_face
from ofhkit.restoration.page.uploads import MAX_FILES, Uploads
from ofhkit.runtime.files import asset

try:
    import gradio as gr
except ImportError:  # ofhkit.restoration.page.server says what to install
    gr = None

__all__ = ["build", "style"]

_log = logging.getLogger(__name__)
_HERE = Path(__file__).parent
_HEAD = """<div class="head"><h1>A tiny face with a hole, made whole</h1>
<p>Open a face or a photograph, paint over a part of it, and see what every method
makes of the 16 × 16 pixels it gets.</p>
</div>"""
_LOST = """<div class="results"><p class="lost">No face was found in this photograph.</p>
<p>Click five points on the picture: both eyes, the tip of the nose, both corners of the mouth, the left one of
a pair first. Then paint what is hidden.</p></div>"""
_PICK = """element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (!button) return;
  element.querySelectorAll('[aria-pressed]').forEach((one) => one.setAttribute('aria-pressed', String(one === button)));
  trigger('click', {name: button.dataset.name});
});"""
_COMPARE = """element.addEventListener('input', (event) => {
  if (event.target.matches('.versus input'))
    event.target.parentElement.style.setProperty('--at', `${event.target.value}%`);
});
element.addEventListener('click', (event) => {
  const view = event.target.closest('button.view'), slider = view && [...element.querySelectorAll('.versus')].at(-1);
  if (!slider) return;
  const [name, image] = [view.getAttribute('aria-label').replace('Compare ', ''), slider.querySelector('img')];
  Object.assign(image, {src: view.querySelector('img').src, alt: name});
  slider.querySelector('.tag.right').textContent = name;
  slider.scrollIntoView({block: 'nearest', behavior: 'smooth'});
});"""


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def style() -> dict[str, Any]:
    """Theme and stylesheet; no font is fetched."""
    fonts = ["system-ui", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif"]
    theme = gr.themes.Default(
        primary_hue="orange", neutral_hue="zinc", font=fonts, font_mono=["ui-monospace", "monospace"]
    )
    return {"theme": theme, "css": _text(asset("web/widgets.css")) + _text(_HERE / "page.css")}


def build(methods: Sequence[Method], uploads: Uploads, concurrency: int = 2) -> gr.Blocks:
    """Build the page.

    Args:
        methods: what to compare, in order.
        uploads: where archives are kept.
        concurrency: users who are served at a time; others wait in a queue.
    """
    start_with = open_example(EXAMPLES[0])
    by_name = {method.name: method for method in methods}
    memory = MEMORY // concurrency

    def show(opened: Opened, several: bool = True, keep: bool = True) -> tuple:
        """The face, the painter's value, what is shown, notes, and the faces to choose from."""
        view = opened.face if opened.view is None else opened.view
        mask = np.packbits(opened.hidden).tobytes().hex()
        value = {"image": png_uri(view), "mask": mask, "points": [], "lost": opened.lost}
        kept = replace(opened, view=None, faces=())
        shown = _LOST if opened.lost else compare(kept, value, True, keep)
        return kept, value, shown, _notes(opened), draw_faces(opened.faces) if several else gr.skip()

    def compare(opened: Opened | None, value: dict | None, intact: bool, keep: bool = True) -> str:
        opened, hidden = opened or start_with, read_mask((value or {}).get("mask"))
        results = restore(opened, hidden, bool(intact), methods)
        results = replace(results, photo=paste(opened, hidden, methods[0].model, memory))
        if not keep:
            return draw_results(results, "")
        handle, archive = uploads.new_archive("restored.zip")
        archive.write_bytes(pack_results(results, methods))
        return draw_results(results, f"{ARCHIVE[1:]}/{handle}")

    def pick(event: gr.EventData) -> tuple:
        return show(open_example(event._data["name"]))

    def choose(opened: Opened | None, event: gr.EventData) -> tuple:
        name = event._data["name"]
        return show(choose_face(opened or start_with, int(name) if name.isdecimal() else -1, memory), several=False)

    def place(opened: Opened | None, value: dict) -> tuple:
        return show(place_face(opened or start_with, read_points(value.get("points")), memory))

    def upload(path: str) -> tuple:
        return (*show(open_file(path, memory=memory)), None)

    def hide(path: str, opened: Opened | None, value: dict) -> tuple:
        hidden = add_mask(opened or start_with, read_mask(value.get("mask")), Path(path), Path(path).name, memory)
        return {"mask": np.packbits(hidden).tobytes().hex()}, None

    def many(paths: list[str] | None, mask: str, method: str) -> str:
        handle, archive = uploads.new_archive("restored.zip")
        files = [(Path(path), Path(path).name) for path in paths or []]
        return draw_batch(restore_many(files, mask, by_name[method], archive, memory), f"{ARCHIVE[1:]}/{handle}")

    show(start_with, keep=False)  # loads every network before the first visitor comes
    first = show(start_with, keep=False)
    private = dict(api_visibility="private", concurrency_id="networks", concurrency_limit=concurrency)
    with gr.Blocks(title="ofhkit", analytics_enabled=False) as page:
        gr.HTML(_HEAD)
        opened = gr.State(None, time_to_live=3600)
        with gr.Tab("One face"), gr.Row():
            with gr.Column(scale=2, min_width=340):
                file = gr.File(label="A face or a photograph", height=150, elem_id="photo")
                examples = gr.HTML(_examples(), js_on_load=_PICK, apply_default_css=False, elem_id="examples")
                faces = gr.HTML(js_on_load=_PICK, apply_default_css=False, elem_id="faces")
                painter = gr.HTML(
                    {"image": "", "mask": "0" * 4096, "points": []},
                    html_template='<div class="painter"></div>',
                    js_on_load=_text(asset("web/widgets.js")) + _text(_HERE / "painter.js"),
                    apply_default_css=False,
                    elem_id="painter",
                )
                notes = gr.HTML(apply_default_css=False)
                mask_file = gr.File(label="Mask from a file: what is white or opaque hides", height=130, elem_id="mask")
                intact = gr.Checkbox(True, label="The true face is under my paint: score against it")
                button = gr.Button("Restore", variant="primary", elem_id="restore")
            with gr.Column(scale=5):
                shown = gr.HTML(js_on_load=_COMPARE, apply_default_css=False, elem_id="shown")
        with gr.Tab("Many pictures"), gr.Row():
            with gr.Column(scale=2, min_width=340):
                files = gr.File(label=f"Up to {MAX_FILES} pictures", file_count="multiple", elem_id="photos")
                mask = gr.Radio(list(MASKS), value=next(iter(MASKS)), label="What is hidden")
                method = gr.Dropdown(list(by_name), value=next(iter(by_name)), label="Method")
                start = gr.Button("Restore all", variant="primary", elem_id="restore-all")
            with gr.Column(scale=5):
                table = gr.HTML(apply_default_css=False, elem_id="table")

        face = [opened, painter, shown, notes, faces]
        page.load(lambda: first, None, face, **private)
        wait, same = dict(show_progress_on=[painter, shown], **private), [gr.skip()] * len(face)
        examples.click(_guard(pick, same), None, face, **wait)
        faces.click(_guard(choose, same), opened, face, **wait)
        painter.submit(_guard(place, same), [opened, painter], face, **wait)
        file.upload(
            _guard(upload, [*same, None]), file, [*face, file], **wait
        )  # its place is free again after a bad one
        mask_file.upload(_guard(hide, [gr.skip(), None]), [mask_file, opened, painter], [painter, mask_file], **wait)
        button.click(_guard(compare, gr.skip()), [opened, painter, intact], shown, **wait)
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
