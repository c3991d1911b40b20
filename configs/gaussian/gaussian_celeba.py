"""The face prior in closed form: exact completion, then the best linear enlargement; nothing is optimised.

python tools/train.py configs/gaussian/gaussian_celeba.py --data-root DIR
python tools/test.py configs/gaussian/gaussian_celeba.py --data-root DIR
"""

_base_ = ["../_base_/celeba.py", "../_base_/curriculum.py", "../_base_/runtime.py"]

method = "Gaussian"
model = dict(
    type="FaceHallucinator",
    inpainter=dict(type="GaussianInpainter"),
    upsampler=dict(type="LinearUpsampler"),
)
