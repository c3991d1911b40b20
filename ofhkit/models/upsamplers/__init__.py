"""Upsamplers: ``(lr) -> sr``."""
