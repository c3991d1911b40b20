"""Draw what the synthetic faces are made of: histograms of skin tones, ages, face shapes, poses and styles.

    python tools/describe_synthetic.py --out docs/datasets/synthetic_histograms.png

Prints the same numbers as a table. Scenes are drawn, not rendered, so thousands take seconds.

    python tools/describe_synthetic.py --split test --count 200 --groups groups.csv

writes what the renderer knows of each face (skin tone, age, glasses, beard) for ``ofhkit test --groups groups.csv``.
"""

import csv
from collections import Counter
from pathlib import Path

from ofhkit.commands.options import Parser, run, whole

ITA_CLASSES = (("very light", 55), ("light", 41), ("intermediate", 28), ("tan", 10), ("brown", -30), ("dark", -90))
GROUPS = ("name", "skin", "age", "glasses", "beard")
TONES = ("light", "medium", "dark")


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--count", type=whole(1), default=1000, help="scenes to draw (default: 1000)")
    parser.add_argument("--seed", type=whole(0, 2**32 - 1), default=0)
    parser.add_argument("--split", choices=("train", "val", "test"), default="train")
    parser.add_argument("--groups", type=Path, metavar="FILE.csv", help="write each face's groups")
    parser.add_argument("--out", type=Path, metavar="FILE.png", help="picture of the histograms")
    args = parser.parse_args()

    import numpy as np

    from ofhkit.functional.images import write_png
    from ofhkit.rendering.head import load_head
    from ofhkit.rendering.scene import draw_scene, generator

    head = load_head()
    scenes = [draw_scene(head, generator(args.seed, args.split, i)) for i in range(args.count)]
    if args.groups:
        names = [f"{args.split}-{args.seed}-{i:06d}" for i in range(args.count)]  # as in the pack of rendered faces
        with open(args.groups, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([GROUPS, *((name, *_groups(s)) for name, s in zip(names, scenes))])
    shapes = np.array([_proportions(head.shape(s.weights)[head.landmarks]) for s in scenes])
    tones = Counter(_tone(s.skin) for s in scenes)
    panels = [
        ("skin tone (individual typology angle)", [(name, tones[name]) for name, _ in ITA_CLASSES]),
        ("age (years)", _bins([s.age for s in scenes], [18, 25, 35, 45, 55, 65, 75, 85])),
        ("male share of the shape", _bins([s.male for s in scenes], [0, 0.2, 0.4, 0.6, 0.8, 1.01])),
        ("jaw width / eye distance", _bins(shapes[:, 0], np.linspace(1.5, 2.3, 9))),
        ("face height / eye distance", _bins(shapes[:, 1], np.linspace(1.4, 2.4, 11))),
        ("mouth width / eye distance", _bins(shapes[:, 2], np.linspace(0.55, 1.15, 7))),
        ("yaw (degrees)", _bins(np.degrees([s.yaw for s in scenes]), [-40, -25, -15, -5, 5, 15, 25, 40])),
        ("hair", Counter(s.hair for s in scenes).most_common()),
        ("beard", Counter(s.beard for s in scenes).most_common()),
        ("glasses", Counter(s.glasses for s in scenes).most_common()),
        ("hat", Counter(s.hat for s in scenes).most_common()),
    ]
    for title, rows in panels:
        print(f"| {title} | " + ", ".join(f"{name} {100 * n / args.count:.1f} %" for name, n in rows) + " |")
    if args.out:
        print(write_png(args.out, _draw(panels, args.count)))


def _proportions(points):
    """Jaw width, face height and mouth width over the distance of the eyes' centres; (68, 3) in."""
    import numpy as np

    eyes = np.linalg.norm(points[36:42].mean(0) - points[42:48].mean(0))
    pairs = (points[4] - points[12], points[27] - points[8], points[48] - points[54])
    return [np.linalg.norm(pair) / eyes for pair in pairs]


def _groups(scene) -> tuple[str, ...]:
    """Of the columns of ``GROUPS`` behind the name, in words that sort from light to dark and from young to old."""
    tone = 1 + [name for name, _ in ITA_CLASSES].index(_tone(scene.skin)) // 2
    age = next(text for text, most in (("18-39", 40), ("40-62", 63), ("63-85", 200)) if scene.age < most)
    beard = scene.beard if scene.beard in ("none", "stubble") else "beard"
    return f"{tone} {TONES[tone - 1]}", age, "no" if scene.glasses == "none" else "yes", beard


def _tone(skin) -> str:
    import cv2
    import numpy as np

    light, _, yellow = cv2.cvtColor(np.float32(skin)[None, None] / 255, cv2.COLOR_RGB2Lab)[0, 0]
    angle = np.degrees(np.arctan2(light - 50, yellow))
    return next(name for name, least in ITA_CLASSES if angle > least)


def _bins(values, edges) -> list[tuple[str, int]]:
    import numpy as np

    counts = np.histogram(values, edges)[0]
    return [(f"{a:.3g}..{b:.3g}", int(n)) for a, b, n in zip(edges[:-1], edges[1:], counts)]


def _draw(panels, count: int):
    """Horizontal bars, three panels a row; (H, W, 3) uint8."""
    import cv2
    import numpy as np

    width, line, rows = 400, 20, max(len(r) for _, r in panels) + 2
    sheet = np.full((-(-len(panels) // 3) * rows * line, 3 * width, 3), 255, np.uint8)
    for i, (title, bars) in enumerate(panels):
        top, left = i // 3 * rows * line + 16, i % 3 * width + 10
        cv2.putText(sheet, title, (left, top), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
        for k, (name, n) in enumerate(bars):
            y = top + (k + 1) * line
            cv2.putText(sheet, name, (left, y), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (60, 60, 60), 1, cv2.LINE_AA)
            end = left + 110 + round(200 * n / max(m for _, m in bars))
            cv2.rectangle(sheet, (left + 110, y - 10), (end, y + 1), (90, 120, 170), -1)
            share = f"{100 * n / count:.1f} %"
            cv2.putText(sheet, share, (end + 5, y), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (60, 60, 60), 1, cv2.LINE_AA)
    return sheet


if __name__ == "__main__":
    run(main)
