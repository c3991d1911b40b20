"""Files that visitors bring."""

from pathlib import Path

from PIL import Image

from ofhkit.runtime.files import asset


def write_pictures(folder: Path) -> dict[str, Path]:
    """The astronaut as a crop, with a transparent hole, tiny; and a file that is no picture."""
    face = Image.open(asset("astronaut_face.png")).convert("RGB")
    face.save(folder / "plain.png")
    holed = face.convert("RGBA")
    holed.paste((0, 0, 0, 0), (40, 48, 88, 80))
    holed.save(folder / "Loch <b>.png")
    face.resize((16, 16), Image.Resampling.BICUBIC).save(folder / "tiny.png")
    (folder / "bad.png").write_text("nothing")
    names = {"plain": "plain.png", "holed": "Loch <b>.png", "tiny": "tiny.png", "bad": "bad.png"}
    return {key: folder / name for key, name in names.items()}
