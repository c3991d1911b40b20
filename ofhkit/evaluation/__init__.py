"""From finished pipelines to tables, figures and a report: what ``tools/test.py`` does."""
