"""CelebA as prepared by tools/prepare_celeba.py; ``--data-root`` names another place."""

data = dict(
    dataset=dict(type="PackedFaces", root="data/celeba"),
    degradation=dict(type="Degradation", occluder=dict(type="RandomRectangle")),
    num_workers=0,
)
