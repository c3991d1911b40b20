"""IN + URDGN (Yu and Porikli 2016): its generator, discriminator, balance rule, warm-up and optimizer.

python tools/train.py configs/urdgn_celeba.py --data-root DIR
python tools/test.py configs/urdgn_celeba.py --data-root DIR
"""

_base_ = ["_base_/celeba.py", "_base_/curriculum.py", "_base_/runtime.py"]

method = "IN+URDGN"
model = dict(
    type="FaceHallucinator",
    inpainter=dict(type="EncoderDecoder"),
    upsampler=dict(type="URDGN"),
    discriminator=dict(type="URDGNDiscriminator"),
    losses=dict(
        pixel=dict(type="PixelLoss", weight=4.0),  # MSE on [-1, 1] data is four times that on [0, 1]
        adversarial=dict(type="AdversarialLoss", weight=0.01),
    ),
)
stages = dict(
    upsampler=dict(
        margin=0.3,
        # Published: batch 128, lr 1e-3 x 0.99 an epoch, floor 1e-6; the first 10 updates at lr/50, to 30 at lr/5.
        optimizer=dict(type="RMSprop", lr=1e-3, alpha=0.9, eps=1e-8),
        discriminator_optimizer=dict(type="RMSprop", lr=1e-3, alpha=0.9, eps=1e-8),
        schedule=[
            dict(type="CosineAnnealingLR", eta_min=1e-6),
            dict(type="ConstantLR", factor=0.1, begin=0, end=10, scaled=False),
            dict(type="ConstantLR", factor=0.2, begin=0, end=30, scaled=False),
        ],
    ),
)
