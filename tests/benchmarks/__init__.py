"""What ``tools/benchmark.py`` runs: everything of one table in one process, interleaved, beside measured ceilings."""
