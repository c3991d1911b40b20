"""The page's pictures and tables as HTML that holds its pictures itself."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np
from PIL import Image

from ofhkit.functional.images import png_uri
from ofhkit.restoration.page.archive import Row
from ofhkit.restoration.page.compare import SCORES, Figure, Results

__all__ = ["draw_batch", "draw_faces", "draw_results"]

SHOWN = 1000  # pixels of a photograph's larger side on the page; the archive has them all

_LINES = ((0, 17, False), (17, 22, False), (22, 27, False), (27, 31, False), (31, 36, False), (36, 42, True),
          (42, 48, True), (48, 60, True), (60, 68, True))  # fmt: skip
_MEANING = {
    "PSNR": "peak signal-to-noise ratio against the true face",
    "SSIM": "structural similarity with the true face",
    "LPIPS": "perceptual distance from the true face",
    "NRMSE": "distance of 68 landmarks from the true ones, in percent of the outer eye distance",
    "Consistency": "PSNR of the result, shrunk again, on the pixels that were seen",
}

SURE = (
    "Dark is sure: most faces that look so outside the hole look so inside it. This one need not; a sure answer can be "
    "wrong. The others fit what is seen as well."
)


def draw_results(results: Results, link: str) -> str:
    """The comparison: before and after, what goes in, completed, the true face, and a card for every method."""
    best, first = _best(results.methods), results.methods[0]
    seen = _card(Figure("What goes in", results.lr, "16 × 16 pixels"), best, results.hidden)
    given = seen + "".join(_card(figure, best) for figure in _completions(results.methods))
    truth = _card(results.truth, best) if results.truth else ""
    cards = "".join(_card(figure, best, compares=True) for figure in results.methods)
    doubts = "".join(_card(figure, best) for figure in results.doubts)
    if doubts:
        doubts = f'<h2>How sure, and what fits as well</h2><p>{SURE}</p><div class="cards given">{doubts}</div>'
    warnings = "".join(f'<p class="warn">{escape(text)}</p>' for text in results.warnings)
    slowest = max(figure.seconds for figure in results.methods)
    photo = _versus(*map(_jpeg_uri, results.photo), "before", f"after, by {first.name}") if results.photo else ""
    face = _versus(png_uri(results.lr), png_uri(first.image), "what goes in", first.name, "pixels")
    return f"""<div class="results">{warnings}<div class="compared">{photo}{face}{truth}</div>
<p class="invented">What lies in the hole is invented: it shows nobody and proves nothing.</p>
<div class="bar"><label><input type="checkbox" class="marks"> Landmarks</label>
<span class="time">{len(results.methods)} methods, the slowest {1000 * slowest:.0f} ms</span>
{_download(f"{results.name}.zip", link)}</div>
<h2>Every method, best first; press one to compare it above</h2><div class="cards">{cards}</div>{doubts}
<h2>How it came about</h2><div class="cards given">{given}</div>
<p class="notice">Hallucinated: not for identification.</p></div>"""


def _versus(before: str, after: str, left: str, right: str, kind: str = "") -> str:
    """A slider between two pictures."""
    return f"""<div class="versus"><img alt="{escape(right)}" src="{after}"><img class="{kind}" alt="{escape(left)}"
src="{before}"><input type="range" min="0" max="100" value="50" aria-label="Show more of before or of after"><span
class="tag left">{escape(left)}</span><span class="tag right">{escape(right)}</span></div>"""


def _jpeg_uri(image: np.ndarray) -> str:
    small = Image.fromarray(image)
    small.thumbnail((SHOWN, SHOWN))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def draw_faces(faces: Sequence[np.ndarray]) -> str:
    """Buttons to choose one of several faces; nothing where there is one."""
    if len(faces) < 2:
        return ""
    tiles = (
        f'<button data-name="{i}" aria-pressed="{str(i == 0).lower()}"><img alt="face {i + 1}" src="{png_uri(face)}">'
        "</button>"
        for i, face in enumerate(faces)
    )
    return f'<p class="which">Which face?</p><div class="examples">{"".join(tiles)}</div>'


def draw_batch(rows: Sequence[Row], link: str) -> str:
    """Many pictures: a thumbnail or the reason why there is none, and where the archive is."""
    failed, untouched = sum(row.image is None for row in rows), sum(row.untouched for row in rows)
    counts = f"{len(rows) - failed - untouched} of {len(rows)} restored"
    counts += f", {untouched} left as they are: no hole" if untouched else ""
    tiles = "".join(_tile(row) for row in rows)
    return f"""<div class="results"><div class="bar"><span>{counts}</span>{_download("restored.zip", link)}</div>
