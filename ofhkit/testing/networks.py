"""The promises of the roles that are networks."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from ofhkit.models.pipeline import upsampler_inputs
from ofhkit.registry import DEGRADATIONS

KEYS = (
    "sr", "hr", "lr", "lr_gt", "lr_filled", "completed", "mask", "landmarks", "parsing", "fake_logits", "real_logits",
    "landmark_prior", "predicted_landmarks", "parsing_logits", "index", "hr_landmarks", "coarse", "heatmaps",
)  # fmt: skip


class ContractError(AssertionError):
    """A component breaks what its role promises."""


def require(condition: object, message: str) -> None:
    if not condition:
        raise ContractError(message)


def same(a: Tensor, b: Tensor, tolerance: float = 0.0) -> bool:
    return a.shape == b.shape and bool(torch.allclose(a, b, rtol=tolerance, atol=tolerance))


def faces(count: int = 2, size: int = 128) -> dict[str, Tensor]:
    """Return a batch of smooth random pictures as a data set gives it: ``hr`` uint8, ``index``, ``sample_id``, labels.

    >>> faces()['hr'].shape
    torch.Size([2, 3, 128, 128])
    """
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 8, 8, generator=random)
    hr = nn.functional.interpolate(coarse, size=(size, size), mode="bilinear", align_corners=False)
    index = torch.arange(count)
    labels = torch.randint(0, 11, (count, size, size), generator=random, dtype=torch.uint8)
    points = torch.rand(count, 68, 2, generator=random) * (size - 1)
    return {"hr": (hr * 255).byte(), "index": index, "sample_id": index, "landmarks": points, "parsing": labels}


def sample_batch(count: int = 2) -> dict[str, Tensor]:
    batch = DEGRADATIONS.build(dict(type="Degradation"))(faces(count), training=False)
    random = torch.Generator().manual_seed(1)
    return batch | {
        "sr": (batch["hr"] + 0.1 * torch.rand(batch["hr"].shape, generator=random)).clamp(0, 1),
        "lr_filled": (batch["lr_gt"] + 0.1 * batch["mask"]).clamp(0, 1),
        "completed": (batch["lr_gt"] + 0.1 * batch["mask"]).clamp(0, 1),
        "fake_logits": torch.randn(count, 1, generator=random),
        "real_logits": torch.randn(count, 1, generator=random),
        "predicted_landmarks": batch["landmarks"] + 1,
        "hr_landmarks": batch["landmarks"],
        "parsing_logits": torch.randn(count, 16, 128, 128, generator=random),
        "coarse": batch["hr"] + 0.2,
        "heatmaps": torch.rand(count, 68, 64, 64, generator=random),
    }


def _check_network(
    network: nn.Module, inputs: Sequence[Tensor], shape: tuple, *, export: bool, into_input: bool = False
) -> Tensor:
    """Shape, finiteness, determinism, independence within the batch, copy, save and load, gradients, export."""
    name = type(network).__name__
    network.eval()
    before = [x.clone() for x in inputs]
    with torch.no_grad():
        out = network(*inputs)
        require(isinstance(out, Tensor), f"{name}: forward returns {type(out).__name__}, expected a tensor")
        require(out.shape == shape, f"{name}: output is {tuple(out.shape)}, expected {shape}")
        require(out.isfinite().all(), f"{name}: output holds NaN or infinity")
        require(all(map(torch.equal, before, inputs)), f"{name}: forward changes its input in place")
        require(torch.equal(out, network(*inputs)), f"{name}: in eval mode two calls differ")
        alone = network(*(x[:1] for x in inputs))
        require(same(alone, out[:1], 1e-3), f"{name}: in eval mode a result depends on the other images in the batch")
        twin = copy.deepcopy(network)
        require(torch.equal(out, twin(*inputs)), f"{name}: a deep copy gives another result")
        state = save({key: value.contiguous() for key, value in network.state_dict().items()})
        for value in twin.state_dict().values():
            value += 1
        twin.load_state_dict(load(state))
        require(torch.equal(out, twin(*inputs)), f"{name}: what is saved and loaded gives another result")
    if export:
        exported = torch.export.export(network, tuple(inputs)).module()
        require(same(exported(*inputs), out, 1e-4), f"{name}: the exported graph gives another result")
    _check_gradients(twin, [x.clone().requires_grad_() for x in inputs[:1]] + list(inputs[1:]), into_input)
    return out


def _check_gradients(network: nn.Module, inputs: list[Tensor], into_input: bool) -> None:
    name = type(network).__name__
    trained = {key: p for key, p in network.named_parameters() if p.requires_grad}
    if not trained and not into_input:
        return
    with torch.no_grad():
        for parameter in trained.values():  # a layer that starts at zero lets nothing through
            parameter += 0.01 * torch.randn_like(parameter)
    out = network.train()(*inputs)
    (out * torch.linspace(0.5, 1.5, out.numel()).view_as(out)).sum().backward()
    for key, parameter in trained.items():
        require(parameter.grad is not None, f"{name}: the parameter {key} gets no gradient")
        require(parameter.grad.isfinite().all(), f"{name}: the gradient of {key} holds NaN or infinity")
    require(not trained or any(p.grad.any() for p in trained.values()), f"{name}: every gradient is zero")
    if into_input:
        grad = inputs[0].grad
        require(grad is not None and grad.any() and grad.isfinite().all(), f"{name}: no gradient reaches its input")


def _fit(network: nn.Module, scale: int = 8) -> None:
    """Fit what is fitted in one pass to a few faces."""
    if hasattr(network, "partial_fit"):
        hr = faces(6, 16 * scale)["hr"].float() / 255
        network.partial_fit(nn.functional.avg_pool2d(hr, scale), hr)
        network.finalise()


def check_inpainter(network: nn.Module, export: bool = True) -> None:
    """(lr, mask) -> (N, 3, 16, 16) in [0, 1]; one that is fitted (``partial_fit``) is fitted here.

    >>> from ofhkit.registry import INPAINTERS
    >>> check_inpainter(INPAINTERS.build(dict(type='Telea')), export=False)
    """
    batch = sample_batch()
    _fit(network)
    out = _check_network(network, (batch["lr"], batch["mask"]), tuple(batch["lr"].shape), export=export)
    low, high = out.min().item(), out.max().item()
    require(low >= -1e-5 and high <= 1 + 1e-5, f"{type(network).__name__}: output in [{low}, {high}], not in [0, 1]")


def check_upsampler(network: nn.Module, export: bool = True) -> None:
    """(completed[, mask]) -> (N, 3, scale*16, scale*16), with ``scale``; one that is fitted is fitted here."""
    name, batch = type(network).__name__, sample_batch()
    scale: Any = getattr(network, "scale", None)
    require(isinstance(scale, int), f"{name}: the attribute `scale` is {scale!r}, expected a whole number")
    _fit(network, scale)
    inputs = tuple(batch[key] for key in upsampler_inputs(network))
    _check_network(network, inputs, (len(inputs[0]), 3, 16 * scale, 16 * scale), export=export)


def check_discriminator(network: nn.Module, export: bool = True) -> None:
    """(hr) -> logits (N, 1), with a gradient into the face."""
    hr = sample_batch()["hr"]
    _check_network(network, (hr,), (len(hr), 1), export=export, into_input=True)


def check_prior(network: nn.Module, export: bool = True) -> None:
    """(hr) -> landmarks (N, 68, 2) or logits (N, classes, 128, 128), with a gradient into the face."""
    hr = sample_batch()["hr"]
    shape = tuple(network.eval()(hr[:1]).shape[1:])
    known = shape == (68, 2) or (len(shape) == 3 and shape[0] > 1 and shape[1:] == (128, 128))
    expected = "(68, 2) landmarks or (classes, 128, 128) logits"
    require(known, f"{type(network).__name__}: a face gives {shape}, expected {expected}")
    _check_network(network, (hr,), (len(hr), *shape), export=export, into_input=True)
