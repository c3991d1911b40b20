"""The linear upsampler: least squares, in blocks, the right half from the left; any size; small."""

import copy

import pytest
import torch

from ofhkit.errors import OfhkitError
from ofhkit.models.upsamplers import LinearUpsampler


def faces(count, size=6, scale=2, seed=0):
    g = torch.Generator().manual_seed(seed)
    basis = torch.randn(9, 3, size * scale, size * scale, generator=torch.Generator().manual_seed(99)).cumsum(2)
    hr = 0.5 + 0.05 * torch.einsum("nk,kchw->nchw", torch.randn(count, 9, generator=g), basis / basis.std())
    hr = hr + 0.01 * torch.randn(hr.shape, generator=g)
    return torch.nn.functional.avg_pool2d(hr, scale).double(), hr.double()


def fitted(lr, hr, **options):
    linear = LinearUpsampler(scale=2, **options).double()
    linear.partial_fit(lr, hr)
    linear.finalise()
    return linear


def direct(lr, hr, query, regularisation):
    """Ridge regression, as written in a book."""
    x, y = lr.flatten(1), hr.flatten(1)
    dx, dy = x - x.mean(0), y - y.mean(0)
    eye = torch.eye(x.shape[1], dtype=torch.float64)
    weights = torch.linalg.solve(dx.T @ dx / len(x) + regularisation * eye, dx.T @ dy / len(x))
    return ((query.flatten(1) - x.mean(0)) @ weights + y.mean(0)).view(-1, *hr.shape[1:])


@pytest.mark.parametrize("size", [4, 5, 6])  # an even number of blocks, an odd one, blocks of one pixel
@pytest.mark.parametrize("mirror", [True, False])
def test_with_every_coefficient_it_is_the_direct_solve(mirror, size):
    lr, hr = faces(40, size)
    query, _ = faces(3, size, seed=1)
    linear = fitted(lr, hr, rank=10_000, mirror=mirror, regularisation=1e-4)
    if mirror:
        lr, hr = torch.cat((lr, lr.flip(-1))), torch.cat((hr, hr.flip(-1)))
    assert (linear(query) - direct(lr, hr, query, 1e-4)).abs().max() < 1e-9


def test_parts_and_merged_halves_equal_one_pass():
    lr, hr = faces(30)
    whole, left, right = fitted(lr, hr), LinearUpsampler(scale=2).double(), LinearUpsampler(scale=2).double()
    for part in (slice(0, 1), slice(1, 11)):
        left.partial_fit(lr[part], hr[part])
    right.partial_fit(lr[11:], hr[11:])
    left.merge(right)
    left.finalise()
    assert left.num_faces == 30
    assert torch.allclose(left(lr[:4]), whole(lr[:4]), atol=1e-9, rtol=0)


def test_few_coefficients_keep_nearly_all_and_more_keep_more():
    lr, hr = faces(200)
    errors = [(fitted(lr, hr, rank=rank)(lr) - fitted(lr, hr, rank=10_000)(lr)).square().mean() for rank in (1, 8, 18)]
    assert errors[0] > 2 * errors[1] > 50 * errors[2]  # nine patterns and their mirror images make up these faces
    small, exact = fitted(lr, hr, rank=8), fitted(lr, hr, rank=10_000)
    assert 3 * sum(b.numel() for b in small.buffers()) < sum(b.numel() for b in exact.buffers())


def test_a_mirrored_face_gives_the_mirrored_result():
    lr, hr = faces(30)
    linear = fitted(lr, hr, rank=3)
    assert torch.allclose(linear(lr.flip(-1)), linear(lr).flip(-1), atol=1e-12)


@pytest.mark.parametrize("size", [5, 16])
def test_the_size_follows_the_data_and_is_loaded(size):
    lr, hr = (t.float() for t in faces(20, size))
    linear, other = LinearUpsampler(scale=2, rank=4), LinearUpsampler(scale=2, rank=4)
    linear.partial_fit(lr, hr)
    with pytest.raises(OfhkitError, match="is not fitted"):
        linear(lr)
    linear.finalise()
    other.load_state_dict(linear.state_dict())
    assert torch.equal(other(lr), linear(lr))
    assert torch.equal(copy.deepcopy(linear)(lr), linear(lr))
    with pytest.raises(OfhkitError, match=rf"was fitted to faces \(3, {size}, {size}\), got \(3, 9, 9\)"):
        linear(torch.zeros(1, 3, 9, 9))
    batch = torch.export.Dim("batch", min=1, max=99)
    program = torch.export.export(linear.eval(), (lr[:3],), dynamic_shapes=({0: batch},))
    assert torch.allclose(program.module()(lr), linear(lr), atol=1e-6)


def test_a_file_whose_numbers_do_not_belong_together_is_refused():
    lr, hr = (t.float() for t in faces(9))
    good = fitted(lr, hr, rank=3).float().state_dict()
    for name in ("mean_lr", "mean_hr", "gain", "basis"):
        with pytest.raises(OfhkitError, match="do not belong together"):
            LinearUpsampler(scale=2, rank=3).load_state_dict({**good, name: good[name][..., :-1].contiguous()})


def test_mistakes_are_one_sentence():
    with pytest.raises(OfhkitError, match="block and rank are at least 1"):
        LinearUpsampler(rank=0)
    linear = LinearUpsampler(scale=2)
    with pytest.raises(OfhkitError, match="and 2 times as large ones"):
        linear.partial_fit(torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8))
    linear.partial_fit(torch.rand(2, 3, 8, 8), torch.rand(2, 3, 16, 16))
    with pytest.raises(OfhkitError, match="faces of one size"):
        linear.partial_fit(torch.rand(2, 3, 4, 4), torch.rand(2, 3, 8, 8))
