"""The upsampler's stage: what moves, what the losses are, and who moves."""

import copy
import itertools

import pytest
import torch
from benchmarks.plain import plain_step
from torch import nn

from ofhkit.errors import OfhkitError
from ofhkit.models.losses.adversarial import gradient_share, who_moves
from ofhkit.registry import DEGRADATIONS, LOSSES, STAGES
from ofhkit.training.stage import Context
from ofhkit.training.stages import UpsamplerStage

OFHNET = dict(
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
)
FSRCNN = dict(
    type="FaceHallucinator",
    inpainter=dict(type="EncoderDecoder"),
    upsampler=dict(type="FSRCNN", channels=8, map_channels=4),
    losses=dict(pixel=dict(type="PixelLoss")),
)
SGD = dict(type="SGD", lr=1e-2)


def built(model: dict, **settings) -> UpsamplerStage:
    torch.manual_seed(0)
    stage = UpsamplerStage(iterations=2, optimizer=SGD, **settings)
    stage.build(Context({"model": model}, train=None))
    return stage.train()


def optimizers(stage: UpsamplerStage):
    return stage.optimizers(torch.device("cpu"), None)


@pytest.fixture
def stage():
    return built(OFHNET)


def batch(n: int = 4, training: bool = True) -> dict:
    hr = torch.randint(0, 256, (n, 3, 128, 128), dtype=torch.uint8)
    count = torch.arange(n)
    return DEGRADATIONS.build(dict(type="Degradation"))({"hr": hr, "index": count, "sample_id": count}, training)


def moved_since(before: dict, now: dict) -> set[str]:
    return {k.removeprefix("pipeline.").split(".")[0] for k, v in now.items() if not torch.equal(v, before[k])}


def test_frozen_parts_do_not_move_and_trained_parts_do(stage):
    before = copy.deepcopy(stage.state_dict())
    optim = optimizers(stage)
    for _ in range(3):
        stage.step(batch(), optim)
    assert moved_since(before, stage.state_dict()) == {"upsampler", "discriminator"}  # BatchNorm statistics alike
    assert not stage.pipeline.inpainter.training
    assert not stage.landmark_prior.training


def test_a_step_is_the_papers_alternation(stage):
    """One fake forward; D on (hr, sr), then the upsampler on R2 + alpha adv + beta S: written out plainly."""
    reference = copy.deepcopy(stage)
    torch.manual_seed(1)
    faces = batch()
    log = stage.step(dict(faces), optimizers(stage))

    with torch.no_grad():
        completed = reference.pipeline.complete(faces["lr"], faces["mask"])
    networks, a = (reference.network, reference.discriminator), reference.landmark_prior
    sgd = [torch.optim.SGD(network.parameters(), 1e-2) for network in networks]

    def structure(sr):
        return ((a(sr) / 128 - a(faces["hr"]) / 128) ** 2).mean()

    terms = plain_step(*networks, structure, sgd, completed, faces["hr"], (0.00003, 0.1))
    for name in ("adversarial", "d_real", "total"):
        assert log[name].item() == pytest.approx(terms[name].item(), rel=1e-4)
    for ours, theirs in ((stage.network, reference.network), (stage.discriminator, reference.discriminator)):
        for one, other in zip(ours.parameters(), theirs.parameters()):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_without_discriminator_it_is_regression():
    stage = built(FSRCNN)
    log = stage.step(batch(), optimizers(stage))
    assert set(log) == {"pixel", "total"}
    assert log["pixel"] == log["total"]


def test_losses_read_what_an_upsampler_makes_on_its_way():
    upsampler = dict(type="FSRNet", channels=4, prior_channels=8, stacks=1, num_blocks=1)
    losses = dict(pixel=dict(type="PixelLoss"), coarse=dict(type="CoarseLoss"), heat=dict(type="HeatmapLoss"))
    stage = built({**FSRCNN, "upsampler": upsampler, "losses": losses})
    log = stage.step(batch() | {"landmarks": torch.full((len(batch()["hr"]), 68, 2), 60.0)}, optimizers(stage))
    assert log["total"] == pytest.approx(sum(log[name] for name in losses).item())


@pytest.mark.parametrize("moves", [(True, False), (False, True)])
def test_a_margin_decides_who_moves(monkeypatch, moves):
    stage, margins = built(OFHNET, margin=0.2), []
    monkeypatch.setattr("ofhkit.training.stages.who_moves", lambda real, fake, margin: margins.append(margin) or moves)
    before = copy.deepcopy(stage.state_dict())
    stage.step(batch(), optimizers(stage))
    assert moved_since(before, dict(stage.named_parameters())) == {
        name for name, moves in zip(("discriminator", "upsampler"), moves) if moves
    }
    assert margins == [0.2]


