"""The parser that scores Table 2's IoU, on rendered faces with exact labels.

python tools/train.py configs/parser_synthetic.py --work-dir work_dirs

Delivers ``work_dirs/shared/parser-*/weights.safetensors``. As ``ofhkit/assets/face_parser.safetensors`` ships
what ``--budget 0.12 --amp`` made in 13 minutes on one CPU core: IoU 0.756 (0.747 without the background) on rendered
validation faces; ``python tools/check_parser.py --data-root DIR`` looks at it on real ones (docs/results/parser.md).
"""

_base_ = ["_base_/runtime.py"]

method = "parser"
model = dict(parser=dict(type="FaceParser"))
data = dict(
    dataset=dict(type="SyntheticFaces", num_faces=dict(train=4000, val=200, test=200)),
    degradation=dict(type="Degradation", occluder=dict(type="RandomRectangle")),
    num_workers=0,
)
stages = dict(
    parser=dict(
        type="ParserStage",
        iterations=20_000,
        batch_size=16,
        optimizer=dict(type="Adam", lr=2e-3),
        schedule=dict(type="CosineAnnealingLR", eta_min=1e-5),
    ),
)
