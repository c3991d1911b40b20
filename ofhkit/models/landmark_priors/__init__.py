"""Landmark networks: ``(hr) -> landmarks (N, 68, 2)`` in HR pixels."""

from ofhkit.models.landmark_priors.face_api import FaceAPI68
from ofhkit.models.landmark_priors.fan_zhou import FanZhou

__all__ = ["FaceAPI68", "FanZhou"]