@pytest.mark.parametrize(
    ("real", "fake", "expected"),
    [
        (0.5, 0.5, (True, True)),  # a fair game
        (0.29, 0.5, (False, True)),  # D sure of the real faces
        (0.5, 0.29, (False, True)),
        (0.71, 0.5, (True, False)),  # G fools D
        (0.5, 0.71, (True, False)),
        (0.1, 2.0, (True, True)),  # both would wait
        (0.3, 0.7, (True, True)),  # on the margin nobody waits
    ],
)
def test_urdgns_published_rule(real, fake, expected):
    assert who_moves(real, fake) == expected


def test_somebody_always_moves():
    values = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 5.0]
    for margin, real, fake in itertools.product([0.0, 0.3, 0.5, 0.9], values, values):
        assert any(who_moves(real, fake, margin))
    for wrong in (dict(margin=30), dict(lead=-0.1)):
        with pytest.raises(OfhkitError, match="must lie between 0 and 1"):
            UpsamplerStage(1, **wrong)


@pytest.mark.parametrize(
    ("real", "fake", "moves"), [(0.3, 0.6, False), (0.1, 1.0, True), (0.5, 0.5, True), (0.0, 0.1, False)]
)
def test_only_a_discriminator_that_leads_waits(real, fake, moves):
    stage = UpsamplerStage(1, lead=0.5)
    assert stage._who_moves(torch.tensor(real), torch.tensor(fake)) == (moves, True)


def test_the_losses_are_any_registered_terms(stage):
    stage.losses["extra"] = LOSSES.build(dict(type="PixelLoss", weight=3.0))
    log = stage.step(batch(), optimizers(stage))
    expected = log["pixel"] * 4 + 0.00003 * log["adversarial"] + 0.1 * log["structure"]
    assert log["total"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_adversarys_share_of_the_gradient_is_measured_and_changes_nothing():
    """The weights after a step are those of a step that measures nothing."""
    stage = built(OFHNET)
    stage.losses["adversarial"].weight = 0.01
    twin, faces = copy.deepcopy(stage), batch()
    twin.steps = 1
    torch.manual_seed(1)
    log = stage.step(dict(faces), optimizers(stage))
    torch.manual_seed(1)
    assert "adversary_share" not in twin.step(dict(faces), optimizers(twin))
    for ours, theirs in zip(stage.parameters(), twin.parameters()):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)
    assert 0 < log["adversary_share"] < 1


def test_a_share_is_the_norms_of_two_gradients():
    w = nn.Parameter(torch.tensor([3.0, 4.0]))
    share = gradient_share((w * torch.tensor([0.6, 0.8])).sum(), 4 * w[0], [w, nn.Parameter(torch.zeros(2))])
    assert share.item() == pytest.approx(1 / 5)


def test_the_discriminator_learns_from_smoothed_labels_where_the_loss_says_so(stage):
    smooth, faces = copy.deepcopy(stage), batch()
    smooth.losses["adversarial"].label_smoothing = 0.1
    logs = []
    for one in (stage, smooth):
        torch.manual_seed(1)
        logs.append(one.step(dict(faces), optimizers(one)))
    assert logs[0]["d_fake"] == logs[1]["d_fake"]
    assert logs[0]["d_real"] != logs[1]["d_real"]


@pytest.mark.parametrize("game", ["AdversarialLoss", "HingeLoss", "RelativisticLoss"])
def test_every_game_is_played_and_r1_flattens_the_discriminator(game):
    """With a gamma that drowns all else the slope at true faces falls; without one the same steps leave it be."""
    slopes = {}
    for r1 in (0.0, 1e4):
        losses = {**OFHNET["losses"], "adversarial": dict(type=game, r1=r1)}
        stage = built({**OFHNET, "losses": losses}, discriminator_optimizer=dict(type="Adam", lr=1e-3))
        optim, faces = optimizers(stage), batch()
        for _ in range(3):
            log = stage.step(dict(faces), optim)
        assert all(value.isfinite() for value in log.values())
        hr = faces["hr"].clone().requires_grad_()
        (gradient,) = torch.autograd.grad(stage.discriminator(hr).sum(), hr)
        slopes[r1] = gradient.norm().item()
    assert slopes[1e4] < 0.8 * slopes[0.0]


def test_an_upsampler_without_a_loss_is_refused_in_one_sentence():
    with pytest.raises(OfhkitError, match=r"model\.losses is empty"):
        built({**FSRCNN, "losses": {}})


def test_the_time_of_interrupted_sessions_counts():
    stage = STAGES.build(dict(type="InpainterStage", iterations=1))
    first = stage.core_seconds()
    stage.earlier = 100.0
    assert 0 <= first < 10
    assert 100 <= stage.core_seconds() < 110
