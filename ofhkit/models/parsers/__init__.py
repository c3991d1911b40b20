"""Face parsers: ``(hr) -> logits (N, classes, H, W)``."""
