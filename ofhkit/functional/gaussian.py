"""Aligned faces as one Gaussian: moments, and what they say of pixels that were not seen.

For a face x with mean m, covariance C (plus a small multiple of the identity) and precision P = C^-1, the pixels H that
are hidden follow from those K that are known:

    E[x_H | x_K] = m_H - P_HH^-1 P_HK (x_K - m_K),     Cov[x_H | x_K] = P_HH^-1,

a system of the hole's size only. A second image y that belongs to the face (the large one) follows from the completed
face: E[y | x_K] = m_y + W' (x - m) with W = C^-1 Cov(x, y). Images are flattened, channels first.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ofhkit.errors import OfhkitError

__all__ = [
    "add_moments", "centre_moments", "complete", "complete_by_steps", "conjugate_gradients", "deviations", "draw",
    "linear_map", "mirror", "new_moments", "precision", "preconditioner", "squared_distance", "symmetric", "triangle",
]  # fmt: skip

_MIDDLE = 0.5  # moments are taken about mid-grey, so that centring them loses no digits
_CHUNK = 128  # faces at a time while fitting: 50 MB of float64 faces
_ENTRIES = 1 << 18, 1 << 24  # of the systems that are solved at a time: in a CPU's cache, on a GPU
_TINY = 1e-30


def new_moments(x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
    """Return zero sums (float64) for faces x (N, c, h, w) and, where given, their large images y (N, C, H, W)."""
    sizes = {"x": (x[0].numel(),), "xx": (x[0].numel(),) * 2}
    if y is not None:
        sizes |= {"y": (y[0].numel(),), "xy": (x[0].numel(), y[0].numel())}
    return {name: torch.zeros(size, dtype=torch.float64, device=x.device) for name, size in sizes.items()}


def add_moments(sums: dict[str, Tensor], x: Tensor, y: Tensor | None = None) -> None:
    """Add a batch to the sums of :func:`new_moments`, in place and in float64."""
    for start in range(0, len(x), _CHUNK):
        a = x[start : start + _CHUNK].flatten(1).double() - _MIDDLE
        sums["x"] += a.sum(0)
        sums["xx"].addmm_(a.mT, a)
        if y is not None:
            b = y[start : start + _CHUNK].flatten(1).double() - _MIDDLE
            sums["y"] += b.sum(0)
            sums["xy"].addmm_(a.mT, b)


def centre_moments(sums: dict[str, Tensor], count: float, mirrored: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Turn sums over ``count`` faces into means and covariances (``mean_x``, ``cov_xx`` and, with y, the others).

    Args:
        mirrored: image shapes by letter, ``{"x": (3, 16, 16)}``: the moments of the faces and their mirror images,
            which follow from the faces' own; empty for the faces alone.
    """
    half = {name: value / count for name, value in sums.items()}
    if mirrored:
        for name, value in half.items():
            other = value
            for axis, letter in enumerate(name):
                other = mirror(other, mirrored[letter], axis)
            half[name] = (value + other).div_(2)
    centred = {f"mean_{k}": half[k] + _MIDDLE for k in half if len(k) == 1}
    covariances = {f"cov_{k}": half[k].addr_(half[k[0]], half[k[1]], alpha=-1) for k in half if len(k) == 2}
    return centred | covariances


def mirror(values: Tensor, shape: tuple[int, ...], axis: int = -1) -> Tensor:
    """Flip flattened images of ``shape`` (C, H, W) along ``axis`` left to right.

    >>> mirror(torch.tensor([1.0, 2.0, 3.0, 4.0]), (1, 2, 2)).tolist()
    [2.0, 1.0, 4.0, 3.0]
    """
    order = torch.arange(values.shape[axis], device=values.device).view(shape).flip(-1).flatten()
    return values.index_select(axis, order)


def precision(covariance: Tensor, regularisation: float) -> Tensor:
    """Return (C + regularisation * I)^-1 of a covariance (D, D), in its type.

    Raises:
        OfhkitError: the sum has a negative variance along some direction, and so is no covariance.
    """
    eye = torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
    factor, failed = torch.linalg.cholesky_ex(covariance + regularisation * eye)
    if failed:
        raise OfhkitError("the covariance has a negative variance along some direction; fit it again or raise lambda")
    return torch.cholesky_inverse(factor)


