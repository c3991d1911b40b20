"""What the long part has tried, and how it ended: each of its tests keeps its counts, and this prints all of them.

python tests/robustness/counts.py    # docs/results/robustness.json -> docs/results/robustness.md, docs/security.md
"""

import datetime
import json
import time
from pathlib import Path

RESULTS = Path(__file__).parents[2] / "docs/results/robustness.json"
PAGES = RESULTS.with_suffix(".md"), RESULTS.parents[1] / "security.md"
START = "<!-- what python tests/robustness/counts.py printed -->\n"


class Counts(dict):
    """Counts of one attack, as words and numbers; ``cases`` is how many there were.

    They are kept in pytest's cache, so that an attack that was stopped goes on.

    Args:
        request: pytest's, of the test.
        name: what is attacked.
        kept: whether the outcome goes into :data:`RESULTS`.
    """

    def __init__(self, request, name: str, kept: bool):
        self.name, self.kept, self.start = name, kept, time.monotonic()
        self.key, self.cache = f"robustness/{name}", request.config.cache if kept else None
        super().__init__({"cases": 0, **((kept and self.cache.get(self.key, None)) or {})})

    def add(self, **more: float) -> None:
        """Count more of something; ``_`` stands for a blank, and ``most_`` keeps the largest."""
        for word, value in more.items():
            word = word.replace("_", " ")
            self[word] = max(self.get(word, 0), value) if word.startswith("most ") else self.get(word, 0) + value
        self["minutes"] = self.get("minutes", 0) + (time.monotonic() - self.start) / 60
        self.start = time.monotonic()
        if self.kept:
            self.cache.set(self.key, dict(self))

    def done(self) -> None:
        """The attack has come to its end: print its line, and keep it."""
        print(f"\n{self.name}: {dict(self)}")
        if self.kept:
            results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
            results[self.name] = {**self, "date": datetime.date.today().isoformat()}
            RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
            self.cache.set(self.key, None)


def table(results: dict[str, dict]) -> str:
    """One line an attack, and one for all of them."""
    lines = ["| attacked | cases | how they ended | minutes | date |", "| --- | --: | --- | --: | --- |"]
    for name, found in sorted(results.items()):
        ends = ", ".join(f"{found[word]:,} {word}" for word in sorted(found.keys() - {"cases", "minutes", "date"}))
        lines.append(f"| {name} | {found['cases']:,} | {ends} | {found['minutes']:.1f} | {found['date']} |")
    cases, minutes = (sum(found[word] for found in results.values()) for word in ("cases", "minutes"))
    return (
        "\n".join([*lines, f"| all | {cases:,} | as promised: a test that fails notes nothing | {minutes:.1f} | |"])
        + "\n"
    )


if __name__ == "__main__":
    text = table(json.loads(RESULTS.read_text()))
    for page in PAGES:
        page.write_text(page.read_text().partition(START)[0] + START + text)
    print(text)
