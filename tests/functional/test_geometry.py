import numpy as np
import pytest
import torch

from ofhkit.errors import OfhkitError
from ofhkit.functional.geometry import iou, nrmse


def looped_iou(pred, target, num_classes, ignore=None, inside=None):
    """Set arithmetic, image by image and class by class."""
    scores = []
    for p, t, where in zip(pred, target, inside if inside is not None else [None] * len(pred)):
        pixels = {(r, c) for r in range(p.shape[0]) for c in range(p.shape[1]) if where is None or where[0, r, c]}
        ratios = []
        for k in range(num_classes):
            a, b = ({x for x in pixels if m[x] == k} for m in (p.numpy(), t.numpy()))
            if k != ignore and a | b:
                ratios.append(len(a & b) / len(a | b))
        scores.append(np.mean(ratios) if ratios else np.nan)
    return np.array(scores)


@pytest.mark.parametrize("ignore", [None, 0, 3])
def test_iou_equals_set_arithmetic(ignore):
    g = torch.Generator().manual_seed(0)
    target = torch.randint(0, 5, (4, 9, 7), generator=g)
    pred = torch.where(
        torch.rand(target.shape, generator=g) < 0.6, target, torch.randint(0, 5, target.shape, generator=g)
    )
    target[0][target[0] == 2] = 1  # a class that only the prediction has
    pred[1], target[1] = 3, 3
    mask = (torch.rand(4, 1, 9, 7, generator=g) < 0.4).float()
    mask[2] = 0
    np.testing.assert_allclose(iou(pred, target, 6, ignore), looped_iou(pred, target, 6, ignore), atol=1e-6)
    expected = looped_iou(pred, target, 6, ignore, mask.numpy())
    np.testing.assert_allclose(iou(pred.byte(), target.byte(), 6, ignore, mask), expected, atol=1e-6)


def test_iou_refuses_foreign_labels_and_shapes():
    labels = torch.zeros(1, 4, 4, dtype=torch.long)
    with pytest.raises(OfhkitError, match=r"outside 0\.\.2"):
        iou(labels + 3, labels, 3)
    with pytest.raises(OfhkitError, match=r"outside 0\.\.2"):
        iou(labels, labels - 1, 3)
    with pytest.raises(OfhkitError, match="equal"):
        iou(labels[:, :2], labels, 3)


@pytest.mark.parametrize("normaliser", ["outer_eyes", "pupils", "bbox"])
def test_nrmse_equals_plain_loops(normaliser):
    rng = np.random.default_rng(0)
    pred, target = rng.uniform(0, 128, (2, 3, 68, 2))
    expected = []
    for p, t in zip(pred, target):
        size = {
            "outer_eyes": np.hypot(*(t[36] - t[45])),
            "pupils": np.hypot(*(t[36:42].mean(0) - t[42:48].mean(0))),
            "bbox": np.hypot(np.ptp(t[:, 0]), np.ptp(t[:, 1])),
        }[normaliser]
        expected.append(100 * np.mean([np.hypot(*(a - b)) for a, b in zip(p, t)]) / size)
    np.testing.assert_allclose(nrmse(torch.tensor(pred), torch.tensor(target), normaliser), expected, rtol=1e-12)


def test_nrmse_of_selected_points():
    target = torch.rand(2, 68, 2) * 128
    pred = target.clone()
    pred[:, 30] += torch.tensor([0.0, 7.0])
    chosen = torch.zeros(2, 68, dtype=torch.bool)
    chosen[0, 29:31] = True
    score = nrmse(pred, target, selected=chosen)
    assert score[0].item() == pytest.approx(350 / (target[0, 36] - target[0, 45]).norm().item(), rel=1e-5)
    assert torch.isnan(score[1])


def test_nrmse_refuses_typing_errors():
    points = torch.rand(1, 68, 2)
    with pytest.raises(OfhkitError, match="did you mean 'pupils'"):
        nrmse(points, points, "pupil")
    with pytest.raises(OfhkitError, match="equal"):
        nrmse(points[:, :5], points[:, :5])
