"""OFHNet with all its losses: the last column of the paper's Figure 7.

python tools/train.py configs/ablation/ofhnet_all.py --data-root DIR
python tools/test.py configs/ablation/*.py --out outputs/ablation
"""

_base_ = "../ofhnet_celeba.py"

model = dict()
