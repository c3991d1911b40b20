"""The Gaussian's algebra against direct solves, term by term."""

import pytest
import torch

from ofhkit.functional import gaussian

SHAPE = (3, 4, 4)
D = 48


def faces(count, seed):
    """Correlated numbers in [0, 1], as neighbouring pixels are."""
    g = torch.Generator().manual_seed(seed)
    basis = torch.randn(8, D, generator=torch.Generator().manual_seed(7), dtype=torch.float64).cumsum(1) / 10
    x = 0.5 + 0.1 * torch.randn(count, 8, generator=g, dtype=torch.float64) @ basis
    return (x + 0.02 * torch.randn(count, D, generator=g, dtype=torch.float64)).view(count, *SHAPE)


@pytest.fixture(scope="module")
def moments():
    x = faces(60, 0).flatten(1)
    return x.mean(0), torch.cov(x.T, correction=0)


def masks():
    g = torch.Generator().manual_seed(3)
    rectangle = torch.zeros(4, 4)
    rectangle[1:3, 1:4] = 1
    checker = ((torch.arange(4)[:, None] + torch.arange(4)) % 2).float()
    random = (torch.rand(3, 4, 4, generator=g) < 0.5).float()
    but_one = 1 - torch.eye(16)[5].view(4, 4)
    kinds = [torch.zeros(4, 4), rectangle, checker, *random, but_one, torch.ones(4, 4)]
    return torch.stack(kinds)[:, None].expand(-1, 3, -1, -1).flatten(1) > 0


def direct(x, hidden, mean, covariance):
    """The textbook's form with the covariance: C_HK C_KK^-1."""
    out = x.clone()
    for row, h in zip(out, hidden):
        k = ~h
        if h.any():
            gain = torch.linalg.solve(covariance[k][:, k], covariance[k][:, h]).T
            row[h] = mean[h] + gain @ (row[k] - mean[k])
    return out


@pytest.mark.parametrize("with_mirror", [True, False])
def test_moments_are_those_of_the_faces_and_their_mirror_images(with_mirror):
    x = faces(31, 1)
    y = torch.nn.functional.interpolate(x, scale_factor=2, mode="bicubic") + 0.1 * faces(31, 9).repeat(1, 1, 2, 2)
    sums = gaussian.new_moments(x, y)
    for part in (slice(0, 1), slice(1, 20), slice(20, None)):
        gaussian.add_moments(sums, x[part], y[part])
    found = gaussian.centre_moments(sums, 31, {"x": SHAPE, "y": (3, 8, 8)} if with_mirror else {})
    a, b = ((torch.cat((t, t.flip(-1))) if with_mirror else t).flatten(1) for t in (x, y))
    assert torch.allclose(found["mean_x"], a.mean(0), atol=1e-12, rtol=0)
    assert torch.allclose(found["mean_y"], b.mean(0), atol=1e-12, rtol=0)
    da, db = a - a.mean(0), b - b.mean(0)
    assert torch.allclose(found["cov_xx"], da.T @ da / len(a), atol=1e-12, rtol=0)
    assert torch.allclose(found["cov_xy"], da.T @ db / len(a), atol=1e-12, rtol=0)


def test_every_mask_is_completed_as_by_a_direct_solve(moments):
    mean, covariance = moments
    regular = covariance + 1e-4 * torch.eye(D, dtype=torch.float64)
    hidden = masks()
    x = faces(len(hidden), 2).flatten(1)
    seen = torch.where(hidden, torch.nan, x)  # what is hidden is not looked at
    precision = gaussian.precision(covariance, 1e-4)
    found = gaussian.complete(seen, hidden, mean, precision)
    assert (found - direct(x, hidden, mean, regular)).abs().max() < 1e-9
    assert torch.equal(found[~hidden], x[~hidden])
    assert torch.equal(found[0], x[0])
    assert torch.allclose(found[-1], mean, atol=1e-14)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    again = gaussian.complete(seen[order], hidden[order], mean, precision)
    assert torch.allclose(again, found[order], atol=1e-12, rtol=0)


