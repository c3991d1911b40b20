"""EDSR with the gradient loss behind OFHNet's inpainter, on rendered faces: from nothing to a table.

python tools/train.py plugins/edsr_upsampler/configs/edsr_synthetic.py
python tools/test.py plugins/edsr_upsampler/configs/edsr_synthetic.py
"""

_base_ = "../../../configs/fsrcnn_synthetic.py"

method = "IN+EDSR"
model = dict(
    upsampler=dict(type="EDSR", channels=32, num_blocks=4),
    losses=dict(gradient=dict(type="GradientLoss")),
)
