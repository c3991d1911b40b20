"""Counter-based randomness: a number is a pure function of its keys, the same on every device, rank and worker.

torch's generators differ between CPU and CUDA and depend on what was drawn before; an integer hash does neither.
The mixing function is Wellons' ``lowbias32`` (public domain), applied once per key.
"""

import torch
from torch import Tensor

_MASK = 0xFFFFFFFF


def _mix(x: Tensor) -> Tensor:
    x = (x ^ (x >> 16)) * 0x7FEB352D & _MASK
    x = (x ^ (x >> 15)) * 0x846CA68B & _MASK
    return x ^ (x >> 16)


def hash_uint32(seed: int, keys: Tensor, stream: int = 0) -> Tensor:
    """Hash ``(seed, stream, key)`` to 32 uniform bits.

    Args:
        seed: any non-negative integer.
        keys: (N,) int64, non-negative; for example image indices or sample numbers.
        stream: tells independent draws for one key apart (flip, height, column, …).

    Returns:
        (N,) int64 in [0, 2**32), on the device of ``keys``.

    >>> hash_uint32(0, torch.tensor([1, 2])).tolist() == hash_uint32(0, torch.tensor([1, 2])).tolist()
    True
    """
    h = torch.full_like(keys, seed & _MASK)
    h = _mix(h ^ (seed >> 32))
    h = _mix(h + stream + 0x9E3779B9 & _MASK)
    h = _mix(h ^ (keys & _MASK))
    return _mix(h + (keys >> 32) & _MASK)


def hash_integers(high: int | Tensor, seed: int, keys: Tensor, stream: int = 0) -> Tensor:
    """Draw integers uniform in [0, high); ``high`` may be a tensor (N,) of positive integers below 2**31.

    >>> bool((hash_integers(6, 0, torch.arange(1000)) < 6).all())
    True
    """
    return hash_uint32(seed, keys, stream) * high >> 32