def linear_map(cov_xx: Tensor, cov_xy: Tensor, regularisation: float) -> Tensor:
    """Return W (D, E) with E[y | x] = mean_y + (x - mean_x) W."""
    return precision(cov_xx, regularisation) @ cov_xy


def complete(x: Tensor, hidden: Tensor, mean: Tensor, precision: Tensor) -> Tensor:
    """Fill hidden numbers with their mean given the known ones, exactly; known ones come back as they are.

    A face with nothing hidden stays; one with everything hidden becomes ``mean``.

    Shape:
        x (N, D); what is hidden may hold anything, NaN too. hidden (N, D) bool, mean (D,), precision (D, D).
        Output (N, D), the type of ``precision``.
    """
    x = x.to(precision.dtype)
    filled = torch.where(hidden, mean, x)
    right = (filled - mean) @ precision
    parts, places = [], []
    for rows, at, inside, factor in _factors(hidden & ~hidden.all(1, keepdim=True), precision):
        b = torch.where(inside, right[rows].gather(1, at), 0)
        solved = torch.cholesky_solve(b[..., None], factor)[..., 0]
        parts.append(torch.zeros_like(x[rows]).scatter(1, at, torch.where(inside, solved, 0)))
        places.append(rows)
    if not parts:
        return filled
    return filled.index_add(0, torch.cat(places), torch.cat(parts), alpha=-1)


def deviations(hidden: Tensor, precision: Tensor) -> Tensor:
    """Standard deviations of the hidden numbers given the known ones, diag(P_HH^-1)^1/2; 0 for known ones.

    Shape:
        hidden (N, D) bool, precision (D, D). Output (N, D), the type of ``precision``.
    """
    out = precision.new_zeros(hidden.shape)
    for rows, at, inside, factor in _factors(hidden, precision):
        spread = torch.cholesky_inverse(factor).diagonal(dim1=-2, dim2=-1).sqrt()
        out[rows] = torch.zeros_like(out[rows]).scatter(1, at, torch.where(inside, spread, 0))
    return out


def draw(noise: Tensor, hidden: Tensor, precision: Tensor) -> Tensor:
    """Turn standard normal noise into deviations of the hidden numbers from their mean, with covariance P_HH^-1.

    Shape:
        noise (S, N, D), hidden (N, D) bool, precision (D, D). Output (S, N, D), 0 where known.
    """
    out = torch.zeros_like(noise, dtype=precision.dtype)
    for rows, at, inside, factor in _factors(hidden, precision):
        places = at.expand(len(noise), -1, -1)
        z = torch.where(inside, noise[:, rows].to(precision.dtype).gather(2, places), 0)
        drawn = torch.linalg.solve_triangular(factor.mT, z.movedim(0, -1), upper=True).movedim(-1, 0)
        out[:, rows] = torch.zeros_like(out[:, rows]).scatter(2, places, torch.where(inside, drawn, 0))
    return out


def squared_distance(filled: Tensor, mean: Tensor, precision: Tensor) -> Tensor:
    """(N,) squared Mahalanobis distance; of a face that :func:`complete` filled it is that of its known numbers."""
    away = filled - mean
    return ((away @ precision) * away).sum(1)


