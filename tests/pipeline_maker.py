"""Finished pipelines without training: networks as they are built, on a pack of smooth noise called CelebA."""

import json
from pathlib import Path

import cv2
import numpy as np

from ofhkit.config import load_config, to_json
from ofhkit.registry import HALLUCINATORS
from ofhkit.zoo.weights import save_weights

ROOT = Path(__file__).parents[1]
FSRCNN = dict(type="FSRCNN", channels=4, map_channels=2, num_blocks=1)
INPAINTER = dict(type="EncoderDecoder", channels=(4, 4, 4, 4), decoder_channels=(4, 4, 4))


def write_pack(root: Path, splits=(6, 1, 5), seed: int = 0) -> Path:
    """A pack of smooth pictures, written by hand."""
    root.mkdir(parents=True)
    count, rng = sum(splits), np.random.default_rng(seed)
    small = rng.integers(0, 255, (count, 6, 6, 3)).astype(np.uint8)
    faces = np.stack([cv2.resize(s, (128, 128), interpolation=cv2.INTER_CUBIC).transpose(2, 0, 1) for s in small])
    np.save(root / "faces.npy", faces)
    np.savez(
        root / "index.npz",
        names=np.array([f"{i}" for i in range(count)]),
        split=np.repeat([0, 1, 2], splits).astype(np.uint8),
        points5=np.zeros((count, 5, 2), np.float32),
        landmarks=np.zeros((count, 68, 2), np.float32),
    )
    info = dict(format="ofhkit-pack", version=1, name="CelebA", num_faces=count, image_size=128, template=[])
    (root / "pack.json").write_text(json.dumps({**info, "data_hash": f"hash{seed}", "landmark_source": "none"}))
    return root


def write_pipeline(work: Path, name: str, method: str, pack: Path, upsampler: dict, data: str = "hash0", **header):
    """What a finished training leaves in the work dir."""
    config = load_config(ROOT / "configs/fsrcnn_celeba.py", {"data.dataset.root": str(pack)})
    config.evaluation.batch_size = 4
    model = dict(type="FaceHallucinator", inpainter=INPAINTER, upsampler=upsampler)
    built = HALLUCINATORS.build(model)
    folder = work / name
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(to_json(config))
    info = dict(method=method, model=model, data=dict(hash=data), budget=0.5, seed=0, fingerprints={"inpainter": "a"})
    tensors = {k: v for k, v in built.state_dict().items() if k.startswith(("inpainter", "upsampler"))}
    return save_weights(folder / "model.safetensors", tensors, {**info, **header})
