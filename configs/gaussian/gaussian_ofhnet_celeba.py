"""OFHNet on the face prior's completion instead of IN's.

python tools/train.py configs/gaussian/gaussian_ofhnet_celeba.py --data-root DIR
python tools/test.py configs/gaussian/gaussian_ofhnet_celeba.py --data-root DIR
"""

_base_ = "../ofhnet_celeba.py"

method = "Gaussian+OFHNet"
model = dict(inpainter=dict(type="GaussianInpainter"))
