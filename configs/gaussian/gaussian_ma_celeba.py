"""Ma on the face prior's completion instead of IN's.

python tools/train.py configs/gaussian/gaussian_ma_celeba.py --data-root DIR
python tools/test.py configs/gaussian/gaussian_ma_celeba.py --data-root DIR
"""

_base_ = "../ma_celeba.py"

method = "Gaussian+Ma"
model = dict(inpainter=dict(type="GaussianInpainter"))
