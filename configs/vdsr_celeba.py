"""IN + VDSR (Kim et al. 2016): twenty convolutions on the bicubic enlargement.

python tools/train.py configs/vdsr_celeba.py --data-root DIR
python tools/test.py configs/vdsr_celeba.py --data-root DIR
"""

_base_ = ["_base_/celeba.py", "_base_/curriculum.py", "_base_/runtime.py"]

method = "IN+VDSR"
model = dict(
    type="FaceHallucinator",
    inpainter=dict(type="EncoderDecoder"),
    upsampler=dict(type="VDSR"),
    losses=dict(pixel=dict(type="PixelLoss")),
)
stages = dict(
    # Published: SGD, learning rate 0.1 in steps of x0.1, momentum 0.9, weight decay 1e-4, batch 64, clipped gradients.
    upsampler=dict(optimizer=dict(lr=5e-4), clip_grad=dict(max_norm=1.0)),
)
