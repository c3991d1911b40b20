"""Landmark networks: ``(hr) -> landmarks (N, 68, 2)`` in HR pixels."""
