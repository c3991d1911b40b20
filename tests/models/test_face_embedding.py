import json
from pathlib import Path

import cv2
import numpy as np
import torch

from ofhkit.models.face_embedding import FaceEmbedding, FaceRecognition

DATA = Path(__file__).parents[1] / "data"


@torch.no_grad()
def test_network_equals_the_original():
    """Golden embedding: output of the original JavaScript on the same picture."""
    golden = json.loads((DATA / "face_api_golden.json").read_text())["recognition"]["embedding"]
    picture = cv2.imread(str(DATA / "golden_det224.png"))[37:187, 37:187, ::-1].copy()
    embedding = FaceRecognition()(torch.from_numpy(picture).permute(2, 0, 1)[None].float())[0].numpy()
    assert np.abs(embedding - golden).max() < 1e-5


@torch.no_grad()
def test_crops_are_read_in_their_fixed_box_each_for_itself():
    network = FaceEmbedding()
    faces = torch.rand(3, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    embeddings = network(faces)
    assert embeddings.shape == (3, 128)
    torch.testing.assert_close(embeddings[1:2], network(faces[1:2]), atol=1e-4, rtol=1e-4)
    assert not any(p.requires_grad for p in network.parameters())
    assert sum(p.numel() for p in network.parameters()) == 5_614_592
