"""URDGN on the face prior's completion instead of IN's.

python tools/train.py configs/gaussian/gaussian_urdgn_celeba.py --data-root DIR
python tools/test.py configs/gaussian/gaussian_urdgn_celeba.py --data-root DIR
"""

_base_ = "../urdgn_celeba.py"

method = "Gaussian+URDGN"
model = dict(inpainter=dict(type="GaussianInpainter"))
