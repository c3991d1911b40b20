"""IN + bicubic on rendered faces.

python tools/train.py configs/bicubic_synthetic.py
python tools/test.py configs/bicubic_synthetic.py
"""

_base_ = ["bicubic_celeba.py", "_base_/synthetic.py"]
