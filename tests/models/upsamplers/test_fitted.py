import copy

import pytest
import torch

from ofhkit.errors import OfhkitError
from ofhkit.models.upsamplers import MeanFace, PositionPatch

SMALL = {"patch": 4, "step": 2, "scale": 2, "image_size": 8}


def faces(count, seed, scale=2, size=8):
    """Low-rank smooth faces with a little noise: the low-resolution patches' scatter has tiny eigenvalues."""
    g = torch.Generator().manual_seed(seed)
    basis = torch.randn(6, 3, size * scale, size * scale, generator=torch.Generator().manual_seed(99)).cumsum(2)
    hr = 0.5 + 0.05 * torch.einsum("nk,kchw->nchw", torch.randn(count, 6, generator=g), basis / basis.std())
    hr = hr + 0.01 * torch.randn(hr.shape, generator=g)
    return torch.nn.functional.avg_pool2d(hr, scale).double(), hr.double()


def direct(train_lr, train_hr, query, patch=4, step=2, scale=2, size=8):
    """The published N x N solve, position by position, pixel loops for the overlaps."""
    out = torch.zeros(len(query), 3, size * scale, size * scale, dtype=torch.float64)
    cover = torch.zeros_like(out)
    for r in range(0, size - patch + 1, step):
        for c in range(0, size - patch + 1, step):
            y = train_lr[:, :, r : r + patch, c : c + patch].flatten(1)
            big = (slice(r * scale, (r + patch) * scale), slice(c * scale, (c + patch) * scale))
            h = train_hr[(..., *big)].flatten(1)
            for i, face in enumerate(query):
                z = y - face[:, r : r + patch, c : c + patch].flatten()
                gram = z @ z.T
                gram = gram + 1e-6 * gram.trace() * torch.eye(len(y), dtype=torch.float64)
                w = torch.linalg.solve(gram, torch.ones(len(y), dtype=torch.float64))
                out[(i, slice(None), *big)] += (w / w.sum() @ h).reshape(3, patch * scale, patch * scale)
                cover[(i, slice(None), *big)] += 1
    return out / cover


@pytest.mark.parametrize("count", [3, 40, 150])  # fewer and more faces than the 48 numbers of a patch
def test_position_patch_equals_the_direct_solve(count):
    lr, hr = faces(count, seed=0)
    query, _ = faces(3, seed=1)
    ma = PositionPatch(**SMALL).double()
    for part in (slice(0, 1), slice(1, 37), slice(37, None)):
        ma.partial_fit(lr[part], hr[part])
    ma.finalise()
    expected = direct(lr, hr, query)
    assert (ma(query) - expected).abs().max() < 1e-9
    single = PositionPatch(**SMALL)
    single.partial_fit(lr, hr)
    single.finalise()
    assert (single(query.float()).double() - expected).abs().max() < 1e-5
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (single(query.float()).double() - expected).abs().max() < 1e-5


def test_position_patch_on_the_toolkits_sizes():
    lr, hr = faces(20, seed=2, scale=8, size=16)
    ma = PositionPatch().double()
    ma.partial_fit(lr, hr)
    ma.finalise()
    query, _ = faces(1, seed=3, scale=8, size=16)
    assert (ma(query) - direct(lr, hr, query, scale=8, size=16)).abs().max() < 1e-9
    assert ma.scale == 8
    assert not list(ma.parameters())


def test_merged_halves_equal_one_pass():
    lr, hr = faces(30, seed=4)
    whole, left, right = (PositionPatch(**SMALL).double() for _ in range(3))
    whole.partial_fit(lr, hr)
    left.partial_fit(lr[:11], hr[:11])
    right.partial_fit(lr[11:], hr[11:])
    left.merge(right)
    whole.finalise()
    left.finalise()
    assert left.num_faces == 30
    assert torch.allclose(left(lr[:4]), whole(lr[:4]), atol=1e-10, rtol=0)


@pytest.mark.parametrize("build", [lambda: PositionPatch(**SMALL), lambda: MeanFace(scale=2, image_size=8)])
def test_fit_is_saved_loaded_copied_and_redone(build):
    lr, hr = (t.float() for t in faces(9, seed=5))
    fitted, other = build(), build()
    with pytest.raises(OfhkitError, match="not fitted"):
        other(lr)
    fitted.partial_fit(lr, hr)
    with pytest.raises(OfhkitError, match="not fitted"):
        fitted(lr)
    fitted.finalise()
    other.load_state_dict(fitted.state_dict())
    assert torch.equal(other(lr), fitted(lr))
    assert torch.equal(copy.deepcopy(fitted)(lr), fitted(lr))
    other.partial_fit(lr[:2], 1 - hr[:2])
    other.finalise()
    assert other.num_faces == 2
    assert not torch.equal(other(lr), fitted(lr))
    other.load_state_dict(build().state_dict())
    with pytest.raises(OfhkitError, match="not fitted"):
        other(lr)


def test_mean_face_ignores_its_input():
    lr, hr = faces(7, seed=6)
    mean = MeanFace(scale=2, image_size=8).double()
    mean.partial_fit(lr[:3], hr[:3])
    mean.partial_fit(lr[3:], hr[3:])
    mean.finalise()
    assert torch.allclose(mean(torch.zeros(2, 3, 8, 8).double()), hr.mean(0).expand(2, -1, -1, -1), atol=1e-14)


def test_bad_faces_are_refused():
    ma = PositionPatch(**SMALL)
    with pytest.raises(OfhkitError, match="seen no face"):
        ma.finalise()
    with pytest.raises(OfhkitError, match="built for"):
        ma.partial_fit(torch.rand(2, 3, 8, 8), torch.rand(2, 3, 64, 64))
    with pytest.raises(OfhkitError, match="built for"):
        ma.partial_fit(torch.rand(2, 3, 8, 8), torch.rand(3, 3, 16, 16))
    ma.partial_fit(torch.rand(2, 3, 8, 8), torch.full((2, 3, 16, 16), torch.nan))
    with pytest.raises(OfhkitError, match="NaN"):
        ma.finalise()
    with pytest.raises(OfhkitError, match="do not cover"):
        PositionPatch(patch=4, step=5)


@pytest.mark.parametrize("build", [lambda: PositionPatch(**SMALL), lambda: MeanFace(scale=2, image_size=8)])
def test_fit_is_exported_with_a_free_batch_size(build):
    lr, hr = (t.float() for t in faces(5, seed=8))
    fitted = build().eval()
    fitted.partial_fit(lr, hr)
    fitted.finalise()
    batch = torch.export.Dim("batch", min=1, max=16)
    program = torch.export.export(fitted, (lr[:3],), dynamic_shapes=({0: batch},))
    assert torch.equal(program.module()(lr), fitted(lr))
