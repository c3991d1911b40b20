"""Fused networks against the plain ones in float64, with random statistics, negative scales and large weights."""

import copy
import warnings

import pytest
import torch
from torch import nn

from ofhkit.errors import OfhkitError
from ofhkit.models.inpainters.encoder_decoder import EncoderDecoder
from ofhkit.models.upsamplers.residual import ResidualUpsampler
from ofhkit.models.upsamplers.urdgn import URDGN
from ofhkit.ops import FusedNetwork, fuse, fusion, set_implementation


def randomise(model, seed=0):
    """Give every layer weights that keep the signal's size, and every normalisation a history."""
    torch.manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=(2 / module.weight[0].numel()) ** 0.5)
            if module.bias is not None:
                nn.init.normal_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 0.7, 0.6)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return model.eval()


NETWORKS = {
    "upsampler with projections": lambda: ResidualUpsampler((16, 8, 12), (8, 4)),
    "upsampler with identity skips": lambda: ResidualUpsampler((8, 8, 8), (8, 8)),
    "upsampler, first skip identity": lambda: ResidualUpsampler((3, 3), (8, 4)),
    "URDGN": lambda: URDGN((4, 8, 8, 12)),
    "inpainter": EncoderDecoder,
    "inpainter with mask": lambda: EncoderDecoder(mask_channel=True),
}


def arguments(network, size=(16, 16), n=3, dtype=torch.float32):
    lr, mask = torch.rand(n, 3, *size, dtype=dtype), (torch.rand(n, 1, *size) > 0.7).to(dtype)
    return (lr,) if hasattr(network, "scale") else (lr, mask)


class Pipeline(nn.Module):
    def __init__(self, inpainter, upsampler):
        super().__init__()
        self.inpainter = inpainter
        self.upsampler = upsampler

    def forward(self, lr, mask):
        return self.upsampler(lr * (1 - mask) + mask * self.inpainter(lr, mask))


@pytest.mark.parametrize("size", [(16, 16), (4, 8), (12, 20)])
@pytest.mark.parametrize("name", NETWORKS)
def test_equals_the_plain_network(name, size):
    network = randomise(NETWORKS[name]())
    fast = fuse(network)
    assert isinstance(fast, FusedNetwork)
    inputs = arguments(network, size)
    exact = network.double()(*(t.double() for t in inputs))
    assert exact.std() > 0.02
    assert (fast(*inputs) - exact).abs().max() < 2e-6 * max(1, exact.abs().max())


def test_the_trained_network_is_left_as_it_was():
    network = randomise(ResidualUpsampler((8, 8), (8, 4))).train()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    fuse(network)
    assert network.training
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())


def test_a_pipeline_keeps_its_type_and_its_parts_attributes():
    plain = randomise(Pipeline(EncoderDecoder(mask_channel=True), ResidualUpsampler((8, 8, 8), (8, 4))))
    fast = fuse(plain)
    assert isinstance(fast, Pipeline)
    assert fast.upsampler.scale == 8
    assert fast.inpainter.mask_channel
    lr, mask = torch.rand(2, 3, 16, 16), torch.ones(2, 1, 16, 16)
    assert torch.allclose(fast(lr, mask), plain(lr, mask), atol=2e-6)


@pytest.mark.parametrize("micro_batch", [1, 2, 3, 100])
def test_micro_batches_do_not_change_values(micro_batch):
    network = randomise(ResidualUpsampler((8, 8), (8, 4)))
    x = torch.rand(7, 3, 8, 8)
    assert torch.allclose(fuse(network, micro_batch=micro_batch)(x), network(x), atol=2e-6)


def test_the_size_is_tuned_once(monkeypatch):
    monkeypatch.setattr(fusion, "_tuned", {})
    calls = []
    tune = FusedNetwork._tune
    monkeypatch.setattr(FusedNetwork, "_tune", lambda self, inputs: calls.append(1) or tune(self, inputs))
    fast = fuse(randomise(ResidualUpsampler((8, 8), (8, 4))))
    fast(torch.rand(1, 3, 8, 8))
    assert not calls
    for _ in range(3):
        fast(torch.rand(9, 3, 8, 8))
    assert len(calls) == 1
    assert set(fusion._tuned.values()) <= {1, 2, 4, 8}


def test_empty_batch():
    network = randomise(ResidualUpsampler((8, 8), (8, 4)))
    assert fuse(network)(torch.rand(0, 3, 8, 8)).shape == (0, 3, 32, 32)


def test_bfloat16_returns_float32_close_to_the_plain_network():
    network = randomise(ResidualUpsampler((8, 8), (8, 4)))
    x = torch.rand(2, 3, 8, 8)
    y = fuse(network, precision="bfloat16")(x)
    assert y.dtype == torch.float32
    assert 1e-6 < (y - network(x)).abs().max() < 5e-2


