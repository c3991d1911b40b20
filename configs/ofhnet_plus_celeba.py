"""OFHNet+ on CelebA, for fidelity: the Gaussian completion, and a trunk at 16x16 with a thin ladder to 128x128.

python tools/train.py configs/ofhnet_plus_celeba.py --data-root DIR
python tools/test.py configs/ofhnet_plus_celeba.py --data-root DIR

The completion is fitted in one pass; the upsampler alone is optimised. 0.64 GMAC a face, where OFHNet has 2.46.
"""

_base_ = ["_base_/celeba.py", "_base_/curriculum.py", "_base_/runtime.py"]

method = "OFHNet+"
model = dict(
    type="FaceHallucinator",
    inpainter=dict(type="GaussianInpainter"),
    upsampler=dict(type="TrunkUpsampler"),
    losses=dict(pixel=dict(type="PSNRLoss"), ssim=dict(type="SSIMLoss", weight=8.0)),
)
stages = dict(
    upsampler=dict(
        iterations=40_000,
        batch_size=16,
        optimizer=dict(type="ConvMuon", lr=1e-2),
        schedule=[
            dict(type="CosineAnnealingLR", eta_min=3e-5),
            dict(type="LinearLR", start_factor=0.02, begin=0, end=50, scaled=False),
        ],
        clip_grad=dict(max_norm=5.0),
        freeze_bn=0.0,
        average=0.998,
        cross_fit=5,
    ),
)
