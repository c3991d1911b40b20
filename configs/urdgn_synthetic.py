"""IN + URDGN on rendered faces.

python tools/train.py configs/urdgn_synthetic.py
python tools/test.py configs/urdgn_synthetic.py
"""

_base_ = ["urdgn_celeba.py", "_base_/synthetic.py"]
