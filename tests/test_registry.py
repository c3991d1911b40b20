"""What a configuration may name, and how a wrong name is answered."""

import pytest

from ofhkit.errors import OfhkitError
from ofhkit.registry import HOOKS, INPAINTERS, LOSSES, ROLES, STAGES, UPSAMPLERS, Registry


@pytest.mark.parametrize(
    ("registry", "cfg", "message"),
    [
        (UPSAMPLERS, dict(type="FSRCN"), "unknown upsampler 'FSRCN'; did you mean 'FSRCNN'?"),
        (UPSAMPLERS, dict(type="os.system"), "unknown upsampler 'os.system'"),
        (UPSAMPLERS, dict(type="ResidualUpsampler", chanels=3), "no argument 'chanels'; did you mean 'channels'?"),
        (INPAINTERS, dict(channels=3), "no 'type'"),
        (LOSSES, dict(type="PixelLoss", wieght=1), "did you mean 'weight'?"),
        (LOSSES, dict(type="PixelLoss", weight=-1), "must not be negative"),
        (STAGES, dict(type="InpainterStage", iterations=1, batchsize=2), "did you mean 'batch_size'?"),
        (STAGES, dict(type="InpainterStage"), "needs the argument 'iterations'"),
    ],
)
def test_mistakes_are_answered_with_the_nearest_valid_name(registry, cfg, message):
    with pytest.raises(OfhkitError, match=message.replace("?", r"\?")):
        registry.build(cfg)


def test_every_role_has_components_and_lists_them():
    empty = [role for role, registry in ROLES.items() if not registry.names()]
    assert not empty


def test_mmengines_own_hooks_can_be_named():
    assert HOOKS.get("EMAHook").__name__ == "EMAHook"


def test_a_name_is_given_once():
    registry = Registry("toy")
    registry.register_module(name="A", module=dict)
    with pytest.raises(OfhkitError, match="toy 'A' is already registered by builtins, and now builtins"):
        registry.register_module(name="A", module=list)


def test_what_is_built_already_passes():
    built = UPSAMPLERS.build(dict(type="Bicubic"))
    assert UPSAMPLERS.build(built) is built
