"""LPIPS: distance of two faces as a network sees them, as a loss and as what the metric of that name measures.

Reference: R. Zhang, P. Isola, A. A. Efros, E. Shechtman, O. Wang, "The unreasonable effectiveness of deep features as
a perceptual metric", CVPR 2018, Equation 1; version 0.1, AlexNet. Code and heads are those of the ``lpips`` package;
the backbone's features ship with this one, because ``lpips`` would fetch them from the net.

Differs from the paper: only by values inside and outside a hole, which are pooled from the enlarged maps.
"""

import warnings
from functools import lru_cache

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from ofhkit.errors import OfhkitError
from ofhkit.functional.image_quality import enlarge_mask
from ofhkit.functional.precision import no_autocast
from ofhkit.models.losses.terms import LossTerm
from ofhkit.registry import LOSSES
from ofhkit.runtime.files import asset

__all__ = ["LPIPSLoss", "alexnet_features", "lpips_maps", "pool_lpips"]

_SMALLEST = 32  # AlexNet's last pooling has nothing left to pool below


@lru_cache(maxsize=4)
def _network(device: torch.device) -> nn.Module:
    """The official network, frozen, once a device; making it neither prints nor draws from the random generators."""
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]), torch.inference_mode(False):
        warnings.simplefilter("ignore")
        import lpips

        network = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    weights = load_file(asset("lpips_alex_features.safetensors"))
    for stage in (getattr(network.net, f"slice{i}") for i in range(1, 6)):
        for name, layer in stage.named_children():  # children keep torchvision's numbers
            own = {key: weights.pop(f"features.{name}.{key}") for key in layer.state_dict()}
            layer.load_state_dict(own)
    if weights:
        raise OfhkitError(f"lpips_alex_features.safetensors holds tensors that lpips does not use: {sorted(weights)}")
    return network.requires_grad_(False).eval().to(device)


def lpips_maps(sr: Tensor, hr: Tensor) -> list[Tensor]:
    """Weighted squared feature differences, one map a layer; gradients flow into ``sr`` only.

    Shape:
        sr, hr (N, 3, H, W) RGB in [0, 1], H, W >= 32. Output five maps (N, 1, h, w).

    Raises:
        OfhkitError: images smaller than 32 pixels.
    """
    if min(hr.shape[-2:]) < _SMALLEST:
        raise OfhkitError(f"LPIPS needs faces of at least {_SMALLEST} pixels a side, got {tuple(hr.shape[-2:])}")
    network = _network(hr.device)
    with no_autocast(hr.device):
        ours = _features(network, sr)
        with torch.no_grad():
            theirs = _features(network, hr)
        return [head((a - b).square()) for head, a, b in zip(network.lins, ours, theirs)]


@torch.no_grad()
def alexnet_features(images: Tensor) -> Tensor:
    """What LPIPS's last layer sees, averaged over places: (N, 3, H, W) in [0, 1], H, W >= 32 -> (N, 256)."""
    network = _network(images.device)
    with no_autocast(images.device):
        return network.net(network.scaling_layer(2 * images.float() - 1))[-1].mean((2, 3))


def _features(network: nn.Module, images: Tensor) -> list[Tensor]:
    import lpips

    layers = network.net(network.scaling_layer(2 * images.float() - 1))
    return [lpips.normalize_tensor(layer) for layer in layers]


def pool_lpips(maps: list[Tensor], like: Tensor, mask: Tensor | None = None) -> Tensor:
    """LPIPS from its maps: their means summed over layers; or, with a mask, of the region where it is 1.

    For a region the maps are enlarged to the faces' size (bilinear, as in the package's ``spatial=True``) first; an
    image whose mask is empty gives NaN.

    Shape:
        maps of faces ``like`` (N, 3, H, W). mask (N, 1, h, w) in {0, 1}, H, W multiples of h, w. Output (N,).
    """
    if mask is None:
        return torch.stack([m.mean((1, 2, 3)) for m in maps]).sum(0)
    region = enlarge_mask(mask, like)
    total = sum(F.interpolate(m, size=region.shape[-2:], mode="bilinear", align_corners=False) for m in maps)
    return (total * region).sum((1, 2, 3)) / region.sum((1, 2, 3))


@LOSSES.register_module()
class LPIPSLoss(LossTerm):
    """Mean LPIPS of the batch. Its network is frozen and no part of the checkpoint.

    Args:
        weight: factor in the total loss.

    Shape:
        sr, hr (N, 3, H, W) RGB in [0, 1].
    """

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        return pool_lpips(lpips_maps(sr, hr), hr).mean()
