"""Inpainters: ``(lr, mask) -> lr_filled``."""
