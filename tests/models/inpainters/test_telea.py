import cv2
import numpy as np
import torch

from ofhkit.models.inpainters import Telea


def test_equals_opencv_face_by_face():
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    holes = np.zeros((3, 16, 16), np.uint8)
    for i in range(3):
        holes[i, 2 + i : 9, 4 : 10 + i] = 1
    expected = np.stack([cv2.inpaint(f, h, 3, cv2.INPAINT_TELEA) for f, h in zip(faces, holes)])
    lr = torch.from_numpy(faces).permute(0, 3, 1, 2).float() / 255
    ours = Telea()(lr, torch.from_numpy(holes)[:, None].float())
    assert np.array_equal((ours * 255).round().byte().permute(0, 2, 3, 1).numpy(), expected)


def test_fills_only_the_hole_and_does_not_peek():
    torch.manual_seed(0)
    lr = torch.randint(0, 256, (2, 3, 16, 16)) / 255
    mask = torch.zeros(2, 1, 16, 16)
    mask[:, :, 5:11, 3:9] = 1
    filled = Telea()(lr * (1 - mask), mask)
    assert torch.equal(filled * (1 - mask), lr * (1 - mask))
    assert torch.equal(filled, Telea()(lr, mask))
    inside = filled[mask.expand_as(filled) == 1]
    assert inside.min() > 0
    assert not filled.requires_grad
    assert Telea()(lr[:0], mask[:0]).shape == (0, 3, 16, 16)
