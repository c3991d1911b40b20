"""OFHNet's upsampler as the paper prints it, without the image skip that configs/ofhnet_celeba.py adds.

python tools/train.py configs/extra/ofhnet_as_printed.py --data-root DIR
"""

_base_ = "../ofhnet_celeba.py"

model = dict(upsampler=dict(image_skip=False))
