"""The pipeline: what it builds, and what it leaves as it is."""

import torch

from ofhkit.registry import DEGRADATIONS, HALLUCINATORS
from ofhkit.testing.samples import faces


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
