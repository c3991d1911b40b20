"""From a trained network to its fast form for inference, verified on a probe batch every time it is built.

A network offers a fast form by a method ``fused() -> nn.Module``: a new module with the same call signature, built
from :func:`ofhkit.ops.fold` and its neighbours, that shares nothing with the trained one. :func:`fuse` finds such
networks anywhere inside a model, runs model and fast forms on a probe, and keeps the fast form only where it agrees.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import time
import warnings

import torch
from torch import Tensor, nn

from ofhkit.errors import OfhkitError, did_you_mean
from ofhkit.ops.onednn import FastConv2d

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 5e-2}  # largest difference / largest output
CANDIDATES = (1, 2, 4, 8)  # sizes of micro-batches that are tried

_tuned: dict[tuple, int] = {}


def fuse(
    model: nn.Module,
    probe: tuple[Tensor, ...] | None = None,
    precision: str = "float32",
    micro_batch: int | str = "auto",
    compile_kernels: bool = True,
) -> nn.Module:
    """Return a copy of ``model`` for inference in which every network with a fast form has been replaced by it.

    Args:
        model: a network with a method ``fused()``, or any module that contains such networks.
        probe: the arguments of ``model.forward`` for the verification; random smooth 16x16 pictures with a hole by
            default, as its parameters are named ``lr`` and ``mask``.
        precision: ``'float32'`` (exact up to rounding) or ``'bfloat16'`` (rounded; not exact).
        micro_batch: how many images go through a network at a time; ``'auto'`` measures it once, at the first large
            batch on a CPU, so that activations stay in the cache.
        compile_kernels: whether float32 on a CPU may use the kernels in C, compiled where there is a compiler and kept
            in the user's cache; ``OFHKIT_NO_KERNELS=1`` forbids it for good.

    Raises:
        OfhkitError: No network in ``model`` has a fast form, the precision is unknown, or a probe is needed.

    Shape:
        as ``model``; a network's output is float32 and contiguous.

    A fast form that differs from the plain network on the probe is left out, with a warning.
    """
    if precision not in PRECISIONS:
        raise OfhkitError(f"precision={precision!r} is unknown: {did_you_mean(precision, PRECISIONS)}.")
    plain = copy.deepcopy(model).eval().requires_grad_(False)
    networks = dict(_fusible(plain))
    if not networks:
        raise OfhkitError(f"{type(model).__name__} contains no network with a fast form (a method `fused`).")
    calls = _record(plain, networks, default_probe(plain) if probe is None else probe)
    for name in calls:  # what the probe does not reach (a discriminator, say) is not needed for inference
        network = networks[name]
        fast = FusedNetwork(network, PRECISIONS[precision], micro_batch, compile_kernels)
        arguments, named, expected = calls[name]
        difference, limit = _compare(fast(*arguments, **named), expected, fast.dtype)
        if not difference <= limit:
            warnings.warn(
                f"The fast form of {name or type(network).__name__} differs from the plain one by {difference:.1e} "
                f"(allowed {limit:.1e}) and is not used.",
                stacklevel=2,
            )
        elif name:
            plain.set_submodule(name, fast)
        else:
            plain = fast
    return plain


class FusedNetwork(nn.Module):
    """The fast form of one network: computes in the precision of its weights, channels_last, a few images at a time.

    Public attributes of the plain network (``scale``, ``mask_channel``, ...) are carried over. It cannot be trained.
    """

    def __init__(
        self,
        network: nn.Module,
        dtype: torch.dtype = torch.float32,
        micro_batch: int | str = "auto",
        compile_kernels: bool = False,
    ) -> None:
        super().__init__()
        for key, value in vars(network).items():
            if not key.startswith("_") and key != "training":
                setattr(self, key, value)
        if hasattr(type(network), "scale") and not hasattr(self, "scale"):
            self.scale = network.scale
        if micro_batch != "auto" and not (isinstance(micro_batch, int) and micro_batch > 0):
            raise OfhkitError(f"micro_batch must be 'auto' or a positive number, not {micro_batch!r}.")
        self.network = network.fused().requires_grad_(False).to(dtype)
        for module in self.network.modules():
            if isinstance(module, FastConv2d):
                module.compile_kernels = compile_kernels
        self._signature = inspect.signature(network.forward)
        self.dtype = dtype
        self.micro_batch = micro_batch
        super().train(False)

    @torch.no_grad()
    def forward(self, *inputs: Tensor, **named: Tensor) -> Tensor:
        """Run the fast network over micro-batches; arguments as the plain network's."""
        if named:
            inputs = self._signature.bind(*inputs, **named).args
        if torch.compiler.is_compiling():  # one graph for any number of images
            return self._run(inputs).float().contiguous()
        size = self._size(inputs)
        count = len(inputs[0])
        out: Tensor | None = None
        for start in range(0, max(count, 1), size):
            y = self._run(t[start : start + size] for t in inputs)
            if out is None:
                out = torch.empty((count, *y.shape[1:]), dtype=torch.float32, device=y.device)
            out[start : start + size] = y
        return out

    def _run(self, inputs) -> Tensor:
        return self.network(*(t.to(self.dtype, memory_format=torch.channels_last) for t in inputs))

    def _size(self, inputs: tuple[Tensor, ...]) -> int:
        count = max(len(inputs[0]), 1)
        if self.micro_batch != "auto":
            return self.micro_batch
        if inputs[0].device.type != "cpu" or count == 1:
            return count
        key = (repr(self.network), self.dtype, inputs[0].shape[1:], torch.get_num_threads())
        if key not in _tuned:
            if count < CANDIDATES[-1]:
                return min(count, 2)
            _tuned[key] = self._tune([t[: CANDIDATES[-1]] for t in inputs])
        return _tuned[key]

    def _tune(self, inputs: list[Tensor]) -> int:
        times = {}
        for size in CANDIDATES:
            self._run(t[:size] for t in inputs)  # creates oneDNN's primitives
            start = time.perf_counter()
            for first in range(0, len(inputs[0]), size):
                self._run(t[first : first + size] for t in inputs)
            times[size] = time.perf_counter() - start
        return min(times, key=times.__getitem__)

    def _apply(self, fn, recurse: bool = True) -> FusedNetwork:
        super()._apply(fn, recurse)
        self.dtype = next((t.dtype for t in self.network.buffers() if t.is_floating_point()), self.dtype)
        return self

    def train(self, mode: bool = True) -> FusedNetwork:
        """Refuse training: the weights are folded."""
        if mode:
            raise OfhkitError("A fused network is for inference only; train the plain model and fuse it afterwards.")
        return self


