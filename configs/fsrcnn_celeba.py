"""IN + FSRCNN (Dong et al. 2016): a thin network at 16x16 and one deconvolution of stride 8.

python tools/train.py configs/fsrcnn_celeba.py --data-root DIR
python tools/test.py configs/fsrcnn_celeba.py --data-root DIR
"""

_base_ = ["_base_/celeba.py", "_base_/curriculum.py", "_base_/runtime.py"]

method = "IN+FSRCNN"
model = dict(
    type="FaceHallucinator",
    inpainter=dict(type="EncoderDecoder"),
    upsampler=dict(type="FSRCNN"),
    losses=dict(pixel=dict(type="PixelLoss")),
)
# Published: SGD, learning rate 1e-3, a tenth of it for the deconvolution. Here one optimizer and rate for all.
stages = dict(upsampler=dict(optimizer=dict(lr=4e-3)))  # of 1e-3, 4e-3 and 1e-2 the best on validation faces
