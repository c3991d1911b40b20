"""IN + the best linear enlargement, fitted in one pass over all training faces (``--budget`` does not scale it).

python tools/train.py configs/gaussian/linear_celeba.py --data-root DIR
python tools/test.py configs/gaussian/linear_celeba.py --data-root DIR
"""

_base_ = ["../_base_/celeba.py", "../_base_/curriculum.py", "../_base_/runtime.py"]

method = "IN+linear"
model = dict(
    type="FaceHallucinator",
    inpainter=dict(type="EncoderDecoder"),
    upsampler=dict(type="LinearUpsampler"),
)
