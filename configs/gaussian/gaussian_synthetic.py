"""The face prior in closed form, on rendered faces.

python tools/train.py configs/gaussian/gaussian_synthetic.py
python tools/test.py configs/gaussian/gaussian_synthetic.py
"""

_base_ = ["gaussian_celeba.py", "../_base_/synthetic.py"]
