"""IN + VDSR on rendered faces.

python tools/train.py configs/vdsr_synthetic.py
python tools/test.py configs/vdsr_synthetic.py
"""

_base_ = ["vdsr_celeba.py", "_base_/synthetic.py"]
