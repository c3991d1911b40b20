"""What every role promises, as checks: for the authors of plugins, and for our own sweep over all that is registered.

    from ofhkit.testing import check
    check("upsampler", EDSR())

A broken promise is a :class:`ContractError` that says which, what was found and what was expected.
"""

from typing import Any

import torch

from ofhkit.errors import OfhkitError, did_you_mean
from ofhkit.registry import ROLES
from ofhkit.testing.networks import ContractError, check_discriminator, check_inpainter, check_prior, check_upsampler
from ofhkit.testing.parts import (
    check_dataset,
    check_degradation,
    check_hallucinator,
    check_hook,
    check_loss,
    check_metric,
    check_stage,
)

__all__ = [
    "ContractError", "check", "check_dataset", "check_degradation", "check_discriminator", "check_hallucinator",
    "check_hook", "check_inpainter", "check_loss", "check_metric", "check_prior", "check_stage", "check_upsampler",
]  # fmt: skip


def check(role: str, component: Any, **options: Any) -> None:
    """Check a component of any role; networks take ``export=False`` where torch.export cannot follow them.

    Raises:
        ContractError: a promise is broken.
        OfhkitError: there is no such role.
    """
    if role not in ROLES:
        raise OfhkitError(f"unknown role {role!r}; {did_you_mean(role, ROLES)}")
    torch.manual_seed(0)
    globals()[f"check_{role}"](component, **options)
