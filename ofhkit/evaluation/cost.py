"""What a pipeline costs: numbers it holds, products it forms, milliseconds it takes."""

from __future__ import annotations

import copy
import statistics
import time

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ofhkit.functional.task import HR_SIZE, LR_SIZE
from ofhkit.models.pipeline import FaceHallucinator, upsampler_inputs
from ofhkit.ops import set_implementation
from ofhkit.registry import UPSAMPLERS, Registry
from ofhkit.runtime.devices import device_of

__all__ = ["count_gmacs", "count_parameters", "milliseconds", "network_gmacs"]

_SHAPES = {
    "hr": (1, 3, HR_SIZE, HR_SIZE),
    "lr": (1, 3, LR_SIZE, LR_SIZE),
    "completed": (1, 3, LR_SIZE, LR_SIZE),
    "mask": (1, 1, LR_SIZE, LR_SIZE),
}
_LEAST_SECONDS, _LEAST_RUNS, _MOST_RUNS = 0.5, 3, 50


def count_parameters(model: nn.Module) -> int:
    """Numbers that training or fitting has determined: parameters, and the saved buffers of what is fitted.

    >>> count_parameters(nn.Linear(3, 2))
    8
    """
    fitted = [m for m in model.modules() if hasattr(m, "num_faces")]
    buffers = {b.data_ptr(): b for m in fitted for b in m.state_dict().values() if b.is_floating_point()}
    return sum(p.numel() for p in model.parameters()) + sum(b.numel() for b in buffers.values())


@torch.no_grad()
def count_gmacs(model: FaceHallucinator, size: int = LR_SIZE) -> float:
    """Billions of multiplications (convolutions and matrix products) a face, of the whole pipeline, as published.

    Faster ways to compute the same function (:mod:`ofhkit.ops`) are not credited here but in the milliseconds.
    """
    plain = set_implementation(copy.deepcopy(model), "plain")
    with FlopCounterMode(display=False) as counter:
        plain.predict(*_question(model, 1, size))
    return counter.get_total_flops() / 2 / 1e9


@torch.no_grad()
def network_gmacs(role: Registry, network: nn.Module) -> float:
    """The same of one network of a role, for one face; 0 where the role says of no input what it is."""
    inputs = upsampler_inputs(network) if role is UPSAMPLERS else role.inputs
    if not inputs:
        return 0.0
    with FlopCounterMode(display=False) as counter:
        network.eval()(*(torch.zeros(_SHAPES[key]) for key in inputs))
    return counter.get_total_flops() / 2 / 1e9


@torch.no_grad()
def milliseconds(model: FaceHallucinator, batch_size: int, size: int = LR_SIZE) -> float:
    """Median time a face of :meth:`predict` at this batch size, on the model's device."""
    question = _question(model, batch_size, size)
    wait = torch.cuda.synchronize if question[0].is_cuda else lambda: None
    model.predict(*question)
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < _LEAST_RUNS or (time.perf_counter() - began < _LEAST_SECONDS and len(times) < _MOST_RUNS):
        wait()
        start = time.perf_counter()
        model.predict(*question)
        wait()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times) / batch_size


def _question(model: nn.Module, count: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Faces of noise with a centred hole, on the model's device."""
    device = device_of(model)
    mask = torch.zeros(count, 1, size, size, device=device)
    mask[..., size // 4 : 3 * size // 4, size // 4 : 3 * size // 4] = 1
    lr = torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0)).to(device)
    return lr * (1 - mask), mask
