"""pytest tests/benchmarks/test_ops_benchmark.py --benchmark-only"""

import pytest
import torch

from benchmarks import inference, operators, training
from ofhkit.models.upsamplers.residual import ResidualUpsampler

CONVOLUTIONS = ["plain", "phase"]


@pytest.mark.benchmark(group="nearest x2 + 3x3 convolution, forward and backward, 4 x 64x32x32")
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution(benchmark, name):
    x = torch.randn(4, 64, 32, 32).contiguous(memory_format=torch.channels_last).requires_grad_()
    weight = torch.randn(64, 64, 3, 3, requires_grad=True)
    benchmark(operators.convolutions(x, weight, False)[name])


@pytest.mark.benchmark(group="nearest x2 + BatchNorm + ReLU, forward and backward, 4 x 64x32x32")
@pytest.mark.parametrize("name", ["plain", "before the x2", "before the x2, which the next convolution makes"])
def test_normalisation(benchmark, name):
    x = torch.randn(4, 64, 32, 32).contiguous(memory_format=torch.channels_last).requires_grad_()
    benchmark(operators.normalisations(x, False)[name])


@pytest.mark.benchmark(group="upsampler 64/64/64, inference, batch 4")
@pytest.mark.parametrize(
    "name", ["eager", "eager channels_last", "fused float32", "ONNX Runtime fp32", "OpenVINO fp32"]
)
def test_inference(benchmark, name):
    network = inference.randomise(ResidualUpsampler((64, 64, 64)))
    calls = inference.build(network, torch.rand(4, 3, 16, 16), False, "float32")
    if name not in calls:
        pytest.skip("not installed")
    benchmark(calls[name])


@pytest.mark.benchmark(group="training step, upsampler 64/64/64, batch 4")
@pytest.mark.parametrize("name", ["naive", "one forward", "one forward, channels_last", "ofhkit"])
def test_training_step(benchmark, name):
    step = training.Step((64, 64, 64), 4, torch.device("cpu"), **training.VARIANTS[name])
    benchmark.pedantic(step, rounds=3, warmup_rounds=1)
