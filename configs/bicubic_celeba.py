"""IN + bicubic: the shared inpainter, then plain bicubic interpolation. Only the inpainter is trained.

python tools/train.py configs/bicubic_celeba.py --data-root DIR
python tools/test.py configs/bicubic_celeba.py --data-root DIR
"""

_base_ = ["_base_/celeba.py", "_base_/curriculum.py", "_base_/runtime.py"]

method = "IN+bicubic"
model = dict(
    type="FaceHallucinator",
    inpainter=dict(type="EncoderDecoder"),
    upsampler=dict(type="Bicubic"),
)
