"""Each loss against a line of numpy."""

import numpy as np
import pytest
import torch
from torch import nn

from ofhkit.errors import OfhkitError
from ofhkit.models.losses.adversarial import discriminator_loss
from ofhkit.registry import LOSSES

rng = np.random.default_rng(0)
A, B = rng.random((2, 4, 3, 8, 8))
LOGITS = rng.normal(0, 3, (4, 1))


def tensor(array):
    return torch.from_numpy(array)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize(("name", "keys"), [("PixelLoss", ("sr", "hr")), ("CompletionLoss", ("lr_filled", "lr_gt"))])
def test_squared_differences(name, keys):
    loss = LOSSES.build(dict(type=name))
    assert loss(**dict(zip(keys, (tensor(A), tensor(B))))).item() == pytest.approx(((A - B) ** 2).mean(), rel=1e-12)


def test_psnr_loss_is_the_mean_over_images():
    value = LOSSES.build(dict(type="PSNRLoss"))(tensor(A), tensor(B)).item()
    errors = ((A - B) ** 2).mean((1, 2, 3))
    assert value == pytest.approx((10 * np.log10(errors)).mean(), rel=1e-4)
    sr = tensor(B).clone().requires_grad_()
    LOSSES.build(dict(type="PSNRLoss"))(sr, tensor(B)).backward()  # a perfect face is no singularity
    assert torch.equal(sr.grad, torch.zeros_like(sr))


def test_ssim_loss_falls_as_faces_become_alike_and_has_a_gradient():
    hr = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    loss = LOSSES.build(dict(type="SSIMLoss"))
    assert loss(hr, hr).item() == pytest.approx(0, abs=1e-6)
    sr = (hr * 0.5).requires_grad_()
    loss(sr, hr).backward()
    assert loss(sr.detach() - 0.01 * sr.grad / sr.grad.abs().max(), hr) < loss(sr.detach(), hr)


def test_landmark_loss_is_in_units_of_the_side():
    loss = LOSSES.build(dict(type="LandmarkLoss"))
    p, q = rng.random((2, 4, 68, 2)) * 128
    value = loss(tensor(p), tensor(q), torch.zeros(4, 3, 128, 128)).item()
    assert value == pytest.approx((((p - q) / 128) ** 2).mean(), rel=1e-12)


def test_a_smoothed_label_is_cross_entropy_with_that_label():
    game = LOSSES.build(dict(type="AdversarialLoss", label_smoothing=0.1))
    real, fake = game.discriminator(tensor(LOGITS), tensor(LOGITS))
    p = sigmoid(LOGITS)
    assert real.item() == pytest.approx(-(0.9 * np.log(p) + 0.1 * np.log(1 - p)).mean(), rel=1e-12)
    assert fake.item() == pytest.approx(-np.log(1 - p).mean(), rel=1e-12)  # one-sided
    with pytest.raises(OfhkitError, match="label_smoothing"):
        LOSSES.build(dict(type="AdversarialLoss", label_smoothing=1.0))


def test_adversarial_loss_is_minus_log_d():
    value = LOSSES.build(dict(type="AdversarialLoss"))(tensor(LOGITS)).item()
    assert value == pytest.approx(-np.log(sigmoid(LOGITS)).mean(), rel=1e-12)


def test_hinge_and_relativistic_games():
    real, fake = LOGITS, -LOGITS[::-1] + 0.3
    hinge, relative = (LOSSES.build(dict(type=name)) for name in ("HingeLoss", "RelativisticLoss"))
    found = [v.item() for v in hinge.discriminator(tensor(real), tensor(fake.copy()))]
    assert found == pytest.approx([np.maximum(0, 1 - real).mean(), np.maximum(0, 1 + fake).mean()], rel=1e-12)
    assert hinge(tensor(fake.copy())).item() == pytest.approx(-fake.mean(), rel=1e-12)
    higher, lower = sigmoid(real - fake.mean()), sigmoid(fake - real.mean())
    found = [v.item() for v in relative.discriminator(tensor(real), tensor(fake.copy()))]
    assert found == pytest.approx([-np.log(higher).mean(), -np.log(1 - lower).mean()], rel=1e-9)
    wanted = -np.log(1 - higher).mean() - np.log(lower).mean()
    assert relative(tensor(fake.copy()), tensor(real)).item() == pytest.approx(wanted, rel=1e-9)


def test_the_slope_at_real_faces_is_penalised():
    weight, hr = tensor(A[:1]), tensor(B).requires_grad_()
    logits = (weight * hr).sum((1, 2, 3))[:, None]
    term = LOSSES.build(dict(type="AdversarialLoss", r1=3.0))
    assert term.slope(logits, hr).item() == pytest.approx(1.5 * (A[0] ** 2).sum(), rel=1e-9)
    with pytest.raises(OfhkitError, match="r1 at least 0"):
        LOSSES.build(dict(type="HingeLoss", r1=-1.0))


def test_discriminator_loss_is_the_papers():
    real, fake = discriminator_loss(tensor(LOGITS), tensor(-2 * LOGITS))
    assert real.item() == pytest.approx(-np.log(sigmoid(LOGITS)).mean(), rel=1e-12)
    assert fake.item() == pytest.approx(-np.log(1 - sigmoid(-2 * LOGITS)).mean(), rel=1e-9)
    assert all(torch.isfinite(v) for v in discriminator_loss(torch.tensor([[-1e4]]), torch.tensor([[1e4]])))


def test_structure_loss_reads_both_faces_and_leaves_the_true_one_alone():
    class Corner(nn.Module):
        def forward(self, face):
            return face[:, :2, :1, 0].mT * 10  # (N, 1, 2)

    loss = LOSSES.build(dict(type="SemanticStructureLoss"))
    sr, hr = tensor(A).requires_grad_(), tensor(B).requires_grad_()
    value = loss(sr, hr, Corner())
    assert value.item() == pytest.approx((((A - B)[:, :2, 0, 0] * 10 / 8) ** 2).mean(), rel=1e-12)
    value.backward()
    assert sr.grad.abs().sum() > 0
    assert hr.grad is None


def test_defaults_are_the_documented_weights():
    weights = {name: LOSSES.build(dict(type=name)).weight for name in ("PixelLoss", "AdversarialLoss")}
    assert weights == {"PixelLoss": 1.0, "AdversarialLoss": 0.00003}
    assert LOSSES.build(dict(type="SemanticStructureLoss")).weight == 0.1


def test_a_loss_says_what_it_misses():
    loss = LOSSES.build(dict(type="PixelLoss"))
    with pytest.raises(OfhkitError, match=r"PixelLoss needs 'hr', which .* does not give"):
        loss.evaluate({"sr": torch.zeros(1), "hr": None})
