"""IN + the best linear enlargement, on rendered faces.

python tools/train.py configs/gaussian/linear_synthetic.py
python tools/test.py configs/gaussian/linear_synthetic.py
"""

_base_ = ["linear_celeba.py", "../_base_/synthetic.py"]
