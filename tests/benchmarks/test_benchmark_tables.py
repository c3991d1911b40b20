"""The benchmark's own arithmetic and its plain reference; nothing here is timed against a limit."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import data, inference, metrics, operators, summary, timing, training
from benchmarks.plain import PlainUpsampler, multiplications
from ofhkit.errors import OfhkitError
from ofhkit.models.upsamplers.residual import ResidualUpsampler

CPU = torch.device("cpu")


@pytest.mark.parametrize("channels", [(8, 8, 6), (4, 4)])
def test_the_upsampler_is_the_papers_order_of_layers_in_training_and_evaluation(channels):
    """The same weights run as printed (block, nearest x2, BN, ReLU) give the same face."""
    network = inference.randomise(ResidualUpsampler(channels, (4, 4))).double()
    plain = PlainUpsampler(copy.deepcopy(network))
    x = torch.rand(2, 3, 5, 7, dtype=torch.float64)
    for mode in (True, False):
        network.train(mode), plain.train(mode)
        assert (network(x) - plain(x)).abs().max() < 1e-12
    for key, value in network.state_dict().items():
        assert torch.allclose(plain.network.state_dict()[key].double(), value.double(), atol=1e-12), key


def test_multiplications_count_what_a_hook_counts():
    network = ResidualUpsampler((8, 6, 6), (4, 5))
    counted = 0

    def count(module, inputs, output):
        nonlocal counted
        counted += module.weight.numel() * output.shape[2] * output.shape[3]

    handles = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    with torch.no_grad():  # in training the head does not call its layers
        network(torch.rand(1, 3, 16, 16))
    for handle in handles:
        handle.remove()
    skip = network.blocks[1].skip.weight.numel() * 3 * 16 * 16  # counted on the small map, made large in the paper
    assert multiplications(network)["direct"] == pytest.approx((counted + skip) / 1e9)
    assert multiplications(network)["nine"] < multiplications(network)["phases"] < multiplications(network)["direct"]


def test_a_table_is_written_as_markdown_and_json(tmp_path, capsys):
    table = timing.Table("T", [{"a": 1, "b": 0.12345}, {"a": 2}], {"peak": 3.0}, {"torch": "x"})
    timing.write("name", [table], tmp_path)
    assert "| 1 | 0.1235 |" in (tmp_path / "name.md").read_text()
    assert json.loads((tmp_path / "name.json").read_text())[0]["rows"][1] == {"a": 2}
    assert "## T" in capsys.readouterr().out


def test_every_variant_of_inference_gives_the_same_faces():
    network = inference.randomise(ResidualUpsampler((4, 4, 4), (4, 4)))
    x = torch.rand(2, 3, 16, 16)
    calls = inference.build(network, x, compiled=False, precision="float32")
    assert {"eager", "fused float32"} <= set(calls)
    for name, call in calls.items():
        assert torch.allclose(call(), calls["eager"](), atol=1e-5), name


def double(name):
    step = training.Step((5, 4, 4), 5, CPU, **training.VARIANTS[name])
    for network in (step.upsampler, step.discriminator, step.prior):
        network.double()
    torch.nn.init.normal_(step.prior.fc2.weight, std=0.01)  # a fresh prior says the same of every face
    step.lr, step.hr = step.lr.double(), step.hr.double()
    if step.known is not None:
        step.known = step.prior(step.hr)
    return step


@pytest.mark.slow
def test_the_toolkits_training_step_is_the_plain_one_in_float64():
    plain, ours = double("one forward"), double("ofhkit")
    for _ in range(4):
        assert torch.allclose(plain(), ours(), rtol=1e-12, atol=0)
        pairs = zip(plain.upsampler.named_parameters(), ours.upsampler.parameters(), strict=True)
        assert all(torch.allclose(p.grad, q.grad, rtol=1e-7, atol=1e-12) for (_, p), q in pairs)
    for a, b in ((plain.upsampler.network, ours.upsampler), (plain.discriminator, ours.discriminator)):
        for (key, value), other in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
            assert torch.allclose(value.double(), other.double(), rtol=1e-6, atol=1e-9), key


@pytest.mark.slow
def test_naive_and_lean_steps_start_from_the_same_loss():
    losses = [training.Step((4, 4, 4), 2, CPU, **training.VARIANTS[name])().item() for name in training.VARIANTS
              if name in training.choose(CPU, False, "float32")]  # fmt: skip
    assert losses == pytest.approx([losses[0]] * len(losses), rel=2e-2)


def test_the_readmes_speeds_are_those_of_the_results():
    root = Path(__file__).parents[2]
    assert summary.speed_table(root / "docs/results") in (root / "README.md").read_text(encoding="utf-8")


def test_a_missing_result_names_its_command(tmp_path):
    with pytest.raises(OfhkitError, match=r"is not there: python tools/benchmark.py inference$"):
        summary.speed_table(tmp_path)


@pytest.mark.slow
def test_memory_is_that_of_a_process_of_its_own():
    peak = training.peak_memory((4, 4, 4), 2, CPU, "ofhkit", keep=True)
    assert 1 < peak["tensors MB"] < 200
    assert peak.get("above the imports", 0) <= peak.get("process MB", 0)


def test_operators_run_forward_and_backward():
    x = torch.rand(2, 4, 3, 3, requires_grad=True)
    weight = torch.rand(5, 4, 3, 3, requires_grad=True)
    kinds = operators.convolutions(x, weight, False), operators.normalisations(x, False), operators.chains(x, 5, 3)
    for calls in kinds:
        gradients = [call() for call in calls.values()]
        assert all(torch.isfinite(g).all() for pair in gradients for g in pair)


def test_the_scores_agree_with_the_numpy_code():
    (table,) = metrics.run(CPU, (2,), 1, False)
    apart = {row["variant"]: (row["PSNR apart"], row["SSIM apart"]) for row in table.rows}
    assert max(apart["ofhkit, float64"]) < 1e-12
    assert apart["ofhkit, float32"][1] < 1e-6
    assert apart["ofhkit, float32"][1] > 0


def test_the_jpeg_pipeline_makes_the_same_batch_and_shrinking_the_same_bytes():
    hr = torch.from_numpy(metrics.pictures(4)[0]).permute(0, 3, 1, 2).contiguous()
    jpegs = data.JpegFaces([data.encode(face) for face in hr.permute(0, 2, 3, 1).numpy()])
    item = jpegs[5]
    assert item["hr"].shape == (3, 128, 128)
    assert torch.equal(item["lr"], item["lr_gt"] * (1 - item["mask"]))
    assert len(jpegs) == data.EPOCH
    assert data.differing_bytes(hr) == 0


def test_uint8_downsampling_gives_pillows_bytes():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (12, 128, 128, 3), dtype=np.uint8)
    hard = np.where(rng.random((4, 128, 128, 3)) < 0.5, 0, 255).astype(np.uint8)  # overshoots: clipping between passes
    odd = rng.integers(0, 256, (3, 97, 75, 3), dtype=np.uint8)
    for images in (noise, hard, odd):
        expected = np.stack([Image.fromarray(i).resize((16, 16), Image.Resampling.BICUBIC) for i in images])
        ours = data.downsample_cubic_uint8(torch.from_numpy(images).permute(0, 3, 1, 2), chunk=5)
        np.testing.assert_array_equal(ours.permute(0, 2, 3, 1).numpy(), expected)
