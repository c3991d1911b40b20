"""IN + FSRCNN on rendered faces.

python tools/train.py configs/fsrcnn_synthetic.py
python tools/test.py configs/fsrcnn_synthetic.py
"""

_base_ = ["fsrcnn_celeba.py", "_base_/synthetic.py"]
