"""OFHNet on CelebA: all four parts and all losses.

python tools/train.py configs/ofhnet_celeba.py --data-root DIR
python tools/test.py configs/ofhnet_celeba.py --data-root DIR

Expected with --budget 0.01 --amp, 10 minutes on one CPU core with bfloat16: PSNR 23.96 and SSIM 0.713, where IN+bicubic
has 23.07 and 0.661 (docs/results/celeba_budget_0.01.md).
"""

_base_ = ["_base_/celeba.py", "_base_/curriculum.py", "_base_/runtime.py"]

method = "OFHNet"
model = dict(
    type="FaceHallucinator",
    inpainter=dict(type="EncoderDecoder"),
    upsampler=dict(type="ResidualUpsampler", image_skip=True),  # without: configs/extra/ofhnet_as_printed.py
    discriminator=dict(type="FaceDiscriminator"),
    landmark_prior=dict(type="FanZhou"),
    losses=dict(
        pixel=dict(type="PixelLoss"),
        adversarial=dict(type="AdversarialLoss"),
        structure=dict(type="SemanticStructureLoss"),
    ),
)
