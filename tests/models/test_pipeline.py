"""The pipeline: what it builds, and what it leaves as it is."""

import torch

from ofhkit.registry import DEGRADATIONS, HALLUCINATORS
from ofhkit.testing.networks import faces


def test_known_pixels_pass_bit_equal():
    torch.manual_seed(0)
    parts = dict(inpainter=dict(type="EncoderDecoder"), upsampler=dict(type="Bicubic"))
    model = HALLUCINATORS.build(dict(type="FaceHallucinator", **parts)).eval()
    batch = DEGRADATIONS.build(dict(type="Degradation"))(faces(4))
    completed = model.complete(batch["lr"], batch["mask"])
    known = ~batch["mask"].bool().expand_as(completed)
    assert torch.equal(completed[known], batch["lr"][known])
    assert not torch.equal(completed[~known], batch["lr"][~known])


def test_what_only_training_needs_is_named_and_not_built():
    parts = dict(inpainter=dict(type="EncoderDecoder"), upsampler=dict(type="Bicubic"))
    training = dict(discriminator=dict(type="FaceDiscriminator"), landmark_prior=dict(type="FanZhou"), losses=dict())
    model = HALLUCINATORS.build(dict(type="FaceHallucinator", **parts, **training))
    assert [name for name, _ in model.named_children()] == ["inpainter", "upsampler"]


@torch.no_grad()
def test_flips_are_the_mean_of_both_mirror_images_and_not_for_training():
    torch.manual_seed(0)
    small = dict(type="TrunkUpsampler", channels=8, num_blocks=1, ladder=(8, 8, 8))
    model = HALLUCINATORS.build(dict(type="FaceHallucinator", inpainter=dict(type="Telea"), upsampler=small)).eval()
    batch = DEGRADATIONS.build(dict(type="Degradation"))(faces(2))
    completed, mask = model.complete(batch["lr"], batch["mask"]), batch["mask"]
    one, other = model.upsample(completed, mask), model.upsample(completed.flip(-1), mask.flip(-1)).flip(-1)
    assert (one - other).abs().max() > 1e-4
    model.flips = True
    assert torch.equal(model.upsample(completed, mask), (one + other) / 2)
    mirrored = model.upsample(completed.flip(-1), mask.flip(-1)).flip(-1)
    assert torch.allclose(mirrored, model.upsample(completed, mask), atol=1e-6)
    assert torch.equal(model.train().upsample(completed, mask), one)
