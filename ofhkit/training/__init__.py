"""The common runner: curriculum, steps, sampler, hooks, checkpoints."""
