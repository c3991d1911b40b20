"""3x3 convolutions on a CPU with fewer products, by the compiled kernels: with or without nearest x2 before them.

With it, 25 products for 2x2 input pixels, where the phases need 64; without, Winograd's 36 for 4x4 pixels instead of
144. ``kernels/*.c`` say how. The rounding error stays that of the plain operators.
"""

import functools
import threading
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from ofhkit.errors import OfhkitError
from ofhkit.ops.jit_c import library
from ofhkit.ops.layouts import phase_kernel, upsample_nearest

MAX_CHANNELS = 4096
GRADIENT_TILES = 64  # whose gradients are computed together
_kept = threading.local()
KINDS = (Tensor, nn.Parameter)  # their subclasses may have no memory of their own
ROOT = 2**0.5
FIVE = torch.tensor([[1, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 1, 0, 0]], dtype=torch.float64)
"""From (w2, w1+w2, w0+w1, w0), a phase kernel's row, the weights of five products: w0+w1+w2, w0+w1, w0, w2, w1+w2."""
SIX = torch.tensor(
    [
        [1, 0, 0],
        [-2 / 3, -ROOT / 3, -1 / 3],
        [-2 / 3, ROOT / 3, -1 / 3],
        [1 / 6, ROOT / 6, 1 / 3],
        [1 / 6, -ROOT / 6, 1 / 3],
        [0, 0, 1],
    ],
    dtype=torch.float64,
)
"""From (w0, w1, w2) the weights of Winograd's six products, at the points 0, +-root/2, +-root and infinity."""
ORDER = [0, *range(5, 25, 5), *range(1, 5), *(5 * p + q for p in range(1, 5) for q in range(1, 5))]
PHASES, WINOGRAD = torch.kron(FIVE, FIVE)[ORDER], torch.kron(SIX, SIX)
"""From all taps of a kernel the weights of its products: (25, 16) and (36, 9)."""


