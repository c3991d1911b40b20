"""Convolutions with their bias, skip sum and activation in one pass, by oneDNN's post-operations where torch has them.

The operators are torch's own but private, so they are tried once on a tiny input and compared with the public ones;
where they are missing or differ, :class:`FastConv2d` runs the public operators: the same values in more passes.
"""

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ofhkit.ops import native_conv
from ofhkit.ops.autotune import choose, fastest, key_of, may_measure, takes
from ofhkit.ops.layouts import NEIGHBOURS, pack_weight, packs, unpack, unphased_kernel, upsample_nearest

ACTIVATIONS = {None: "none", "relu": "relu", "sigmoid": "sigmoid"}


class FastConv2d(nn.Module):
    """An inference-only convolution (or transposed convolution) with skip sum and activation.

    Weights are buffers, already folded; on a CPU they are also kept in oneDNN's own layout, per input size. Where
    :attr:`compile_kernels` is set, as :func:`ofhkit.ops.fuse` does, a 3x3 convolution may run in C.

    Args:
        weight: as for ``F.conv2d``, or for ``F.conv_transpose2d`` where ``transposed``.
        bias: one number an output channel.
        stride, padding: as for ``F.conv2d``.
        activation: ``None``, ``'relu'`` or ``'sigmoid'``, applied after the skip is added.
        transposed: run a transposed convolution (which takes no skip).

    Shape:
        ``x`` (N, C, H, W) -> (N, O, H', W'); ``skip``, of the output's shape, may be overwritten; half as large as
        ``x``, it is enlarged.

    >>> layer = FastConv2d(torch.ones(1, 1, 1, 1), torch.zeros(1), activation='relu')
    >>> layer(torch.tensor([[[[-1., 2.]]]]), torch.tensor([[[[3., 3.]]]])).flatten().tolist()
    [2.0, 5.0]
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor,
        stride: int | tuple[int, int] = 1,
        padding: int = 0,
        activation: str | None = None,
        transposed: bool = False,
    ) -> None:
        super().__init__()
        self.register_buffer("weight", weight.detach().contiguous())
        self.register_buffer("bias", bias.detach().contiguous())
        self.stride = (stride, stride) if isinstance(stride, int) else stride
        self.padding = padding
        self.activation = activation
        self.transposed = transposed
        self.compile_kernels = False
        self._supported: bool | None = None  # by the kernel in C
        self._packed: dict[tuple, Tensor] = {}

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        """Convolve, add ``skip``, activate."""
        if self.compile_kernels and self.runs_compiled(x, skip):
            key = ("C", self.weight.shape, self.transposed, torch.get_num_threads())
            if choose(key, self.cpu_candidates(x), rounds=7) == "C":
                return self.forward_compiled(x, skip)
        if skip is not None and 2 * skip.shape[-1] == x.shape[-1]:
            skip = upsample_nearest(skip)
        if x.device.type == "cpu":
            return self.forward_torch(x, skip)
        if self.transposed and may_measure(x):
            return fastest((self.weight.shape, self.activation, *key_of(x)), self.candidates(x))
        return self._forward_public(x, skip)

    def forward_torch(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        """Run torch's operators: on a CPU oneDNN's fused ones where they are."""
        if x.device.type == "cpu" and x.numel() and not torch.compiler.is_compiling() and available(x.dtype):
            return self._forward_onednn(x, skip)
        return self._forward_public(x, skip)

    def candidates(self, x: Tensor) -> dict[str, Callable[[], Tensor]]:
        """Return the ways to run an upsampling convolution on CUDA; the public operators come first."""
        calls = {
            "torch": lambda: self._forward_public(x, None),
            "enlarged": lambda: self.forward_enlarged(upsample_nearest(x)),
        }
        if takes(x):
            calls["triton"] = lambda: self.forward_triton(x)
            if self.weight.shape[-1] == 4:
                calls["nine"] = lambda: self.forward_triton(x, nine=True)
        return calls

    def forward_triton(self, x: Tensor, nine: bool = False) -> Tensor:
        """Upsample and convolve by the phases or the nine products, in one kernel."""
        from ofhkit.ops import triton_conv  # imports Triton, which is not everywhere

        if (packed := self._packed.get(("triton", nine))) is None:
            packed = self._packed["triton", nine] = triton_conv.repack(self.weight, nine)
        size, kind = self.weight.shape[-1] - 1, triton_conv.ACTIVATIONS[self.activation]
        return triton_conv.upsample_conv2d_packed(x, packed, self.bias, size, nine, kind)

    def forward_enlarged(self, x: Tensor) -> Tensor:
        """Convolve ``x``, which is upsampled already, by torch's operators."""
        if (weight := self._packed.get(("enlarged",))) is None:
            weight = self._packed[("enlarged",)] = unphased_kernel(self.weight)
        y = F.conv2d(x, weight, self.bias, padding=self.padding)
        return getattr(torch, f"{self.activation}_")(y) if self.activation else y

    def cpu_candidates(self, x: Tensor) -> dict[str, Callable[[], Tensor]]:
        """Return the ways to run a 3x3 convolution on a CPU; torch's operators come first."""
        return {"torch": lambda: self.forward_torch(x), "C": lambda: self.forward_compiled(x)}

    def forward_compiled(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        """Run the kernel in C, which must take this input (:meth:`runs_compiled`)."""
        if (packed := self._packed.get(("C",))) is None:
            packed = self._packed[("C",)] = native_conv.pack(self.weight.double(), self.transposed)
        if self.transposed:
            return native_conv.upsample_conv2d(x, packed, self.bias, self.activation == "relu")
        return native_conv.conv2d(x, packed, self.bias, self.activation == "relu", skip)

    def runs_compiled(self, x: Tensor, skip: Tensor | None = None) -> bool:
        """Whether the kernel in C takes this layer and input."""
        channels = self.weight.shape[0 if self.transposed else 1]
        if not native_conv.readable(x, channels, self.weight, self.bias, skip):
            return False
        if torch.is_grad_enabled() and x.requires_grad:
            return False
        if self._supported is None:
            self._supported = native_conv.verified() and native_conv.supports(
                self.weight, self.stride, self.padding, self.activation, self.transposed
            )
        return self._supported

    def _forward_public(self, x: Tensor, skip: Tensor | None) -> Tensor:
        if self.transposed:
            y = F.conv_transpose2d(x, self.weight, self.bias, self.stride, self.padding)
        else:
            y = F.conv2d(x, self.weight, self.bias, self.stride, self.padding)
        if skip is not None:
            y += skip
        return getattr(torch, f"{self.activation}_")(y) if self.activation else y

    def _forward_onednn(self, x: Tensor, skip: Tensor | None) -> Tensor:
        weight = self._packed.get(x.shape)
        if weight is None:
            weight = self._packed[x.shape] = self._pack(list(x.shape))
        padding, stride, one = [self.padding] * 2, list(self.stride), [1, 1]
        activation = ACTIVATIONS[self.activation]
        ops = torch.ops.mkldnn
        if self.transposed:
            return ops._convolution_transpose_pointwise(
                x, weight, self.bias, padding, [0, 0], stride, one, 1, activation, [], ""
            )
        if skip is None:
            return ops._convolution_pointwise(x, weight, self.bias, padding, stride, one, 1, activation, [], "")
        unary = None if activation == "none" else activation
        return ops._convolution_pointwise_.binary(
            skip, x, weight, self.bias, padding, stride, one, 1, "add", 1.0, unary, [], ""
        )

    def _pack(self, size: list[int]) -> Tensor:
        padding, stride, one = [self.padding] * 2, list(self.stride), [1, 1]
        if len(self._packed) >= 8:  # a stream of ever new sizes must not fill the memory
            self._packed.clear()
        if self.transposed:
            return torch.ops.mkldnn._reorder_convolution_transpose_weight(
                self.weight, padding, [0, 0], stride, one, 1, size
            )
        return torch.ops.mkldnn._reorder_convolution_weight(self.weight, padding, stride, one, 1, size)

    def _forget(self) -> None:
        """Drop what was derived from weights that are about to change."""
        self._packed, self._supported = {}, None

    def _apply(self, fn, recurse: bool = True):
        self._forget()
        return super()._apply(fn, recurse)

    def _load_from_state_dict(self, *args, **kwargs) -> None:
        self._forget()
        super()._load_from_state_dict(*args, **kwargs)

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_packed": {}, "_supported": None}  # oneDNN's tensors cannot be copied or pickled

    def extra_repr(self) -> str:
        """Name what distinguishes two layers in speed."""
        shape = "x".join(map(str, self.weight.shape))
        kind = f"{shape}, stride={self.stride}, activation={self.activation}, transposed={self.transposed}"
        return kind + ", compile_kernels=True" * self.compile_kernels


class NarrowConv2d(FastConv2d):
    """A :class:`FastConv2d` of stride 1 with few output channels: on a CPU, neighbouring pixels fill the lanes.

    Shape:
        (N, C, H, W) -> (N, O, H', W'); takes no skip there.
    """

    def __init__(self, weight: Tensor, bias: Tensor, padding: int = 0, activation: str | None = None) -> None:
        super().__init__(weight, bias, 1, padding, activation)
        packed = pack_weight(weight), bias.repeat(NEIGHBOURS)
        self.packed = FastConv2d(*packed, (1, NEIGHBOURS), padding, activation)

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        """Convolve, add ``skip``, activate."""
        wide = x.device.type != "cpu" or not x.is_contiguous(memory_format=torch.channels_last)
        if wide or skip is not None or not packs(x.shape[-1], self.weight.shape[-1], self.padding):
            return super().forward(x, skip)
        return unpack(self.packed(x))


class FusedHead(nn.Module):
    """Two 3x3 convolutions, ReLU between and sigmoid behind; on CUDA one Triton kernel where that is faster.

    Args:
        conv1: the first, with ``activation='relu'``.
        conv2: the second, with ``activation='sigmoid'`` and at most 16 output channels.

    Shape:
        (N, C, H, W) -> (N, O, H, W) in (0, 1)
    """

    def __init__(self, conv1: FastConv2d, conv2: FastConv2d) -> None:
        super().__init__()
        self.conv1 = conv1
        self.conv2 = conv2

    def forward(self, x: Tensor) -> Tensor:
        """Run both convolutions."""
        if not (may_measure(x) and takes(x)):
            return self.conv2(self.conv1(x))
        return fastest(("head", self.conv1.weight.shape, *key_of(x)), self.candidates(x))

    def candidates(self, x: Tensor) -> dict[str, Callable[[], Tensor]]:
        """Return the ways to run it on CUDA; the public operators come first."""
        from ofhkit.ops.triton_head import head  # imports Triton

        first, second = self.conv1, self.conv2
        return {
            "torch": lambda: second(first(x)),
            "triton": lambda: head(x, first.weight, first.bias, second.weight, second.bias),
        }


@functools.cache
def available(dtype: torch.dtype) -> bool:
    """Whether oneDNN's fused convolutions exist here for ``dtype`` and agree with the public operators."""
    if dtype not in (torch.float32, torch.bfloat16) or not torch.backends.mkldnn.is_available():
        return False
    generator = torch.Generator().manual_seed(0)
    randn = functools.partial(torch.randn, generator=generator, device="cpu")
    x, skip, weight = (randn(1, 16, 4, 5).to(dtype) for _ in range(3))
    weight = weight[:, :, :3, :3].expand(16, 16, 3, 3)
    bias = randn(16).to(dtype)
    x, skip = (t.contiguous(memory_format=torch.channels_last) for t in (x, skip))
    try:
        with torch.inference_mode():
            for transposed in (False, True):
                layer = FastConv2d(weight, bias, 1, 1, "relu", transposed)
                convolve = F.conv_transpose2d if transposed else F.conv2d
                plain = convolve(x.float(), weight.float(), bias.float(), padding=1)
                pairs = [(layer._forward_onednn(x, None), plain)]
                if not transposed:
                    pairs.append((layer._forward_onednn(x, skip.clone()), plain + skip.float()))
                tolerance = 1e-5 if dtype == torch.float32 else 3e-2
                if any((got - want.relu()).abs().max() > tolerance * want.abs().max() for got, want in pairs):
                    return False
    except (AttributeError, RuntimeError, NotImplementedError):
        return False
    return True
