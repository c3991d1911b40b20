"""OFHNet on a folder of your own photographs: faces are found, aligned, packed once and split by file.

    python tools/train.py configs/ofhnet_folder.py --data-root DIR --budget 0.1
    python tools/test.py configs/ofhnet_folder.py --data-root DIR

Files that show no face are left out and counted. A few hundred faces give a first idea, thousands a model.
"""

_base_ = ["ofhnet_celeba.py"]

data = dict(dataset=dict(_delete_=True, type="PhotoFolder", root="photographs"))