def training_steps(network, implementation, steps=3):
    """A few SGD steps; returns outputs, gradients and the final state."""
    set_implementation(network, implementation)
    results = []
    for step in range(steps):
        torch.manual_seed(step)
        inputs = arguments(network, (8, 8), n=2, dtype=torch.float64)
        y = network(*inputs)
        grads = torch.autograd.grad((y - 0.3).square().mean(), list(network.parameters()))
        with torch.no_grad():
            for parameter, grad in zip(network.parameters(), grads):
                parameter -= 0.05 * grad
        results += [y.detach(), *grads]
    return results + [t.double() for t in network.state_dict().values()]


@pytest.mark.parametrize("name", NETWORKS)
def test_training_with_the_exact_algebra_equals_training_with_the_plain_operators(name):
    plain = randomise(NETWORKS[name]()).double().train()
    phase = copy.deepcopy(plain)
    for got, want in zip(training_steps(phase, "auto"), training_steps(plain, "plain")):
        assert (got - want).abs().max() <= 1e-9 * max(1, want.abs().max())


class Wrong(nn.Module):
    scale = 1

    def forward(self, lr):
        return lr

    def fused(self):
        return nn.ReLU6() if self.training else nn.Threshold(0.5, 0.0)


def test_a_fast_form_that_differs_is_left_out_with_a_warning():
    with pytest.warns(UserWarning, match="differs from the plain one"):
        kept = fuse(Wrong())
    assert isinstance(kept, Wrong)


def test_a_network_that_yields_nan_stays_plain():
    network = ResidualUpsampler((8, 8), (8, 4))
    nn.init.constant_(network.head3.bias, float("nan"))
    with pytest.warns(UserWarning, match="differs"):
        assert isinstance(fuse(network), ResidualUpsampler)


def test_a_good_network_gives_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fuse(randomise(EncoderDecoder()))


def test_training_a_fused_network_is_refused():
    with pytest.raises(OfhkitError, match="inference only"):
        fuse(randomise(EncoderDecoder())).train()


def test_mistakes_are_named():
    network = EncoderDecoder()
    with pytest.raises(OfhkitError, match="did you mean 'bfloat16'"):
        fuse(network, precision="bfloat")
    with pytest.raises(OfhkitError, match="no network with a fast form"):
        fuse(nn.Conv2d(3, 3, 1))
    with pytest.raises(OfhkitError, match="positive number"):
        fuse(network, micro_batch=0)

    class Odd(ResidualUpsampler):
        def forward(self, picture):
            return super().forward(picture)

    with pytest.raises(OfhkitError, match="pass probe"):
        fuse(Odd((4, 4), (4, 4)))
    assert isinstance(fuse(Odd((4, 4), (4, 4)), probe=(torch.rand(1, 3, 4, 4),)), FusedNetwork)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 2e-7), (torch.bfloat16, 5e-2)])
def test_a_fused_network_computes_in_the_precision_it_is_cast_to(dtype, tolerance):
    network = randomise(ResidualUpsampler((32, 32), (32, 4)))
    fast = fuse(network).to(dtype)
    assert fast.dtype == dtype
    x = torch.rand(3, 3, 8, 8)
    y = fast(x)
    assert y.dtype == torch.float32
    assert (y - network.double()(x.double())).abs().max() < tolerance


class Named(Pipeline):
    def forward(self, lr, mask):
        return self.upsampler(lr=lr * (1 - mask) + mask * self.inpainter(lr, mask=mask))


def test_arguments_may_be_named():
    torch.manual_seed(0)
    model = Named(randomise(EncoderDecoder()), randomise(ResidualUpsampler((8, 8), (8, 4))))
    fast, inputs = fuse(model), arguments(EncoderDecoder())
    assert isinstance(fast.inpainter, FusedNetwork)
    assert isinstance(fast.upsampler, FusedNetwork)
    assert torch.allclose(fast(*inputs), model(*inputs), atol=1e-5)
    with pytest.raises(TypeError, match="missing a required argument: 'lr'"):
        fast.upsampler(picture=inputs[0])


@pytest.mark.slow
def test_an_exported_fused_network_takes_any_number_of_images():
    network = randomise(ResidualUpsampler((8, 8), (8, 4)))
    sizes = (({0: torch.export.Dim("images", min=1, max=64)},),)
    x = torch.rand(5, 3, 8, 8)
    exported = torch.export.export(fuse(network), (x[:3],), dynamic_shapes=sizes).module()
    assert torch.allclose(exported(x), network(x), atol=1e-5)
