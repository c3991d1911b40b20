"""The Gaussian inpainter: fitted in any order and on any size, exact, saved, and traced."""

import copy

import pytest
import torch

from ofhkit.errors import OfhkitError
from ofhkit.export import sample
from ofhkit.functional import gaussian
from ofhkit.functional.image_quality import psnr
from ofhkit.functional.resample import downsample_cubic
from ofhkit.models.inpainters import GaussianInpainter, Telea
from ofhkit.training.loop import compile_networks


def faces(count, size=16, seed=0):
    g = torch.Generator().manual_seed(seed)
    basis = torch.randn(12, 3, size, size, generator=torch.Generator().manual_seed(9)).cumsum(2).cumsum(3)
    lr = 0.5 + 0.1 * torch.einsum("nk,kchw->nchw", torch.randn(count, 12, generator=g), basis / basis.std())
    return (lr + 0.01 * torch.randn(lr.shape, generator=g)).clamp(0, 1)


def fitted(lr, **options):
    prior = GaussianInpainter(**options)
    prior.partial_fit(lr, lr)
    prior.finalise()
    return prior


@pytest.fixture(scope="module")
def rendered():
    made = sample(80, "train")
    return downsample_cubic(made.hr).clamp(0, 1)


def hole(top, left, height, width, size=16):
    mask = torch.zeros(1, 1, size, size)
    mask[..., top : top + height, left : left + width] = 1
    return mask


def test_it_is_the_conditional_mean_of_the_faces_and_their_mirror_images():
    lr = faces(50, size=6).double()
    prior = GaussianInpainter(regularisation=1e-4).double()
    prior.partial_fit(lr, lr)
    prior.finalise()
    x = torch.cat((lr, lr.flip(-1))).flatten(1)
    mean, covariance = x.mean(0), torch.cov(x.T, correction=0) + 1e-4 * torch.eye(108, dtype=torch.float64)
    query, mask = faces(1, size=6, seed=1).double(), hole(1, 2, 3, 3, size=6)
    h = (mask > 0).expand(1, 3, 6, 6).flatten()
    k, expected = ~h, query.clone().flatten()
    expected[h] = mean[h] + covariance[h][:, k] @ torch.linalg.solve(covariance[k][:, k], expected[k] - mean[k])
    assert (prior(query, mask).flatten() - expected.clamp(0, 1)).abs().max() < 1e-9


def test_batches_and_merged_halves_are_one_pass():
    lr = faces(40)
    whole, left, right = fitted(lr), GaussianInpainter(), GaussianInpainter()
    for start in (0, 3):
        left.partial_fit(lr[start : start + 3], lr[start : start + 3])
    right.partial_fit(lr[6:], lr[6:])
    left.merge(right)
    left.finalise()
    query, mask = faces(3, seed=2), hole(4, 4, 8, 8)
    assert left.num_faces == 40
    assert torch.allclose(left(query, mask.expand(3, -1, -1, -1)), whole(query, mask.expand(3, -1, -1, -1)), atol=1e-6)


@pytest.mark.parametrize("size", [5, 16, 24])
def test_the_size_follows_the_data_and_is_loaded(size):
    lr = faces(20, size)
    prior, other = fitted(lr), GaussianInpainter()
    mask = hole(1, 1, 3, 2, size).expand(20, -1, -1, -1)
    with pytest.raises(OfhkitError, match="is not fitted"):
        other(lr, mask)
    other.load_state_dict(prior.state_dict())
    assert torch.equal(other(lr, mask), prior(lr, mask))
    assert torch.equal(copy.deepcopy(prior)(lr, mask), prior(lr, mask))
    with pytest.raises(OfhkitError, match=rf"was fitted to faces \(3, {size}, {size}\), got \(3, 9, 9\)"):
        prior(torch.zeros(1, 3, 9, 9), torch.zeros(1, 1, 9, 9))
    other.load_state_dict(GaussianInpainter().state_dict())
    with pytest.raises(OfhkitError, match="is not fitted"):
        other(lr, mask)
    assert sum(t.numel() for t in prior.state_dict().values()) < (3 * size**2) * (3 * size**2 + 3) / 2 + 2


