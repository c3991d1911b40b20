"""OFHNet without its discriminator: pixel and structure loss (paper, Figure 7).

python tools/train.py configs/ablation/ofhnet_l2_structure.py --data-root DIR
python tools/test.py configs/ablation/*.py --out outputs/ablation
"""

_base_ = "../ofhnet_celeba.py"

model = dict(
    discriminator=None,
    losses=dict(_delete_=True, pixel=dict(type="PixelLoss"), structure=dict(type="SemanticStructureLoss")),
)
