"""The whole pipeline: complete, paste, upsample."""
