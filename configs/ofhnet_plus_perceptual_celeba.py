"""OFHNet+ on CelebA, for faces that look real: the fidelity point trained on with LPIPS, structure and a discriminator.

python tools/train.py configs/ofhnet_plus_celeba.py --data-root DIR
python tools/train.py configs/ofhnet_plus_perceptual_celeba.py --data-root DIR
python tools/test.py configs/ofhnet_plus*_celeba.py --data-root DIR
"""

_base_ = "ofhnet_plus_celeba.py"

method = "OFHNet+ (perceptual)"
load_from = "work_dirs/ofhnet_plus_celeba/model.safetensors"
model = dict(
    discriminator=dict(type="FaceDiscriminator", channels=(16, 32, 64, 128, 128, 128)),
    landmark_prior=dict(type="FanZhou"),
    losses=dict(
        _delete_=True,
        pixel=dict(type="PixelLoss"),
        lpips=dict(type="LPIPSLoss", weight=0.03),
        adversarial=dict(type="AdversarialLoss", weight=0.0004),
        structure=dict(type="SemanticStructureLoss", weight=0.2),
    ),
)
stages = dict(
    upsampler=dict(
        iterations=10_000,
        batch_size=8,
        optimizer=dict(type="ConvMuon", lr=3e-3, adam_lr=0.3),
        average=0.99,
        lead=0.5,
    ),
)
