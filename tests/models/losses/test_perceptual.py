import contextlib
import io
import warnings
from pathlib import Path

import cv2
import lpips
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from ofhkit.errors import OfhkitError
from ofhkit.models.losses import LPIPSLoss
from ofhkit.models.losses.perceptual import _network, lpips_maps, pool_lpips
from ofhkit.runtime.files import asset

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture(scope="module")
def astronaut():
    """128x128 crop of a public-domain portrait (NASA), float in [0, 1]."""
    image = cv2.cvtColor(cv2.imread(str(DATA / "astronaut_crop.png")), cv2.COLOR_BGR2RGB)
    return torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255


def blurred(image):
    array = image[0].permute(1, 2, 0).numpy() * 255
    return torch.from_numpy(cv2.GaussianBlur(array, (0, 0), 2)).permute(2, 0, 1)[None] / 255


def score(sr, hr, mask=None):
    return pool_lpips(lpips_maps(sr, hr), hr, mask)


def test_golden_values_of_the_genuine_package(astronaut):
    assert score(astronaut, astronaut.flip(-1)).item() == pytest.approx(0.357172, abs=1e-5)
    assert score(astronaut, blurred(astronaut)).item() == pytest.approx(0.465308, abs=1e-5)


def test_agrees_with_the_genuine_forward(astronaut):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        genuine = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
        spatial = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False, spatial=True)
    weights = load_file(asset("lpips_alex_features.safetensors"))
    for network in (genuine, spatial):
        state = {k: weights.get("features." + k.split(".", 1)[1], v) for k, v in network.net.state_dict().items()}
        assert sum(not torch.equal(v, network.net.state_dict()[k]) for k, v in state.items()) == len(weights) == 10
        network.net.load_state_dict(state)
    sr = torch.cat((astronaut.flip(-1), blurred(astronaut), torch.rand(1, 3, 128, 128)))
    hr = astronaut.expand(3, -1, -1, -1)
    mask = torch.zeros(3, 1, 16, 16)
    mask[:, :, 3:9, 5:13] = 1
    with torch.no_grad():
        assert (score(sr, hr) - genuine(sr, hr, normalize=True).flatten()).abs().max() < 1e-6
        expected = spatial(sr, hr, normalize=True)[:, 0, 24:72, 40:104].mean((1, 2))
        assert (score(sr, hr, mask) - expected).abs().max() < 1e-6
    assert torch.isnan(score(sr, hr, mask * 0)).all()


def test_agrees_with_the_formula_in_float64(astronaut):
    """Equation 1 written out with the shipped features and the wheel's heads: no line of the package's code."""
    weights = {k: v.double() for k, v in load_file(asset("lpips_alex_features.safetensors")).items()}
    heads = torch.load(Path(lpips.__file__).parent / "weights/v0.1/alex.pth", map_location="cpu", weights_only=True)

    def layers(x):
        mean, std = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
        x = (2 * x.double() - 1 - mean[:, None, None]) / std[:, None, None]
        for number, stride, padding, pool in (
            (0, 4, 2, False),
            (3, 1, 2, True),
            (6, 1, 1, True),
            (8, 1, 1, False),
            (10, 1, 1, False),
        ):
            x = F.max_pool2d(x, 3, 2) if pool else x
            x = F.relu(
                F.conv2d(x, weights[f"features.{number}.weight"], weights[f"features.{number}.bias"], stride, padding)
            )
            yield x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)

    pairs = zip(layers(astronaut), layers(astronaut.flip(-1)))
    expected = sum(
        ((a - b).square() * heads[f"lin{i}.model.1.weight"].double()).sum(1).mean() for i, (a, b) in enumerate(pairs)
    )
    assert score(astronaut, astronaut.flip(-1)).item() == pytest.approx(expected.item(), abs=1e-6)


def test_loss_gives_gradients_to_the_hallucinated_face_only(astronaut):
    loss = LPIPSLoss(weight=0.5)
    assert loss.needs() == ["sr", "hr"]
    assert not list(loss.parameters())
    assert not loss.state_dict()
    sr, hr = blurred(astronaut).requires_grad_(), astronaut.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(sr, hr)
    value.backward()
    assert value.item() == pytest.approx(0.465308, abs=1e-5)
    assert sr.grad.abs().max() > 0
    assert hr.grad is None


def test_making_the_network_is_silent_and_leaves_the_random_state_alone():
    _network.cache_clear()
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    with contextlib.redirect_stdout(io.StringIO()) as out, warnings.catch_warnings():
        warnings.simplefilter("error")
        with torch.inference_mode():
            _network(torch.device("cpu"))
    assert torch.equal(torch.rand(1), expected)
    assert out.getvalue() == ""
    sr = torch.rand(1, 3, 32, 32, requires_grad=True)
    score(sr, torch.rand(1, 3, 32, 32)).sum().backward()
    assert np.isfinite(sr.grad.numpy()).all()


def test_small_faces_are_refused():
    with pytest.raises(OfhkitError, match="at least 32"):
        lpips_maps(torch.rand(1, 3, 31, 64), torch.rand(1, 3, 31, 64))
