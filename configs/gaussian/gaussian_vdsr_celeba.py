"""VDSR on the face prior's completion instead of IN's.

python tools/train.py configs/gaussian/gaussian_vdsr_celeba.py --data-root DIR
python tools/test.py configs/gaussian/gaussian_vdsr_celeba.py --data-root DIR
"""

_base_ = "../vdsr_celeba.py"

method = "Gaussian+VDSR"
model = dict(inpainter=dict(type="GaussianInpainter"))
