"""The paper's curriculum. Stages that a model does not need are left out by themselves.

``--budget 0.01`` is for CPUs (OFHNet with --amp: 10 minutes on one core of an AMD EPYC), ``--budget 1`` for a GPU.
"""

stages = dict(
    landmarks=dict(
        type="LandmarkStage",
        iterations=30_000,
        batch_size=16,
        optimizer=dict(type="Adam", lr=1e-3),
        schedule=dict(type="CosineAnnealingLR", eta_min=1e-5),
    ),
    fit_inpainter=dict(type="FitStage", trains="inpainter"),  # instead of "inpainter", for one that is fitted
    inpainter=dict(
        type="InpainterStage",
        iterations=200_000,
        batch_size=32,
        optimizer=dict(type="Adam", lr=2e-3),
        schedule=dict(type="CosineAnnealingLR", eta_min=1e-5),
    ),
    upsampler=dict(
        type="UpsamplerStage",
        iterations=90_000,
        batch_size=4,  # many small iterations suit a short training; on a GPU take 64 and fewer iterations
        optimizer=dict(type="Adam", lr=1e-3),
        discriminator_optimizer=dict(type="Adam", lr=1e-4),
        schedule=dict(type="CosineAnnealingLR", eta_min=1e-5),
        freeze_bn=0.5,
    ),
    fit=dict(type="FitStage"),  # instead of "upsampler", for upsamplers that are fitted in one pass
)
