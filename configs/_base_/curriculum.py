"""The paper's curriculum. Steps that a model does not need are left out by themselves.

``--budget 0.01`` is for CPUs (OFHNet with --amp: 10 minutes on one core of an AMD EPYC), ``--budget 1`` for a GPU.
"""

steps = dict(
    landmarks=dict(
        type="LandmarkStep",
        iterations=30_000,
        batch_size=16,
        optimizer=dict(type="Adam", lr=1e-3),
        schedule=dict(type="CosineAnnealingLR", eta_min=1e-5),
    ),
    fit_inpainter=dict(type="FitStep", component="inpainter"),  # instead of "inpainter", for one that is fitted
    inpainter=dict(
        type="InpainterStep",
        iterations=200_000,
        batch_size=32,
        optimizer=dict(type="Adam", lr=2e-3),
        schedule=dict(type="CosineAnnealingLR", eta_min=1e-5),
    ),
    upsampler=dict(
        type="UpsamplerStep",
        iterations=90_000,
        batch_size=4,  # many small steps suit a short training; on a GPU take 64 and fewer iterations
        optimizer=dict(type="Adam", lr=1e-3),
        discriminator_optimizer=dict(type="Adam", lr=1e-4),
        schedule=dict(type="CosineAnnealingLR", eta_min=1e-5),
        freeze_norm=0.5,
    ),
    fit=dict(type="FitStep"),  # instead of "upsampler", for upsamplers that are fitted in one pass
)
