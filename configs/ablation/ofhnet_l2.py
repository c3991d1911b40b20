"""OFHNet with the pixel loss only (paper, Figure 7).

python tools/train.py configs/ablation/ofhnet_l2.py --data-root DIR
python tools/test.py configs/ablation/*.py --out outputs/ablation
"""

_base_ = "../ofhnet_celeba.py"

model = dict(discriminator=None, landmark_prior=None, losses=dict(_delete_=True, pixel=dict(type="PixelLoss")))
