"""OFHNet without the semantic structure loss: pixel and adversarial loss (paper, Figure 7).

python tools/train.py configs/ablation/ofhnet_l2_adversarial.py --data-root DIR
python tools/test.py configs/ablation/*.py --out outputs/ablation
"""

_base_ = "../ofhnet_celeba.py"

model = dict(
    landmark_prior=None,
    losses=dict(_delete_=True, pixel=dict(type="PixelLoss"), adversarial=dict(type="AdversarialLoss", weight=0.0002)),
)
