"""How fast batches come out of a pack: ``pytest tests/benchmarks/test_packed.py --benchmark-only``."""

import numpy as np
import pytest
import torch

from ofhkit.data.pack_writer import PackWriter
from ofhkit.data.packed import PackedFaces
from ofhkit.functional.alignment import DEFAULT_TEMPLATE

COUNT, BATCH = 1024, 64


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (COUNT, 3, 128, 128), dtype=np.uint8)
    points = rng.uniform(0, 128, (COUNT, 73, 2))
    root = tmp_path_factory.mktemp("pack") / "noise"
    writer = PackWriter(root, name="noise", template=DEFAULT_TEMPLATE, landmark_source="none", settings={})
    names = [str(i) for i in range(COUNT)]
    writer.append(names, faces, points[:, :5], points[:, 5:], [0] * COUNT)
    writer.finish()
    return PackedFaces(root)


def whole(pack, indices):
    return pack.__getitems__(indices)


def item_by_item(pack, indices):
    return torch.utils.data.default_collate([pack[i] for i in indices])


@pytest.mark.benchmark(group="batch of 64 faces")
@pytest.mark.parametrize("way", [whole, item_by_item])
def test_reading_a_batch(benchmark, pack, way):
    indices = np.random.default_rng(1).permutation(COUNT)[:BATCH]
    batch = benchmark(way, pack, indices)
    assert batch["hr"].shape == (BATCH, 3, 128, 128)
