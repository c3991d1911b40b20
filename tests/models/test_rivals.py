"""SPARNet and FCSR-GAN's two networks: weights and products against the papers' layers, counted by hand."""

import copy
from itertools import pairwise

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from ofhkit.errors import OfhkitError
from ofhkit.models.inpainters.partial_conv import PartialConv, PartialConvInpainter
from ofhkit.models.losses import HeatmapLoss
from ofhkit.models.upsamplers import FSRNet, SPARNet
from ofhkit.registry import LOSSES


def numbers(network):
    return sum(p.numel() for p in network.parameters())


def gmacs(network, *inputs):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(*inputs)
    return counter.get_total_flops() / 2e9


class Count:
    """Weights (biases and norms included) and products of a network that is written down layer by layer."""

    def __init__(self):
        self.weights = self.products = 0

    def conv(self, i, o, side, k=3, bias=False, norm=False):
        self.weights += i * o * k * k + o * bias + 2 * o * norm
        self.products += i * o * k * k * side * side

    def hourglass(self, channels, side, depth, width=64):
        for level in range(depth):
            i = width if level else channels
            self.conv(i, width, side, norm=True)  # beside
            self.conv(i, width, side // 2, norm=True)  # down
            self.conv(width, width, side, norm=True)  # up
            side //= 2
        self.conv(width, width, side, norm=True)  # in the waist

    def unit(self, i, o, side, scale="", maps=None):
        """A face attention unit whose output has this side."""
        before = 2 * side if scale == "down" else side
        if scale or i != o:
            self.conv(i, o, side, bias=True)
        self.weights += 2 * i  # norm
        self.conv(i, o, before, norm=True)
        self.conv(o, o, side, norm=True)
        self.hourglass(o, side, (side // 4).bit_length() - 1)
        self.conv(64, maps or o, side, bias=True)


def sparnet(blocks, maps):
    c = Count()
    c.conv(3, 32, 128, bias=True)
    for i, o, side in ((32, 64, 64), (64, 128, 32), (128, 128, 16)):
        c.unit(i, o, side, "down", maps)
    for _ in range(blocks):
        c.unit(128, 128, 16, "", maps)
    for i, o, side in ((128, 128, 32), (128, 64, 64), (64, 32, 128)):
        c.unit(i, o, side, "up", maps)
    c.conv(32, 3, 128, bias=True)
    return c


@pytest.mark.parametrize(
    ("blocks", "maps", "published"), [(1, None, (5.24, 6.88)), (10, 1, (10.52, 7.13))], ids=["light", "paper"]
)
def test_sparnet_has_the_published_weights_and_products(blocks, maps, published):
    network, c = SPARNet(num_blocks=blocks, maps_of_channels=maps is None), sparnet(blocks, maps)
    assert numbers(network) == c.weights
    assert gmacs(network, torch.rand(1, 3, 16, 16)) == pytest.approx(c.products / 1e9)
    assert (round(c.weights / 1e6, 2), round(c.products / 1e9, 2)) == published


def test_fsrnets_layers_are_the_codes():
    c, network = Count(), FSRNet()
    for side, count in ((128, 6), (64, 24), (128, 6)):  # coarse, encoder, decoder
        for _ in range(count):
            c.conv(64, 64, side, bias=True)
    for i, o, side, k, bias in ((3, 64, 128, 3, 0), (64, 3, 128, 3, 1), (3, 64, 64, 3, 0), (64, 64, 64, 3, 1)):
        c.conv(i, o, side, k, bias, norm=not bias)
    c.conv(64 + 68 + 16, 64, 64, norm=True)
    c.weights += 2 * 64  # the norm behind x2
    c.conv(64, 3, 128, bias=True)
    c.conv(3, 64, 64, 7, norm=True)
    c.conv(64, 256, 64, norm=True)
    for _ in range(6):
        c.conv(256, 256, 64, bias=True)
    sides = [side for n in (64, 32, 16, 8) for side in (n, n // 2, n // 2)] + [4]
    for side in 2 * sides:  # both hourglasses
        for _ in range(4):
            for i, o, k in ((256, 128, 1), (128, 128, 3), (128, 256, 1)):
                c.conv(i, o, side, k, bias=True)
                c.weights += 2 * i
    for i, o in ((256, 128), (128, 68), (128, 16)):
        c.conv(i, o, 64, 1, bias=True)
    assert numbers(network) == c.weights
    assert gmacs(network, torch.rand(1, 3, 16, 16)) == pytest.approx(c.products / 1e9)


def test_what_fsrnet_makes_on_its_way_is_there_while_it_trains_only():
    network, lr = FSRNet(4, 8, 1, 1), torch.rand(2, 3, 16, 16)
    network.eval()(lr)
    assert network.side == {}
    network.train()(lr)
    assert {k: tuple(v.shape[1:]) for k, v in network.side.items()} == {
        "coarse": (3, 128, 128), "heatmaps": (68, 64, 64), "parsing_logits": (16, 128, 128),
    }  # fmt: skip
    assert copy.deepcopy(network).side == {}
    batch = {"hr": torch.rand(2, 3, 128, 128), "landmarks": torch.full((2, 68, 2), 60.0)} | network.side
    batch["parsing"] = torch.zeros(2, 128, 128, dtype=torch.long)
    for name in ("CoarseLoss", "HeatmapLoss", "ParsingLoss"):
        LOSSES.build(dict(type=name)).evaluate(batch).backward(retain_graph=True)
    assert all(p.grad is not None for part in (network.coarse, network.prior) for p in part.parameters())


def test_a_heat_map_is_a_gaussian_around_its_point():
    points = torch.rand(1, 68, 2) * 127
    y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    squares = (x - points[0, :, :1, None] / 2) ** 2 + (y - points[0, :, 1:, None] / 2) ** 2
    hr = torch.zeros(1, 3, 128, 128)
    assert HeatmapLoss()(torch.exp(-squares / 2)[None], points, hr) < 1e-12
    assert HeatmapLoss()(torch.zeros(1, 68, 64, 64), points, hr) > 1e-4


def test_a_partial_convolution_against_its_definition():
    torch.manual_seed(0)
    layer, x = PartialConv(2, 3, bias=True), torch.rand(1, 2, 6, 6)
    torch.nn.init.uniform_(layer.bias)
    known = torch.zeros(1, 1, 6, 6)
    known[..., 1:3, 2] = 1
    y, after = layer(x, known)
    for row in range(6):
        for column in range(6):
            window = [(i, j) for i in range(row - 1, row + 2) for j in range(column - 1, column + 2)]
            seen = [(i, j) for i, j in window if 0 <= i < 6 and 0 <= j < 6 and known[0, 0, i, j]]
            assert after[0, 0, row, column] == bool(seen)
            weight = layer.conv.weight
            total = sum(weight[:, :, i - row + 1, j - column + 1] @ x[0, :, i, j] for i, j in seen)
            expected = total * 9 / len(seen) + layer.bias[:, 0, 0] if seen else torch.zeros(3)
            torch.testing.assert_close(y[0, :, row, column], expected)


def test_the_completion_does_not_see_the_hole_and_has_its_layers():
    network = PartialConvInpainter().eval()
    widths, kernels, c = (3, 64, 128, 256, 512), (7, 5, 5, 3), Count()
    for level, (i, o) in enumerate(pairwise(widths)):
        c.conv(i, o, 8 >> level, kernels[level], norm=level > 0)
        c.conv(i + o, i, 16 >> level, bias=level == 0, norm=level > 0)
    assert numbers(network) == c.weights
    lr, mask = torch.rand(2, 3, 16, 16), torch.zeros(2, 1, 16, 16)
    mask[..., 4:10, 5:12] = 1
    with torch.no_grad():
        torch.testing.assert_close(network(lr, mask), network(lr * (1 - mask) + 0.7 * mask, mask))


@pytest.mark.parametrize("network", [SPARNet(channels=(4, 4, 4), width=4), FSRNet(4, 8, 1, 1)])
def test_sides_that_do_not_halve_are_refused(network):
    with pytest.raises(OfhkitError, match="multiples of"):
        network(torch.rand(1, 3, 10, 10))
