"""The pipeline and its training step."""

import copy

import pytest
import torch
from benchmarks.plain import plain_step
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import nn

from ofhkit.models.losses.adversarial import gradient_share
from ofhkit.registry import HALLUCINATORS, LOSSES


@pytest.fixture
def model():
    torch.manual_seed(0)
    return HALLUCINATORS.build(
        dict(
            type="FaceHallucinator",
            inpainter=dict(type="EncoderDecoder"),
            upsampler=dict(type="ResidualUpsampler", channels=(8, 8, 8), head_channels=(8, 4)),
            discriminator=dict(type="FaceDiscriminator", channels=(4, 4, 4, 4, 4, 4), out_channels=4),
            landmark_prior=dict(type="FanZhou"),
            losses=dict(
                pixel=dict(type="PixelLoss"),
                adversarial=dict(type="AdversarialLoss"),
                structure=dict(type="SemanticStructureLoss"),
            ),
            data_preprocessor=dict(type="Degradation"),
        )
    )


def wrappers(model, lr=1e-2):
    parts = {name: getattr(model, name) for name in ("upsampler", "discriminator") if getattr(model, name) is not None}
    return OptimWrapperDict(**{k: OptimWrapper(torch.optim.SGD(v.parameters(), lr)) for k, v in parts.items()})


def data(n=4):
    return {
        "hr": torch.randint(0, 256, (n, 3, 128, 128), dtype=torch.uint8),
        "index": torch.arange(n),
        "draw": torch.arange(n),
    }


def test_known_pixels_pass_bit_equal(model):
    batch = model.data_preprocessor(data(), training=False)
    completed = model.eval().complete(batch["lr"], batch["mask"])
    known = ~batch["mask"].bool().expand_as(completed)
    assert torch.equal(completed[known], batch["lr"][known])
    assert not torch.equal(completed[~known], batch["lr"][~known])


def test_frozen_parts_do_not_move_and_trained_parts_do(model):
    before = copy.deepcopy(model.state_dict())
    model.train()
    optim = wrappers(model)
    for _ in range(3):
        model.train_step(data(), optim)
    moved = {k.split(".")[0] for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert moved == {"upsampler", "discriminator"}  # weights and BatchNorm statistics alike
    assert not model.inpainter.training
    assert not model.landmark_prior.training


def test_a_step_is_the_papers_alternation(model):
    """One fake forward; D on (hr, sr), then the upsampler on R2 + alpha adv + beta S: written out plainly."""
    reference = copy.deepcopy(model).train()
    torch.manual_seed(1)
    batch_data = data()
    model.train()
    log = model.train_step(dict(batch_data), wrappers(model))

    batch = reference.data_preprocessor(dict(batch_data), training=True)
    with torch.no_grad():
        completed = reference.complete(batch["lr"], batch["mask"])
    networks, a = (reference.upsampler, reference.discriminator), reference.landmark_prior
    optimizers = [torch.optim.SGD(network.parameters(), 1e-2) for network in networks]

    def structure(sr):
        return ((a(sr) / 128 - a(batch["hr"]) / 128) ** 2).mean()

    terms = plain_step(*networks, structure, optimizers, completed, batch["hr"], (0.00003, 0.1))
    for name in ("adversarial", "d_real", "total"):
        assert log[name].item() == pytest.approx(terms[name].item(), rel=1e-4)
    for name in ("upsampler", "discriminator"):
        for ours, theirs in zip(getattr(model, name).parameters(), getattr(reference, name).parameters()):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_without_discriminator_it_is_regression():
    model = HALLUCINATORS.build(
        dict(
            type="FaceHallucinator",
            inpainter=dict(type="EncoderDecoder"),
            upsampler=dict(type="FSRCNN", channels=8, map_channels=4),
            losses=dict(pixel=dict(type="PixelLoss")),
            data_preprocessor=dict(type="Degradation"),
        )
    ).train()
    log = model.train_step(data(), wrappers(model))
    assert set(log) == {"pixel", "total"}
    assert log["pixel"] == log["total"]


@pytest.mark.parametrize("decision", [(True, False), (False, True)])
def test_a_balance_rule_decides_who_moves(model, decision):
    model.balance = lambda real, fake: decision
    before = copy.deepcopy(model.state_dict())
    model.train().train_step(data(), wrappers(model))
    moved = {k.split(".")[0] for k, v in model.named_parameters() if not torch.equal(v, before[k])}
    assert moved == {name for name, moves in zip(("discriminator", "upsampler"), decision) if moves}


def test_the_losses_are_any_registered_terms(model):
    model.losses["extra"] = LOSSES.build(dict(type="PixelLoss", weight=3.0))
    log = model.train().train_step(data(), wrappers(model))
    expected = log["pixel"] * 4 + 0.00003 * log["adversarial"] + 0.1 * log["structure"]
    assert log["total"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_adversarys_share_of_the_gradient_is_measured_and_changes_nothing(model):
    """Against the two gradients taken by hand; the weights after the step are those of a step that measures nothing."""
    model.losses["adversarial"].weight = 0.01
    twin, batch_data = copy.deepcopy(model).train(), data()
    twin._steps = 1
    torch.manual_seed(1)
    log = model.train().train_step(dict(batch_data), wrappers(model))
    torch.manual_seed(1)
    assert "adversary_share" not in twin.train_step(dict(batch_data), wrappers(twin))
    for ours, theirs in zip(model.parameters(), twin.parameters()):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)
    assert 0 < log["adversary_share"] < 1


def test_a_share_is_the_norms_of_two_gradients():
    w = nn.Parameter(torch.tensor([3.0, 4.0]))
    share = gradient_share((w * torch.tensor([0.6, 0.8])).sum(), 4 * w[0], [w, nn.Parameter(torch.zeros(2))])
    assert share.item() == pytest.approx(1 / 5)


def test_the_discriminator_learns_from_smoothed_labels_where_the_loss_says_so(model):
    smooth = copy.deepcopy(model)
    smooth.losses["adversarial"].label_smoothing = 0.1
    logs = []
    for one in (model, smooth):
        torch.manual_seed(1)
        logs.append(one.train().train_step(data(), wrappers(one)))
    assert logs[0]["d_fake"] == logs[1]["d_fake"]
    assert logs[0]["d_real"] != logs[1]["d_real"]
