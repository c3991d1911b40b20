"""OFHNet on rendered faces, with narrow networks: from nothing to a table in minutes on two CPU cores.

    python tools/train.py configs/ofhnet_synthetic.py

Renders 1,900 faces once (kept in the user's cache), trains all three stages, prints OFHNet beside IN+bicubic on 200
test faces and writes table and picture grid into work_dirs/ofhnet_synthetic/. Expected: PSNR 23.91 and SSIM 0.720,
where IN+bicubic has 23.04 and 0.678; 5:27 on two cores of an AMD EPYC, rendering included.

So short a training needs what the paper does not have: the bicubic enlargement is added (``image_skip``), and the
discriminator weighs little.
"""

_base_ = ["ofhnet_celeba.py", "_base_/synthetic.py"]

model = dict(
    upsampler=dict(channels=(64, 48, 32), head_channels=(32, 16), image_skip=True),
    discriminator=dict(channels=(16, 32, 64, 128, 128, 128)),
    landmark_prior=dict(channels=(16, 32, 32, 64, 128)),
    losses=dict(adversarial=dict(weight=0.00003)),
)
