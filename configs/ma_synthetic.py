"""IN + Ma on rendered faces.

python tools/train.py configs/ma_synthetic.py
python tools/test.py configs/ma_synthetic.py
"""

_base_ = ["ma_celeba.py", "_base_/synthetic.py"]
