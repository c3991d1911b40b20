"""The paper's curriculum at budget 1. Steps that a model does not need are left out by themselves."""

steps = dict(
    landmarks=dict(
        type="LandmarkStep",
        iterations=40_000,
        batch_size=32,
        optimizer=dict(type="Adam", lr=1e-3),
        schedule=dict(type="CosineAnnealingLR", eta_min=1e-5),
    ),
    inpainter=dict(
        type="InpainterStep",
        iterations=150_000,
        batch_size=32,
        optimizer=dict(type="Adam", lr=2e-3),
        schedule=dict(type="CosineAnnealingLR", eta_min=1e-5),
    ),
    upsampler=dict(
        type="UpsamplerStep",
        iterations=60_000,
        batch_size=16,
        optimizer=dict(type="Adam", lr=1e-3),
        schedule=dict(type="CosineAnnealingLR", eta_min=1e-5),
    ),
    fit=dict(type="FitStep"),  # instead of "upsampler", for upsamplers that are fitted in one pass
)
