"""FSRCNN on the face prior's completion instead of IN's.

python tools/train.py configs/gaussian/gaussian_fsrcnn_celeba.py --data-root DIR
python tools/test.py configs/gaussian/gaussian_fsrcnn_celeba.py --data-root DIR
"""

_base_ = "../fsrcnn_celeba.py"

method = "Gaussian+FSRCNN"
model = dict(inpainter=dict(type="GaussianInpainter"))
