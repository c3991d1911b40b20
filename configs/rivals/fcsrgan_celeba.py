"""FCSR-GAN (Cai et al. 2020) without its discriminator: partial convolutions complete, FSRNet enlarges.

python tools/train.py configs/rivals/fcsrgan_celeba.py --data-root DIR
python tools/test.py configs/rivals/fcsrgan_celeba.py --data-root DIR

The heat maps learn from the landmarks of the data. CelebA has no parsing maps; where a data set does, add
``model.losses.parsing.type=ParsingLoss model.losses.parsing.weight=0.1``, the published weight.
"""

_base_ = ["../_base_/celeba.py", "../_base_/curriculum.py", "../_base_/runtime.py"]

method = "FCSR-GAN, no D"
model = dict(
    type="FaceHallucinator",
    inpainter=dict(type="PartialConvInpainter"),
    upsampler=dict(type="FSRNet"),
    losses=dict(
        pixel=dict(type="PixelLoss"), coarse=dict(type="CoarseLoss"), heatmaps=dict(type="HeatmapLoss", weight=1.0)
    ),
)
stages = dict(
    # Published: batch 8, 60 epochs of CelebA, Adam at 1e-4 with betas 0.5 and 0.999, falling in the last ten.
    upsampler=dict(
        iterations=40_000, batch_size=8, optimizer=dict(type="Adam", lr=1e-4, betas=(0.5, 0.999)), freeze_bn=0.1
    ),
)
