"""The pipeline as a module that a tracer can follow: (lr, mask) -> sr, networks in their fast form."""

import copy

import torch
from torch import Tensor, nn

from ofhkit.errors import OfhkitError, did_you_mean
from ofhkit.export.pixel_shuffle import ShuffledConv2d
from ofhkit.models.pipeline import FaceHallucinator
from ofhkit.ops import FastConv2d, FusedNetwork, fuse

PRECISIONS = ("float32", "bfloat16", "int8")


class Graph(nn.Module):
    """What is exported. A mask is binary above 0.5, and what lies under the hole is never seen.

    Shape:
        lr (N, 3, 16, 16) in [0, 1], mask (N, 1, 16, 16) -> sr (N, 3, 128, 128) in [0, 1], all float32.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, lr: Tensor, mask: Tensor) -> Tensor:
        """Complete, paste, upsample, clamp."""
        mask = (mask > 0.5).to(lr.dtype)
        lr = torch.where(mask > 0.5, torch.zeros_like(lr), lr)
        return self.model.predict(lr, mask)["sr"]


class Cast(nn.Module):
    """A network that computes in another precision than its neighbours."""

    def __init__(self, network: nn.Module, dtype: torch.dtype):
        super().__init__()
        self.network = network.to(dtype)
        self.dtype = dtype

    def forward(self, *inputs: Tensor) -> Tensor:
        """Round the inputs, run, widen the output."""
        return self.network(*(t.to(self.dtype) for t in inputs)).float()


@torch.no_grad()
def graph(model: FaceHallucinator, precision: str = "float32") -> Graph:
    """Return a copy of ``model`` for tracing; the model is left as it is.

    Networks with a fast form are replaced by it (:func:`ofhkit.ops.fuse`, which verifies each); what inference does not
    reach (discriminator, landmark network, losses) is left out.

    Args:
        model: of :func:`ofhkit.load_model`, on the CPU.
        precision: of the networks: ``'float32'``, ``'bfloat16'``, or ``'int8'``: float32 still, laid out so that every
            convolution can be quantised afterwards.

    Raises:
        OfhkitError: a component says that it cannot be exported, or the precision is unknown.

    >>> from ofhkit.registry import HALLUCINATORS
    >>> model = HALLUCINATORS.build(dict(type='FaceHallucinator', inpainter=dict(type='EncoderDecoder'),
    ...     upsampler=dict(type='Bicubic'))).eval()
    >>> graph(model)(torch.zeros(2, 3, 16, 16), torch.zeros(2, 1, 16, 16)).shape
    torch.Size([2, 3, 128, 128])
    """
    if precision not in PRECISIONS:
        raise OfhkitError(f"precision={precision!r} is unknown: {did_you_mean(precision, PRECISIONS)}")
    for module in model.modules():
        if reason := getattr(module, "not_exported", None):
            raise OfhkitError(f"{type(module).__name__} cannot be exported: {reason}; name a pipeline without it")
    info, plain = getattr(model, "info", {}), copy.deepcopy(model).cpu().eval().requires_grad_(False)
    if any(callable(getattr(m, "fused", None)) for m in plain.modules()):
        plain = fuse(plain)
    _drop_unreached(plain)
    for name, module in list(plain.named_modules()):
        if isinstance(module, FusedNetwork):  # its micro-batches are Python, which a graph cannot hold
            network = module.network
            if hasattr(module, "scale"):
                network.scale = module.scale
            plain.set_submodule(name, network)
    for name, module in list(plain.named_modules()):
        if precision == "int8" and isinstance(module, FastConv2d) and module.transposed:
            plain.set_submodule(name, ShuffledConv2d(module))
    if precision == "bfloat16":
        for name, network in list(plain.named_children()):
            if network.state_dict() and not hasattr(network, "partial_fit"):  # what is fitted keeps its sums exact
                plain.set_submodule(name, Cast(network, torch.bfloat16))
    plain.info = info
    return Graph(plain).eval()


def _drop_unreached(model: nn.Module) -> None:
    """Remove the direct children that no prediction runs."""
    reached: set[nn.Module] = set()
    handles = [child.register_forward_hook(lambda child, *_: reached.add(child)) for child in model.children()]
    model.predict(torch.zeros(1, 3, 16, 16), torch.ones(1, 1, 16, 16))
    for handle in handles:
        handle.remove()
    for name, child in list(model.named_children()):
        if child not in reached:
            setattr(model, name, None)