<div class="tiles">{tiles}</div>
<p class="notice">Hallucinated: not for identification.</p></div>"""


def _tile(row: Row) -> str:
    name = escape(row.name)
    caption = f"<figcaption>{name}{' (no hole: left as it is)' if row.untouched else ''}</figcaption>"
    if row.image is None:
        return f'<figure class="tile failed"><p>{escape(row.error)}</p>{caption}</figure>'
    status = "as it was" if row.untouched else "restored"
    return f'<figure class="tile"><img alt="{name}, {status}" src="{png_uri(row.image)}">{caption}</figure>'


def _card(figure: Figure, best: dict[str, float], hidden: np.ndarray | None = None, compares: bool = False) -> str:
    small = ' class="pixels"' if figure.image.shape[0] == 16 else ""
    inset = ""
    if figure.completed is not None:
        inset = f'<img class="inset pixels" alt="the tiny face, completed" src="{png_uri(figure.completed)}">'
    rows = "".join(
        f'<dt title="{_MEANING[name]}">{name}</dt><dd{" class=best" if _is_best(figure, name, best) else ""}>'
        f"{figure.scores[name]:.{SCORES[name].decimals}f} {SCORES[name].unit}</dd>"
        for name in SCORES
        if name in figure.scores
    )
    scores = f"<dl>{rows}</dl>" if rows else ""
    marks = _landmarks(figure.landmarks) if figure.landmarks is not None else ""
    cover = _holes(hidden) if hidden is not None else ""
    tag = f'button type="button" aria-label="Compare {escape(figure.name)}"' if compares else "div"
    return f"""<figure class="card"><{tag} class="view"><img{small} alt="{escape(figure.name)}"
src="{png_uri(figure.image)}">{marks}{cover}{inset}</{tag.split()[0]}>
<figcaption><b>{escape(figure.name)}</b><small title="{escape(figure.note)}">{escape(figure.note)}</small></figcaption>
{scores}</figure>"""


def _completions(figures: Sequence[Figure]) -> list[Figure]:
    """The tiny faces after inpainting, each once: methods share inpainters."""
    found: dict[bytes, list[Figure]] = {}
    for figure in figures:
        if figure.completed is not None:
            found.setdefault(figure.completed.tobytes(), []).append(figure)
    return [Figure("Completed", same[0].completed, "by " + ", ".join(f.name for f in same)) for same in found.values()]


def _best(figures: Sequence[Figure]) -> dict[str, float]:
    """The best value of every score that several methods have."""
    found = {}
    for name, metric in SCORES.items():
        values = [round(f.scores[name], metric.decimals) for f in figures if np.isfinite(f.scores.get(name, np.nan))]
        if len(values) > 1:
            found[name] = max(values) if metric.higher_is_better else min(values)
    return found


def _is_best(figure: Figure, name: str, best: dict[str, float]) -> bool:
    return name in best and round(figure.scores[name], SCORES[name].decimals) == best[name]


def _landmarks(points: np.ndarray) -> str:
    """68 points as thin lines over a 128x128 picture; the origin is the centre of the first pixel."""
    lines = []
    for start, stop, closed in _LINES:
        text = " ".join(f"{x + 0.5:.1f},{y + 0.5:.1f}" for x, y in points[start:stop])
        lines.append(f'<{"polygon" if closed else "polyline"} points="{text}"/>')
    return f'<svg class="points" viewBox="0 0 128 128" aria-hidden="true">{"".join(lines)}</svg>'


def _holes(hidden: np.ndarray) -> str:
    cells = "".join(f'<rect x="{x}" y="{y}" width="1" height="1"/>' for y, x in np.argwhere(hidden))
    return f'<svg class="hole" viewBox="0 0 16 16" aria-hidden="true">{cells}</svg>'


def _download(name: str, link: str) -> str:
    if not link:
        return ""
    return f'<a class="download" download="{escape(name)}" href="{link}">Download all (zip)</a>'
