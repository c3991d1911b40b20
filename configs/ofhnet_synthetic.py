"""OFHNet on rendered faces, with narrow networks: from nothing to a table in minutes on two CPU cores.

    python tools/train.py configs/ofhnet_synthetic.py

Renders 1,900 faces once (kept in the user's cache), trains all three stages, prints OFHNet beside IN+bicubic on 200
test faces and writes table and picture grid into work_dirs/ofhnet_synthetic/.

So short a training needs what the paper does not have: the bicubic enlargement is added (``image_skip``), and the
discriminator weighs little. All networks but the inpainter are narrow, the landmark network too: it sees every face.
"""

_base_ = ["ofhnet_celeba.py", "_base_/synthetic.py"]

model = dict(
    upsampler=dict(channels=(64, 48, 32), head_channels=(32, 16), image_skip=True),
    discriminator=dict(channels=(16, 32, 64, 128, 128, 128)),
    landmark_prior=dict(channels=(16, 32, 32, 64, 128)),
    losses=dict(adversarial=dict(weight=0.00003)),
)
