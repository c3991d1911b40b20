import pytest
import torch
from torch import nn

from ofhkit.errors import OfhkitError
from ofhkit.models.upsamplers.position_patch import average_patches, extract_patches


def test_patches_are_slices_in_reading_order():
    images = torch.arange(2 * 3 * 8 * 10.0).reshape(2, 3, 8, 10)
    patches = extract_patches(images, patch=4, step=2)
    assert patches.shape == (2, 12, 48)
    assert torch.equal(patches[1, 5], images[1, :, 2:6, 2:6].flatten())  # row 1, column 1 of 3 x 4


def test_averaging_undoes_cutting_and_averages():
    images = torch.rand(2, 3, 16, 16, dtype=torch.float64)
    assert torch.allclose(average_patches(extract_patches(images, 4, 2), 16, 4, 2), images, atol=1e-15)
    two = torch.stack([torch.zeros(1, 4), torch.ones(1, 4)], 1)  # would need width 3: rows of one
    four = torch.cat((two, 2 * torch.ones(1, 2, 4)), 1)
    expected = torch.tensor([[0, 0.5, 1], [1, 1.25, 1.5], [2, 2, 2]])
    assert torch.equal(average_patches(four, size=3, patch=2, step=1)[0, 0], expected)


@pytest.mark.parametrize(("size", "patch", "step"), [(16, 4, 5), (16, 5, 2), (3, 4, 2), (16, 4, 0)])
def test_gaps_are_refused(size, patch, step):
    with pytest.raises(OfhkitError, match="do not cover"):
        extract_patches(torch.zeros(1, 1, size, size), patch, step)


@pytest.mark.parametrize(
    ("size", "patch", "step"), [(128, 32, 16), (16, 4, 3), (15, 6, 3), (16, 4, 4), (16, 6, 2), (7, 7, 1)]
)
def test_equals_torchs_fold(size, patch, step):
    grid = (size - patch) // step + 1
    patches = torch.rand(2, grid**2, 3 * patch**2, dtype=torch.float64)
    total, cover = (
        nn.functional.fold(p.mT, (size, size), patch, stride=step) for p in (patches, torch.ones_like(patches))
    )
    assert (average_patches(patches, size, patch, step) - total / cover).abs().max() < 1e-14
    images = torch.rand(2, 3, size, size)
    assert torch.equal(extract_patches(images, patch, step), nn.functional.unfold(images, patch, stride=step).mT)