def readable(x: Tensor, channels: int, *others: Tensor | None) -> bool:
    """Whether C may read these tensors: in memory, float32, ``x`` with the weights' channels, recorded by nobody."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or is_in_torch_dispatch_mode():
        return False
    for t in (x, *others):
        if t is not None and (type(t) not in KINDS or t.device.type != "cpu" or t.dtype != torch.float32):
            return False
    return x.ndim == 4 and x.numel() > 0 and x.shape[1] == channels and library() is not None


def suits(x: Tensor, weight: Tensor, bias: Tensor | None, transposed: bool = False) -> bool:
    """Whether a kernel can run on ``x`` with a 3x3 kernel (O, C, 3, 3), or a phase kernel (C, O, 4, 4)."""
    channels, size = (weight.shape[0], 4) if transposed else (weight.shape[1], 3)
    if weight.shape[2:] != (size, size) or not readable(x, channels, weight, bias) or not verified():
        return False
    block = library().ofhkit_block()
    return all(width % block == 0 for width in weight.shape[:2]) and channels <= MAX_CHANNELS


def supports(
    weight: Tensor, stride: tuple[int, int], padding: int, activation: str | None, transposed: bool = False
) -> bool:
    """Whether a kernel computes this convolution, or this transposed one if :func:`ofhkit.ops.phase_kernel` made it."""
    block = library().ofhkit_block()
    channels = weight.shape[0 if transposed else 1]
    size, step = (4, 2) if transposed else (3, 1)
    if (*weight.shape[2:], *stride, padding) != (size, size, step, step, 1) or activation not in (None, "relu"):
        return False
    if weight.shape[0] % block or weight.shape[1] % block or channels > MAX_CHANNELS or not weight.isfinite().all():
        return False
    if not transposed:
        return True
    pairs = (
        weight[:, :, 0] + weight[:, :, 2] - weight[:, :, 1] - weight[:, :, 3],
        weight[..., 0] + weight[..., 2] - weight[..., 1] - weight[..., 3],
    )  # all are w0 + w1 + w2
    return all(bool(difference.abs().max() <= 1e-5 * weight.abs().max()) for difference in pairs)


def pack(weight: Tensor, transposed: bool = False) -> Tensor:
    """Return the weights of the products: of a phase kernel where ``transposed``.

    Shape:
        (O, C, 3, 3) -> (O / block, 36, C, block) or (C, O, 4, 4) -> (O / block, 25, C, block)
    """
    matrix, taps = (PHASES, weight.permute(2, 3, 0, 1)) if transposed else (WINOGRAD, weight.permute(2, 3, 1, 0))
    parts = (matrix.to(weight) @ taps.flatten(2).flatten(0, 1)).unflatten(1, taps.shape[2:])  # (25 or 36, C, O)
    return parts.unflatten(2, (-1, library().ofhkit_block())).permute(2, 0, 1, 3).float().contiguous()


def upsample_conv2d(x: Tensor, packed: Tensor, bias: Tensor | None, relu: bool) -> Tensor:
    """Upsample, convolve, and apply ReLU if so.

    Shape:
        ``x`` (N, C, H, W), ``packed`` as :func:`pack` -> (N, O, 2H, 2W), channels_last.
    """
    count, _, height, width = x.shape
    y = _empty(x, count, packed, 2 * height, 2 * width)
    bias = y.new_zeros(y.shape[1]) if bias is None else bias.contiguous()
    return _run("upsample_conv", x, packed, [bias, y], (height // 2 + 1, width // 2 + 1), relu)


def conv2d(x: Tensor, packed: Tensor, bias: Tensor, relu: bool, skip: Tensor | None = None) -> Tensor:
    """Convolve, add ``skip``, enlarged if it is half as large, and apply ReLU if so.

    Shape:
        ``x`` (N, C, H, W), ``packed`` as :func:`pack`, ``skip`` (N, O, H, W) or (N, O, H/2, W/2) -> (N, O, H, W),
        channels_last.
    """
    count, _, height, width = x.shape
    y = _empty(x, count, packed, height, width)
    halved = skip is not None and (2 * skip.shape[2], 2 * skip.shape[3]) == (height, width)
    if skip is not None:
        size = skip.shape[2:] if halved else (height, width)
        skip = skip.expand(count, y.shape[1], *size).contiguous(memory_format=torch.channels_last)
    tiles = -(-height // 4), -(-width // 4)
    return _run("conv", x, packed, [bias, skip, y], tiles, relu, halved)


def conv2d_weight_gradient(x: Tensor, grad: Tensor) -> Tensor:
    """Return the gradient of ``weight`` in ``F.conv2d(x, weight, padding=1)``.

    Shape:
        ``x`` (N, C, H, W), ``grad`` (N, O, H, W) -> (O, C, 3, 3)
    """
    x, grad = (t.permute(0, 2, 3, 1).contiguous() for t in (x, grad))
    sums = _sums(x, grad, WINOGRAD)
    _gradient("conv", x, grad, (grad, sums), (-(-x.shape[1] // 4), -(-x.shape[2] // 4)))
    return _taps(sums, WINOGRAD).permute(3, 2, 0, 1)


def upsample_conv2d_gradients(
    x: Tensor, grad: Tensor, kernel: Tensor, need_x: bool, need_kernel: bool
) -> tuple[Tensor | None, Tensor | None]:
    """Return the gradients of the map and of the phase kernel.

    Shape:
        ``x`` (N, C, H, W), ``grad`` (N, O, 2H, 2W), ``kernel`` (C, O, 4, 4) -> as ``x``, as ``kernel``
    """
    grad_x = torch.empty_like(x, memory_format=torch.channels_last) if need_x else None
    x, grad = (t.permute(0, 2, 3, 1).contiguous() for t in (x, grad))
    sums = _sums(x, grad, PHASES) if need_kernel else None
    packed = pack(kernel.transpose(0, 1), transposed=True)
    _gradient("upsample_conv", x, grad, (grad, packed, grad_x, sums), (x.shape[1] // 2 + 1, x.shape[2] // 2 + 1))
    return grad_x, None if sums is None else _taps(sums, PHASES).permute(2, 3, 0, 1)


def _sums(x: Tensor, grad: Tensor, matrix: Tensor) -> Tensor:
    return x.new_zeros(torch.get_num_threads(), len(matrix), x.shape[3], grad.shape[3])


def _taps(sums: Tensor, matrix: Tensor) -> Tensor:
    """From the gradients of the products' weights (threads, products, C, O) those of the taps (k, k, C, O)."""
    products = sums.sum(0)
    size = round(matrix.shape[1] ** 0.5)
    return (matrix.to(sums).T @ products.flatten(1)).view(size, size, *products.shape[1:])


