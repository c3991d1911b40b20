"""The face prior's completion, then plain bicubic interpolation: nothing is optimised (``--budget`` does not scale it).

python tools/train.py configs/gaussian/gaussian_bicubic_celeba.py --data-root DIR
python tools/test.py configs/gaussian/gaussian_bicubic_celeba.py --data-root DIR
"""

_base_ = ["../_base_/celeba.py", "../_base_/curriculum.py", "../_base_/runtime.py"]

method = "Gaussian+bicubic"
model = dict(
    type="FaceHallucinator",
    inpainter=dict(type="GaussianInpainter"),
    upsampler=dict(type="Bicubic"),
)