def _factors(hidden: Tensor, precision: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Factor P_HH for faces with holes of a like size together, a few at a time.

    Yields:
        rows (R,) of the faces; at (R, n), the hidden numbers' places first; inside (R, n), which of these are hidden;
        the lower Cholesky factors (R, n, n), with the identity where a hole is smaller than n.
    """
    counts = hidden.sum(1)
    for rows in _groups(counts, _ENTRIES[hidden.device.type != "cpu"]):
        size = int(counts[rows].max())
        at = hidden[rows].to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :size]
        inside = torch.arange(size, device=hidden.device) < counts[rows, None]
        both = inside[:, :, None] & inside[:, None, :]
        eye = torch.eye(size, dtype=precision.dtype, device=precision.device)
        system = torch.where(both, precision[at[:, :, None], at[:, None, :]], eye)
        yield rows, at, inside, torch.linalg.cholesky(system)


def _groups(counts: Tensor, entries: int) -> list[Tensor]:
    """Rows with something to solve, by size, in groups whose systems have so many entries together (or one row)."""
    order = counts.argsort()
    sizes = counts[order].tolist()
    groups, end = [], len(sizes)
    while end and sizes[end - 1]:
        start = max(end - max(entries // sizes[end - 1] ** 2, 1), 0)
        while not sizes[start]:
            start += 1
        groups.append(order[start:end])
        end = start
    return groups


def preconditioner(precision: Tensor, cap: float = 0.3) -> Tensor:
    """Return (P + I / cap)^-1, float32: the covariance with no variance above ``cap``."""
    eye = torch.eye(len(precision), dtype=precision.dtype, device=precision.device)
    return torch.cholesky_inverse(torch.linalg.cholesky(precision + eye / cap)).float()


def complete_by_steps(
    x: Tensor, hidden: Tensor, mean: Tensor, precision: Tensor, preconditioner: Tensor, steps: int
) -> Tensor:
    """:func:`complete` by a fixed number of conjugate gradient steps: for graphs, which hold no solver.

    A covariance whose largest variances are capped (:func:`preconditioner`) is close to P_HH^-1 for compact and for
    scattered holes alike. What rounding leaves after ``steps`` is taken up by a quarter as many from a residual in
    float64, the type of ``precision``; all else is float32, as is the output.

    Shape:
        as :func:`complete`.
    """
    filled = torch.where(hidden, mean, x).float()
    narrow, free = precision.float(), hidden.float()
    for count in (steps, -(-steps // 4)):
        residual = ((filled - mean).to(precision.dtype) @ precision).float() * free
        filled = filled - conjugate_gradients(
            residual, lambda v: (v @ narrow) * free, lambda v: (v @ preconditioner) * free, count
        )
    return filled


def conjugate_gradients(
    residual: Tensor,
    matrix: Callable[[Tensor], Tensor],
    preconditioner: Callable[[Tensor], Tensor],
    steps: int,
    orthogonal: bool = False,
) -> Tensor:
    """Solve ``matrix`` z = ``residual`` (N, ...), each row for itself, by a fixed number of steps.

    Args:
        orthogonal: hold every residual orthogonal to all before it. In exact numbers it is; where the spectrum is wide,
            rounding undoes that, and the order of adding decides about visible digits.
    """
    inner = tuple(range(1, residual.ndim))
    better = preconditioner(residual)
    direction, found = better, torch.zeros_like(residual)
    energy = (residual * better).sum(inner, keepdim=True)
    before = []
    for _ in range(steps):
        image = matrix(direction)
        length = energy / (direction * image).sum(inner, keepdim=True).clamp(min=_TINY)
        if orthogonal:
            before.append((residual, better / energy.clamp(min=_TINY)))
        found, residual = found + length * direction, residual - length * image
        for earlier, dual in before:
            residual = residual - (residual * dual).sum(inner, keepdim=True) * earlier
        better = preconditioner(residual)
        last, energy = energy, (residual * better).sum(inner, keepdim=True)
        direction = better + energy / last.clamp(min=_TINY) * direction
    return found


def triangle(matrix: Tensor) -> Tensor:
    """The lower triangle of a symmetric matrix, row by row: half of the numbers.

    >>> triangle(torch.tensor([[1.0, 2.0], [2.0, 3.0]])).tolist()
    [1.0, 2.0, 3.0]
    """
    rows, columns = torch.tril_indices(*matrix.shape)
    return matrix[rows, columns]


def symmetric(triangle: Tensor) -> Tensor:
    """The symmetric matrix of which :func:`triangle` keeps half.

    >>> symmetric(torch.tensor([1.0, 2.0, 3.0])).tolist()
    [[1.0, 2.0], [2.0, 3.0]]
    """
    size = int((2 * len(triangle) + 0.25) ** 0.5)
    rows, columns = torch.tril_indices(size, size)
    matrix = triangle.new_zeros(size, size)
    matrix[rows, columns] = triangle
    matrix[columns, rows] = triangle
    return matrix
