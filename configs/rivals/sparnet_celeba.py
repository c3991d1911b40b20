"""IN + SPARNet-Light (Chen et al. 2021): face attention units on the bicubic enlargement.

python tools/train.py configs/rivals/sparnet_celeba.py --data-root DIR
python tools/test.py configs/rivals/sparnet_celeba.py --data-root DIR

``model.inpainter.type=GaussianInpainter`` gives it OFHNet+'s completion. 6.88 GMAC a face: docs/rivals.md says what
that takes on a CPU.
"""

_base_ = ["../_base_/celeba.py", "../_base_/curriculum.py", "../_base_/runtime.py"]

method = "IN+SPARNet"
model = dict(
    type="FaceHallucinator",
    inpainter=dict(type="EncoderDecoder"),
    upsampler=dict(type="SPARNet"),
    losses=dict(pixel=dict(type="L1Loss")),
)
stages = dict(
    # Published: batch 32, 20 epochs of CelebA, Adam at 2e-4 with betas 0.9 and 0.99.
    upsampler=dict(
        iterations=40_000, batch_size=16, optimizer=dict(type="Adam", lr=2e-4, betas=(0.9, 0.99)), freeze_bn=0.1
    ),
)