def test_known_pixels_stay_and_what_is_hidden_is_not_seen(rendered):
    prior, lr = fitted(rendered[:60]), rendered[60:63]
    mask = torch.cat((hole(0, 0, 0, 0), hole(3, 3, 7, 7), hole(0, 0, 16, 16)))
    found = prior(torch.where(mask > 0, torch.nan, lr), mask)
    assert torch.equal(found, prior(lr * (1 - mask), mask))
    assert torch.equal(found.where(mask < 1, lr), lr)
    assert torch.allclose(found[2], prior.mean, atol=1e-6)


def test_it_completes_rendered_faces_better_than_a_method_without_training(rendered):
    prior, lr = fitted(rendered[:60], regularisation=1e-3), rendered[60:]  # so few faces want more of it
    mask = hole(5, 4, 7, 8).expand(len(lr), -1, -1, -1)
    ours, telea = (psnr(net(lr * (1 - mask), mask), lr, 1.0, mask).mean() for net in (prior, Telea()))
    assert ours > telea + 2


@pytest.mark.slow
def test_the_traced_form_is_within_a_ten_thousandth_for_every_mask(rendered):
    prior, lr = fitted(rendered[:60]), rendered[60:67]
    checker = ((torch.arange(16)[:, None] + torch.arange(16)) % 2).float()[None, None]
    scattered = (torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    rectangles = hole(4, 3, 7, 9), hole(8, 0, 8, 16), hole(0, 0, 16, 16), hole(0, 0, 0, 0)
    mask = torch.cat((*rectangles, checker, scattered, 1 - hole(7, 7, 1, 1)))
    batch = torch.export.Dim("batch", min=1, max=16)
    traced = torch.export.export(prior, (lr[:2], mask[:2]), dynamic_shapes=({0: batch}, {0: batch})).module()
    assert (traced(lr, mask) - prior(lr, mask)).abs().max() <= 1e-4


def test_autocast_and_a_compiled_pipeline_change_nothing(rendered):
    prior, lr, mask = fitted(rendered[:60]), rendered[60:64], hole(4, 4, 6, 6).expand(4, -1, -1, -1)
    expected = prior(lr, mask)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(prior(lr, mask), expected)
    compile_networks([prior])
    assert torch.equal(prior(lr, mask), expected)


def test_a_file_whose_numbers_do_not_belong_together_is_refused():
    prior = fitted(faces(9, 5))
    good = prior.state_dict()
    with pytest.raises(OfhkitError, match=r"a mean \(3, 4, 4\) and 2850 numbers of a covariance do not belong"):
        GaussianInpainter().load_state_dict({**good, "mean": torch.zeros(3, 4, 4)})
    with pytest.raises(OfhkitError, match="the covariance has a negative variance"):
        GaussianInpainter().load_state_dict({**good, "covariance": -good["covariance"]})


def test_mistakes_are_one_sentence():
    with pytest.raises(OfhkitError, match="regularisation must be positive"):
        GaussianInpainter(regularisation=0)
    prior = GaussianInpainter()
    with pytest.raises(OfhkitError, match="seen no face"):
        prior.finalise()
    prior.partial_fit(torch.rand(2, 3, 8, 8), torch.rand(2, 3, 64, 64))
    with pytest.raises(OfhkitError, match="faces of one size"):
        prior.partial_fit(torch.rand(2, 3, 4, 4), torch.rand(2, 3, 32, 32))
    other = GaussianInpainter()
    other.partial_fit(torch.rand(2, 3, 4, 4), torch.rand(2, 3, 32, 32))
    with pytest.raises(OfhkitError, match="different sizes"):
        prior.merge(other)
    assert gaussian.mirror(torch.arange(2.0), (1, 1, 2)).tolist() == [1.0, 0.0]
