"""The prior with a noise spectrum: it is the conditional mean of the Gaussian that it says it is."""

import pytest
import torch
from torch.nn.functional import avg_pool2d

from ofhkit.errors import OfhkitError
from ofhkit.models.inpainters import SpectralInpainter, Telea
from ofhkit.models.inpainters.spectral import halves, opponent, transform
from ofhkit.testing.networks import faces, sample_batch


def smooth_faces(count, size=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 4, 4, generator=generator)
    fine = 0.2 * torch.rand(count, 3, size, size, generator=generator)
    return (torch.nn.functional.interpolate(coarse, size, mode="bicubic") * 0.6 + fine).clamp(0, 1)


def fitted(faces, **options):
    prior = SpectralInpainter(**options)
    for part in faces.split(30):
        prior.partial_fit(part, part)
    prior.finalise()
    return prior


def hole(count, size=16):
    mask = torch.zeros(count, 1, size, size)
    mask[:, :, 3:10, 5:13] = 1
    return mask


def dense(prior):
    """Mean and covariance of a face's numbers (RGB), written out."""
    size = prior.image_size
    columns = torch.eye(3 * size * size, dtype=torch.float64).view(-1, 3, size, size)
    spectra = transform(opponent(columns))
    parts = [half @ f.mT @ f for half, f in zip(halves(spectra, prior.mean.shape[-1]), prior.factor.double())]
    out = prior._add_low(spectra * prior.noise.double(), *parts)
    covariance = opponent(transform(out, back=True), back=True).flatten(1)
    pad = size - prior.mean.shape[-1]
    mean = torch.nn.functional.pad(prior.mean.double(), (0, pad, 0, pad))
    return opponent(transform(mean, back=True)[None], back=True)[0] + 0.5, covariance


def test_many_steps_are_the_conditional_mean():
    prior = fitted(smooth_faces(120), rank=6, frequencies=8, steps=120)
    x, mask = smooth_faces(3, seed=7).double(), hole(3)
    mean, covariance = dense(prior)
    hidden = mask.expand_as(x).flatten(1)[0] > 0
    expected = x.flatten(1).clone()
    known = (x.flatten(1) - mean.flatten())[:, ~hidden]
    weights = covariance[hidden][:, ~hidden] @ torch.linalg.inv(covariance[~hidden][:, ~hidden])
    expected[:, hidden] = mean.flatten()[hidden] + known @ weights.mT
    assert (prior(x, mask).flatten(1) - expected.clamp(0, 1)).abs().max() < 1e-4


def test_rounding_does_not_grow_from_step_to_step():
    """Another order of adding, as in a graph or on another processor, is the same face."""
    batch = sample_batch()
    prior, x, mask = fitted(avg_pool2d(faces(6, 128)["hr"].float() / 255, 8)), batch["lr"], batch["mask"]
    expected = prior(x, mask)
    prior.wide_noise *= 1 + 1e-14 * torch.randn_like(prior.wide_noise)
    assert (prior(x, mask) - expected).abs().max() < 1e-5


def test_what_is_known_stays_and_what_is_hidden_is_not_looked_at():
    prior = fitted(smooth_faces(60), rank=4)
    x, mask = smooth_faces(2, seed=5), hole(2)
    out = prior(x, mask)
    assert torch.equal(out[mask.expand_as(x) == 0], x[mask.expand_as(x) == 0])
    assert torch.equal(out, prior(torch.where(mask > 0, torch.nan, x), mask))
    assert torch.equal(prior(x, torch.zeros_like(mask)), x)


def test_better_than_diffusion_on_faces_like_those_it_saw():
    prior, x, mask = fitted(smooth_faces(600), rank=24), smooth_faces(20, seed=9), hole(20)
    errors = [((network(x, mask) - x).square() * mask).sum() for network in (prior, Telea())]
    assert errors[0] < 0.8 * errors[1]


def test_mirrored_faces_are_mirrored():
    prior, x, mask = fitted(smooth_faces(60), rank=4), smooth_faces(2, seed=5), hole(2)
    assert torch.allclose(prior(x.flip(-1), mask.flip(-1)).flip(-1), prior(x, mask), atol=1e-5)


def test_a_file_restores_it_and_one_that_does_not_fit_is_refused():
    prior, x, mask = fitted(smooth_faces(60), rank=4), smooth_faces(2, seed=5), hole(2)
    other, state = SpectralInpainter(), prior.state_dict()
    other.load_state_dict(state)
    assert torch.equal(other(x, mask), prior(x, mask))
    with pytest.raises(OfhkitError, match="do not belong together"):
        SpectralInpainter().load_state_dict({**state, "unit": state["unit"][:, :2]})
    with pytest.raises(OfhkitError, match="no positive variance"):
        SpectralInpainter().load_state_dict({**state, "noise": -state["noise"]})
    with pytest.raises(OfhkitError, match=r"fitted to faces \(3, 16, 16\)"):
        prior(torch.rand(1, 3, 32, 32), torch.zeros(1, 1, 32, 32))
    with pytest.raises(OfhkitError, match="not fitted"):
        SpectralInpainter()(x, mask)
