"""Rendered faces: nothing to download. Budget 1 is a few minutes on two CPU cores."""

data = dict(
    dataset=dict(type="SyntheticFaces", num_faces=dict(train=1600, val=100, test=200)),
    degradation=dict(type="Degradation", occluder=dict(type="RandomRectangle")),
    num_workers=0,
)
stages = dict(
    landmarks=dict(iterations=300, batch_size=16),
    inpainter=dict(iterations=1200, batch_size=32),
    upsampler=dict(iterations=800, batch_size=8),
)
evaluation = dict(after_training=200)
