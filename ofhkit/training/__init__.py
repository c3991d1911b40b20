"""Training: curriculum (what is done), stages (what learns from what), loop and runner (how), hooks, checkpoints."""
