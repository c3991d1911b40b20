"""The face prior's completion + bicubic, on rendered faces.

python tools/train.py configs/gaussian/gaussian_bicubic_synthetic.py
python tools/test.py configs/gaussian/gaussian_bicubic_synthetic.py
"""

_base_ = ["gaussian_bicubic_celeba.py", "../_base_/synthetic.py"]
