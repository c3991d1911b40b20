"""The scores have the distribution that they should have; what is trained tells damage from faces."""

import pytest
import torch
from benchmarks import mask_finder
from benchmarks.find_mask import ClosedForm, interval
from benchmarks.prior import Faces
from torch.utils.data import Subset

from ofhkit.functional import gaussian
from ofhkit.models.mask_finder import BlockScores, MaskFinder
from ofhkit.registry import DATASETS
from ofhkit.zoo import load_model


@pytest.fixture(scope="module")
def prior():
    return load_model("gaussian-synthetic", "cpu").inpainter


@pytest.fixture(scope="module")
def drawn(prior):
    normal = torch.randn(1, 64, 768, generator=torch.Generator().manual_seed(0))
    away = gaussian.draw(normal, torch.ones(64, 768, dtype=torch.bool), prior.precision)[0]
    return (prior.mean.flatten() + away).float().view(64, 3, 16, 16)


def test_scores_of_faces_of_the_prior_are_one_on_average(prior, drawn):
    filled, single, blocks = BlockScores(prior)(drawn, torch.zeros(64, 1, 16, 16))
    torch.testing.assert_close(filled, drawn)
    assert single.std() == pytest.approx(1, abs=0.05)
    assert blocks.mean((0, 2, 3)).tolist() == pytest.approx([1, 1, 1], abs=0.1)


def test_what_is_taken_out_has_no_score_and_no_say(prior, drawn):
    mask = torch.zeros(64, 1, 16, 16)
    mask[..., 5:9, 4:12] = 1
    scores = BlockScores(prior)
    first = scores(drawn, mask)
    second = scores(torch.where(mask > 0, 0.9, drawn), mask)
    assert first[1][mask.expand_as(drawn) > 0].abs().max() < 1e-3
    for a, b in zip(first, second):
        torch.testing.assert_close(a, b)


def test_the_closed_form_finds_noise_and_keeps_most_faces(prior, drawn):
    find = ClosedForm(BlockScores(prior), drawn, 0.05)
    mask = torch.zeros(64, 1, 16, 16)
    mask[..., 5:10, 4:12] = 1
    noise = torch.rand(drawn.shape, generator=torch.Generator().manual_seed(1))
    found = find(torch.where(mask > 0, noise, drawn))
    assert (found * mask).sum() / torch.maximum(found, mask).sum() > 0.6
    assert find(drawn).flatten(1).any(1).float().mean() < 0.1


def test_a_few_steps_learn_and_the_threshold_keeps_whole_faces(prior):
    rendered = DATASETS.build(dict(type="SyntheticFaces", split="train", num_faces=dict(train=32)))
    torch.manual_seed(0)
    finder = MaskFinder(prior, channels=(8, 8))
    before = [p.clone() for p in finder.parameters()]
    mask_finder.train(finder, rendered, 2)
    assert not finder.training
    assert all((p != q).any() for p, q in zip(before, finder.parameters()))
    mask_finder.choose_threshold(finder, Subset(rendered, range(20)))
    whole = Faces(None, "train", 32, large=False).lr[:20]
    assert finder.find((whole * 255).round() / 255).flatten(1).any(1).float().mean() <= 0.05


def test_the_loss_is_least_for_the_mask_itself():
    mask = torch.zeros(2, 1, 4, 4)
    mask[0, :, :2] = 1
    right, wrong = (20 * (sign * (2 * mask - 1))[None] for sign in (1, -1))
    assert mask_finder.loss(right, mask) < 1e-3 < 1 < mask_finder.loss(wrong, mask)


def test_the_interval_is_wilsons():
    assert interval(0, 100) == pytest.approx((0, 0.03699), abs=1e-4)
