"""OFHNet+ on rendered faces, with a narrow trunk: from nothing to a table in minutes on two CPU cores.

    python tools/train.py configs/ofhnet_plus_synthetic.py

Renders 1,900 faces once (kept in the user's cache), fits the completion, trains the upsampler, prints OFHNet+ beside
the completion with bicubic on 200 test faces and writes table and picture grid into work_dirs/ofhnet_plus_synthetic/.
"""

_base_ = ["ofhnet_plus_celeba.py", "_base_/synthetic.py"]

model = dict(
    inpainter=dict(regularisation=1e-3),  # for 1,600 faces
    upsampler=dict(channels=64, num_blocks=6, ladder=(48, 24, 12)),
)
stages = dict(upsampler=dict(iterations=500, batch_size=16, average=0.99))
