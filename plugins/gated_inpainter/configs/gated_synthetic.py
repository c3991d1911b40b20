"""A gated inpainter before FSRCNN, on a few rendered faces: from nothing to a table.

python tools/train.py plugins/gated_inpainter/configs/gated_synthetic.py
python tools/test.py plugins/gated_inpainter/configs/gated_synthetic.py
"""

_base_ = "../../../configs/fsrcnn_synthetic.py"

method = "Gated+FSRCNN"
model = dict(inpainter=dict(type="GatedInpainter"))
