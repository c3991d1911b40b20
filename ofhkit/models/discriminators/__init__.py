"""Discriminators: ``(hr) -> logits``."""
