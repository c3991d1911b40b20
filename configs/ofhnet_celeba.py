"""OFHNet on CelebA as the paper prints it: all four parts and all losses.

python tools/train.py configs/ofhnet_celeba.py --data-root DIR
python tools/test.py configs/ofhnet_celeba.py --data-root DIR

What is ours, and better, is configs/ofhnet_plus_celeba.py.
"""

_base_ = ["_base_/celeba.py", "_base_/curriculum.py", "_base_/runtime.py"]

method = "OFHNet"
model = dict(
    type="FaceHallucinator",
    inpainter=dict(type="EncoderDecoder"),
    upsampler=dict(type="ResidualUpsampler"),
    discriminator=dict(type="FaceDiscriminator"),
    landmark_prior=dict(type="FanZhou"),
    losses=dict(
        pixel=dict(type="PixelLoss"),
        adversarial=dict(type="AdversarialLoss", weight=0.0002),
        structure=dict(type="SemanticStructureLoss"),
    ),
)
# The paper prints no optimizer. Muon learns from a face what takes Adam three or four.
stages = dict(
    upsampler=dict(iterations=45_000, batch_size=8, optimizer=dict(type="ConvMuon", lr=1e-2), lead=0.5),
)