def default_probe(model: nn.Module) -> tuple[Tensor, ...]:
    """Return random arguments for ``model.forward`` from the names of its parameters, which are ``lr`` and ``mask``."""
    generator = torch.Generator().manual_seed(0)
    smooth = nn.functional.interpolate(torch.rand(3, 3, 4, 4, generator=generator), 16, mode="bilinear")
    lr = 0.8 * smooth + 0.2 * torch.rand(3, 3, 16, 16, generator=generator)  # neighbours alike, as in faces
    mask = torch.zeros(3, 1, 16, 16)
    mask[:, :, 5:11, 4:12] = 1
    known = {"lr": lr * (1 - mask), "mask": mask}
    parameters = inspect.signature(model.forward).parameters.values()
    needed = [p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    if any(name not in known for name in needed):
        raise OfhkitError(f"{type(model).__name__}.forward takes {needed}: pass probe=(...) with example arguments.")
    like = next((t for t in model.parameters() if t.is_floating_point()), lr)
    return tuple(known[name].to(like) for name in needed)


def _fusible(module: nn.Module, prefix: str = ""):
    """Yield (name, network) for the outermost modules with a fast form."""
    if callable(getattr(module, "fused", None)):
        yield prefix, module
        return
    for name, child in module.named_children():
        yield from _fusible(child, f"{prefix}.{name}" if prefix else name)


@torch.no_grad()
def _record(model: nn.Module, networks: dict[str, nn.Module], probe: tuple[Tensor, ...]) -> dict[str, tuple]:
    """Return the (arguments, keyword arguments, output) with which ``model`` calls each network on the probe."""
    calls: dict[str, tuple] = {}
    with contextlib.ExitStack() as hooks:
        for name, network in networks.items():

            def note(_, args, named, out, name=name) -> None:
                calls[name] = args, named, out.clone()

            hooks.callback(network.register_forward_hook(note, with_kwargs=True).remove)
        model(*probe)
    return calls


def _compare(found: Tensor, expected: Tensor, dtype: torch.dtype) -> tuple[float, float]:
    """Return the largest difference and the largest that is allowed in ``dtype``."""
    difference = (found.float() - expected.float()).abs().max().item()
    return difference, TOLERANCES[dtype] * max(1.0, expected.abs().max().item())