def _gradient(name: str, x: Tensor, grad: Tensor, tensors: Sequence[Tensor | None], tiles: tuple[int, int]) -> None:
    """Call the gradient's kernel ``name`` on maps whose channels lie last."""
    kernels, threads = library(), torch.get_num_threads()
    count, height, width, channels = x.shape
    high, wide = tiles
    sizes = channels, grad.shape[3], min(high, max(1, round(GRADIENT_TILES / wide)))
    scratch = _scratch(getattr(kernels, f"ofhkit_{name}_gradient_room")(width, *sizes) * threads)
    addresses = [None if t is None else t.data_ptr() for t in (x, *tensors, scratch)]
    getattr(kernels, f"ofhkit_{name}_gradient")(*addresses, count, height, width, *sizes, threads)


def _empty(like: Tensor, count: int, packed: Tensor, height: int, width: int) -> Tensor:
    size = count, packed.shape[0] * packed.shape[3], height, width
    return torch.empty(size, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)


def _run(name: str, x: Tensor, packed: Tensor, tensors: list, tiles: tuple[int, int], *switches: bool) -> Tensor:
    """Call the kernel ``name`` on all of torch's threads; it trusts what it is given, so all is checked here."""
    floats = all(t is None or t.dtype == torch.float32 for t in (x, packed, *tensors))
    if not floats or x.shape[1] != packed.shape[2] or len(tensors[0]) != packed.shape[0] * packed.shape[3]:
        raise OfhkitError(f"The weights for {packed.shape[2]} float32 channels do not fit {tuple(x.shape)}, {x.dtype}.")
    x = x.permute(0, 2, 3, 1).contiguous()
    y = tensors[-1]
    if y.numel():
        kernels, threads = library(), torch.get_num_threads()
        count, height, width, channels = x.shape
        blocks = len(packed)
        rows, groups = _divide(count, tiles, channels, blocks, threads)
        scratch = _scratch(getattr(kernels, f"ofhkit_{name}_room")(width, channels, rows) * threads)
        addresses = [None if t is None else t.data_ptr() for t in (x, packed, *tensors, scratch)]
        sizes = count, height, width, channels, y.shape[1], rows, groups
        getattr(kernels, f"ofhkit_{name}")(*addresses, *sizes, *switches, threads)
    return y


def _scratch(size: int) -> Tensor:
    """Return this thread's working memory, which is kept: to map it anew would cost as much as a small convolution."""
    if len(kept := getattr(_kept, "scratch", ())) < size:
        _kept.scratch = kept = torch.empty(size, dtype=torch.float32, device="cpu")
    return kept


def _divide(count: int, tiles: tuple[int, int], channels: int, blocks: int, threads: int) -> tuple[int, int]:
    """Return the rows of tiles that are computed together and the groups of output channels, as the threads need.

    A core's own cache holds the panels of some 32 tiles of 128 channels.

    >>> [_divide(count, (8, 8), 64, 2, threads) for count, threads in ((4, 2), (1, 2), (1, 8))]
    [(8, 1), (8, 2), (2, 2)]
    """
    high, wide = tiles
    together = min(max(4096 // channels, 16), 64)
    strips = -(-high // max(1, round(together / wide)))
    while count * strips * blocks < threads and strips < high:
        strips += 1
    rows = -(-high // strips)
    shares = count * -(-high // rows)
    return rows, 1 if shares % threads == 0 or shares >= 4 * threads else blocks


@functools.cache
def verified() -> bool:
    """Whether the compiled kernels can be had here and agree with the plain operators."""
    if (kernels := library()) is None:
        return False
    block = kernels.ofhkit_block()
    generator = torch.Generator().manual_seed(0)
    randn = functools.partial(torch.randn, generator=generator, dtype=torch.float32, device="cpu")
    for size in ((1, 2), (5, 4)):
        x, skip = (randn(2, block, *size) for _ in range(2))
        weight = randn(block, block, 3, 3).double()
        bias = randn(block)
        wanted = F.conv2d(x.double(), weight, bias.double(), padding=1) + skip
        enlarged = F.conv2d(upsample_nearest(x.double()), weight, bias.double(), padding=1)
        y = conv2d(x, pack(weight), bias, True, skip.clone())
        larger = upsample_conv2d(x, pack(phase_kernel(weight), True), bias, True)
        for got, expected in ((y, wanted), (larger, enlarged)):
            if not (got - expected.relu()).abs().max() <= 1e-5 * expected.abs().max():
                return False
    return True
