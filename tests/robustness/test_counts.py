"""The pages show what the long part printed, and nothing else."""

import json

from counts import PAGES, RESULTS, START, table


def test_the_pages_show_the_counts():
    text = table(json.loads(RESULTS.read_text()))
    for page in PAGES:
        assert page.read_text().endswith(START + text), f"python tests/robustness/counts.py writes {page.name}"