def test_groups_that_do_not_fit_together_give_the_same(moments, monkeypatch):
    mean, covariance = moments
    precision, hidden, x = gaussian.precision(covariance, 1e-4), masks(), faces(len(masks()), 2).flatten(1)
    whole = gaussian.complete(x, hidden, mean, precision)
    monkeypatch.setattr(gaussian, "_ENTRIES", (1, 1))
    assert torch.allclose(gaussian.complete(x, hidden, mean, precision), whole, atol=1e-12, rtol=0)
    assert gaussian.complete(x[:0], hidden[:0], mean, precision).shape == (0, D)


def test_a_fixed_number_of_steps_comes_close_for_every_mask(moments):
    mean, covariance = moments
    precision, hidden = gaussian.precision(covariance, 3e-5), masks()
    x = torch.where(hidden, torch.nan, faces(len(hidden), 2).flatten(1))
    exact = gaussian.complete(x, hidden, mean, precision)
    better = gaussian.preconditioner(precision)
    steps = (mean.float(), precision, better)
    assert (gaussian.complete_by_steps(x, hidden, *steps, 96).isfinite()).all()
    assert (gaussian.complete_by_steps(x, hidden, *steps, 96) - exact).abs().max() < 1e-4
    assert (gaussian.complete_by_steps(x, hidden, *steps, 2) - exact).abs().max() > 1e-4


def test_a_gradient_passes_through_the_completion(moments):
    mean, covariance = moments
    precision, hidden = gaussian.precision(covariance, 1e-3), masks()[1:3]
    x = faces(2, 4).flatten(1).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: gaussian.complete(t, hidden, mean, precision), x)


def test_the_linear_map_is_least_squares():
    x = faces(200, 5).flatten(1)
    y = x @ torch.randn(D, 10, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    dx, dy = x - x.mean(0), y - y.mean(0)
    found = gaussian.linear_map(dx.T @ dx / 200, dx.T @ dy / 200, 1e-12)
    expected = torch.linalg.lstsq(dx, dy).solution
    assert torch.allclose(found, expected, atol=1e-6, rtol=0)


def test_half_of_a_symmetric_matrix_is_the_whole():
    a = torch.randn(7, 7)
    a = a + a.T
    assert torch.equal(gaussian.symmetric(gaussian.triangle(a)), a)
    assert len(gaussian.triangle(a)) == 28


def test_deviations_are_those_of_the_conditional_covariance(moments):
    _, covariance = moments
    precision, hidden = gaussian.precision(covariance, 1e-3), masks()
    found = gaussian.deviations(hidden, precision)
    regular = covariance + 1e-3 * torch.eye(D, dtype=torch.float64)
    for row, h in zip(found, hidden):
        k = ~h
        left = regular[h][:, h] - regular[h][:, k] @ torch.linalg.solve(regular[k][:, k], regular[k][:, h])
        assert torch.allclose(row[h], left.diagonal().sqrt(), atol=1e-9, rtol=0)
        assert not row[k].any()


def test_draws_have_the_conditional_covariance(moments):
    _, covariance = moments
    precision, hidden = gaussian.precision(covariance, 1e-3), masks()[[1, -1]]
    units = torch.eye(D, dtype=torch.float64)[:, None].expand(-1, 2, -1)  # every number's share of the noise alone
    drawn = gaussian.draw(units, hidden, precision)
    for i, h in enumerate(hidden):
        exact = torch.linalg.inv(precision[h][:, h])
        assert torch.allclose(drawn[:, i, h].T @ drawn[:, i, h], exact, atol=1e-9, rtol=0)
        assert not drawn[:, i, ~h].any()


def test_the_distance_is_that_of_the_known_numbers(moments):
    mean, covariance = moments
    precision, hidden, x = gaussian.precision(covariance, 1e-3), masks(), faces(len(masks()), 2).flatten(1)
    found = gaussian.squared_distance(gaussian.complete(x, hidden, mean, precision), mean, precision)
    regular = covariance + 1e-3 * torch.eye(D, dtype=torch.float64)
    for distance, row, h in zip(found, x, hidden):
        away = (row - mean)[~h]
        assert abs(distance - away @ torch.linalg.solve(regular[~h][:, ~h], away)) < 1e-8
