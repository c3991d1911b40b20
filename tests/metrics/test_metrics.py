import math
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from scipy.signal import convolve2d
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import nn

from ofhkit.errors import OfhkitError
from ofhkit.functional.resample import downsample_cubic, upsample_bicubic
from ofhkit.functional.statistics import kernel_distances
from ofhkit.functional.vif import vif
from ofhkit.metrics import (
    KID,
    LPIPS,
    LRPSNR,
    NRMSE,
    PSNR,
    SSIM,
    VIF,
    Consistency,
    Identity,
    LabelIoU,
    LandmarkError,
    ParsingIoU,
    PerImageMetric,
)
from ofhkit.models.landmark_priors import FanZhou
from ofhkit.models.losses.perceptual import alexnet_features
from ofhkit.models.parsers import FaceParser
from ofhkit.registry import METRICS


def outputs(count=4, seed=0, first=0):
    """What a hallucinator hands to the metrics: faces, and holes that tell the images apart."""
    g = torch.Generator().manual_seed(seed)
    hr = nn.functional.interpolate(torch.rand(count, 3, 8, 8, generator=g), (128, 128), mode="bicubic").clamp(0, 1)
    sr = (hr + 0.1 * torch.randn(hr.shape, generator=g)).clamp(0, 1)
    lr_gt = downsample_cubic(hr).clamp(0, 1)
    mask = torch.zeros(count, 1, 16, 16)
    for i in range(count):
        mask[i, :, 4 + i : 9 + i, 3:10] = 1
    lr = lr_gt * (1 - mask)
    completed = lr + 0.5 * mask
    index = torch.arange(first, first + count)
    return {"sr": sr, "hr": hr, "lr_gt": lr_gt, "lr": lr, "mask": mask, "completed": completed, "index": index}


def run(metric, *batches):
    for batch in batches:
        metric.process(None, [batch])
    size = len({i for batch in batches for i in batch["index"].tolist()})
    return metric.evaluate(size)


def test_psnr_and_ssim_are_means_of_scikit_images_values():
    batches = outputs(3), outputs(2, seed=1, first=3)
    psnr, ssim = PSNR(), SSIM()
    means = run(psnr, *batches) | run(ssim, *batches)
    hr, sr = (np.concatenate([b[k].numpy() for b in batches]).astype(np.float64) for k in ("hr", "sr"))
    settings = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, channel_axis=0, data_range=1.0)
    for i in range(5):
        assert psnr.per_image[i]["PSNR"] == pytest.approx(peak_signal_noise_ratio(hr[i], sr[i], data_range=1), abs=1e-5)
        assert ssim.per_image[i]["SSIM"] == pytest.approx(structural_similarity(hr[i], sr[i], **settings), abs=1e-5)
    assert means["PSNR"] == pytest.approx(np.mean([v["PSNR"] for v in psnr.per_image.values()]), rel=1e-12)
    assert set(means) == {"PSNR", "PSNR_hole", "PSNR_known", "SSIM", "SSIM_hole", "SSIM_known"}
    assert all(type(v) is float for v in means.values())


@pytest.mark.slow
def test_regions_are_the_hole_and_the_rest():
    batch = outputs()
    hole = nn.functional.interpolate(batch["mask"], scale_factor=8)
    batch["sr"] = batch["hr"] * (1 - hole) + (batch["hr"] * 0.9) * hole  # wrong inside only
    psnr, ssim, lpips = PSNR(), SSIM(), LPIPS()
    assert math.isinf(run(psnr, batch)["PSNR_known"])
    means = run(ssim, batch)
    assert means["SSIM_hole"] < means["SSIM"] < means["SSIM_known"] < 1  # windows reach across the rim
    means = run(lpips, batch)
    assert means["LPIPS_known"] < means["LPIPS"] < means["LPIPS_hole"]


def test_duplicates_count_once_and_order_does_not_matter():
    first, second = outputs(3), outputs(2, seed=1, first=3)
    padding = {key: value[:1] for key, value in first.items()}
    plain, padded = PSNR(), PSNR()
    assert run(padded, second, first, padding) == pytest.approx(run(plain, first, second), rel=1e-12)
    assert padded.per_image == plain.per_image
    assert sorted(plain.per_image) == [0, 1, 2, 3, 4]


def test_a_metric_can_be_used_again():
    metric = PSNR()
    run(metric, outputs(4))
    again = run(metric, outputs(2, seed=3, first=7))
    assert sorted(metric.per_image) == [7, 8]
    assert again == run(PSNR(), outputs(2, seed=3, first=7))


def test_images_that_are_missing_are_noticed():
    metric = PSNR()
    metric.process(None, [outputs(3)])
    with pytest.raises(OfhkitError, match="3 different images of 5"):
        metric.evaluate(5)


@pytest.mark.parametrize("name", ["PSNR", "SSIM", "LPIPS", "Consistency", "VIF", "Identity"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_broken_outputs_are_refused_by_index(name, value):
    batch = outputs(3, first=40)
    batch["sr"][1, 2, 100, 7] = value
    with pytest.raises(OfhkitError, match=rf"{name}: image 41: sr holds NaN or infinity \(1 in this batch\)"):
        METRICS.build({"type": name}).process(None, [batch])


def test_no_hole_has_no_hole_value():
    batch = outputs(3)
    batch["mask"][1] = 0
    metric = PSNR()
    means = run(metric, batch)
    assert "PSNR_hole" not in metric.per_image[1]
    assert means["PSNR_hole"] == pytest.approx(
        (metric.per_image[0]["PSNR_hole"] + metric.per_image[2]["PSNR_hole"]) / 2
    )
    batch["mask"][:] = 0
    assert set(run(PSNR(), batch)) == {"PSNR", "PSNR_known"}


def test_consistency_is_that_of_the_known_pixels():
    batch = outputs()
    batch["sr"] = batch["hr"]
    means = run(Consistency(), batch)
    assert means["Consistency"] > 120  # the truth, shrunk, is the input
    batch["sr"] = (batch["hr"] * 0.5).clamp(0, 1)
    metric = Consistency()
    run(metric, batch)
    keep = (batch["mask"] == 0).expand_as(batch["lr"])
    for i in range(4):
        error = (downsample_cubic(batch["sr"])[i] - batch["lr_gt"][i])[keep[i]].square().mean()
        assert metric.per_image[i]["Consistency"] == pytest.approx(-10 * math.log10(error), abs=1e-4)


def test_lrpsnr_of_a_pipeline_and_of_an_inpainter_alone():
    batch = outputs()
    error = ((0.5 - batch["lr_gt"]) * batch["mask"]).square()
    metric = LRPSNR()
    run(metric, batch)
    alone = {k: batch[k] for k in ("lr", "mask", "lr_gt", "index")}
    with pytest.raises(OfhkitError, match="'completed' or 'lr_filled'"):
        LRPSNR().process(None, [alone])
    raw = LRPSNR()
    run(raw, {**alone, "lr_filled": torch.full_like(batch["lr"], 0.5)})
    for i in range(4):
        assert metric.per_image[i]["LRPSNR"] == pytest.approx(-10 * math.log10(error[i].mean()), abs=1e-4)
        inside = error[i].sum() / (3 * batch["mask"][i].sum())
        assert metric.per_image[i]["LRPSNR_hole"] == pytest.approx(-10 * math.log10(inside), abs=1e-4)
    assert raw.per_image == metric.per_image


class FixedPoints(nn.Module):
    """Reads "landmarks" off the picture: a regular grid, moved right by ten times the mean red."""

    def forward(self, hr):
        grid = torch.stack(torch.meshgrid(torch.linspace(8, 118, 17), torch.linspace(8, 118, 4), indexing="xy"), -1)
        moved = grid.reshape(1, 68, 2).repeat(len(hr), 1, 1).to(hr)
        moved[..., 0] += 10 * hr[:, 0].mean((1, 2))[:, None]
        return moved


def test_nrmse_reads_both_faces_with_one_network():
    batch = outputs()
    batch["hr"][:, 0], batch["sr"][:, 0] = 0.0, 0.3
    metric = NRMSE(landmark_prior=FixedPoints())
    means = run(metric, batch)
    points = FixedPoints()(batch["hr"])[0]
    size = (points[36] - points[45]).norm().item()
    for key in ("NRMSE", "NRMSE_hole", "NRMSE_known"):
        assert means[key] == pytest.approx(100 * 3 / size, rel=1e-4)  # every point moved by three pixels


def test_nrmse_splits_points_by_where_they_lie():
    class NoseMoved(FixedPoints):
        def forward(self, hr):
            points = super().forward(hr * 0)
            points[:, 20, 1] += 8 * (hr[:, 0].mean((1, 2)) > 0.25)
            return points

    batch = outputs(1)
    batch["hr"][:, 0], batch["sr"][:, 0] = 0.0, 0.3
    x, y = (NoseMoved()(batch["hr"])[0, 20] / 8).floor().long().tolist()
    batch["mask"] = torch.zeros(1, 1, 16, 16)
    batch["mask"][0, 0, y, x] = 1
    means = run(NRMSE(NoseMoved()), batch)
    assert means["NRMSE_known"] == 0
    assert means["NRMSE_hole"] == pytest.approx(68 * means["NRMSE"], rel=1e-4)


def test_nrmse_by_part_moves_with_its_own_points_only():
    class MouthMoved(FixedPoints):
        def forward(self, hr):
            points = super().forward(hr * 0)
            points[:, 48:] += 8 * (hr[:, :1, 0, 0] > 0.25)[..., None]
            return points

    batch = outputs(1)
    batch["hr"][:, 0], batch["sr"][:, 0] = 0.0, 0.3
    means = run(NRMSE(MouthMoved()), batch)
    assert means["NRMSE_eyes"] == means["NRMSE_nose"] == 0
    assert means["NRMSE_mouth"] == pytest.approx(68 / 20 * means["NRMSE"], rel=1e-4)


def test_identity_is_the_cosine_of_both_embeddings():
    class Colors(nn.Module):
        def forward(self, hr):
            return hr.mean((2, 3))

    batch = outputs()
    metric = Identity(Colors())
    run(metric, batch)
    for i in range(4):
        a, b = (batch[key][i].mean((1, 2)).numpy() for key in ("sr", "hr"))
        assert metric.per_image[i]["Identity"] == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), abs=1e-5)


def test_a_face_is_nearer_to_its_mirror_image_than_to_its_eight_by_eight_version():
    face = cv2.imread(str(Path(__file__).parents[1] / "data" / "astronaut_crop.png"))[..., ::-1].copy()
    hr = torch.from_numpy(face).permute(2, 0, 1)[None].float() / 255
    blurred = upsample_bicubic(nn.functional.interpolate(hr, (8, 8), mode="area"), 16).clamp(0, 1)
    same, mirrored, small = (
        run(Identity(), {"sr": sr, "hr": hr, "index": torch.tensor([0])})["Identity"]
        for sr in (hr, hr.flip(-1), blurred)
    )
    assert same == pytest.approx(1, abs=1e-5)
    assert mirrored > 0.95 > small


def vif_of_the_paper(hr, sr):
    """The authors' algorithm on grey values, scale by scale, with scipy."""
    kept = total = 0.0
    for scale in range(4):
        size = 2 ** (4 - scale) + 1
        at = np.arange(size) - size // 2
        window = np.exp(-(at[:, None] ** 2 + at[None] ** 2) / (2 * (size / 5) ** 2))
        window /= window.sum()

        def blur(image, window=window):
            return convolve2d(image, window, mode="valid")

        if scale:
            hr, sr = blur(hr)[::2, ::2], blur(sr)[::2, ::2]
        variance = np.maximum(blur(hr * hr) - blur(hr) ** 2, 0)
        covariance = blur(hr * sr) - blur(hr) * blur(sr)
        gain = covariance / (variance + 1e-10)
        rest = np.maximum(blur(sr * sr) - blur(sr) ** 2, 0)
        rest = np.where(gain < 0, rest, rest - gain * covariance)
        kept += np.log10(1 + np.maximum(gain, 0) ** 2 * variance / (np.maximum(rest, 1e-10) + 2)).sum()
        total += np.log10(1 + variance / 2).sum()
    return kept / total


def test_vif_is_the_papers():
    batch = outputs()
    batch["sr"][3] = batch["hr"][3].flip(-1)
    metric = VIF()
    run(metric, batch)
    for i in range(4):
        hr, sr = (255 * np.tensordot([0.299, 0.587, 0.114], batch[k][i].double().numpy(), 1) for k in ("hr", "sr"))
        assert metric.per_image[i]["VIF"] == pytest.approx(vif_of_the_paper(hr, sr), abs=1e-9)


def test_vif_of_flat_pictures_is_a_number():
    hr = torch.full((1, 3, 64, 64), 0.5)
    assert vif(hr, hr).item() == 1
    assert vif(hr + 0.1, hr).item() == 0


class Bands(nn.Module):
    """Labels by brightness of red: below .5 background, above part 1; part 2 never."""

    def forward(self, hr):
        red = hr[:, :1]
        return torch.cat((0.5 - red, red - 0.5, torch.full_like(red, -9)), 1)


def test_parsing_iou_with_and_without_background_and_by_region():
    batch = outputs(1)
    batch["hr"], batch["sr"] = torch.zeros(1, 3, 128, 128), torch.zeros(1, 3, 128, 128)
    batch["hr"][..., :64] = 1  # left half is part 1
    batch["sr"][..., :32] = 1  # half of it was lost
    batch["mask"] = torch.zeros(1, 1, 16, 16)
    batch["mask"][..., 4:8] = 1  # just the lost strip
    means = run(ParsingIoU(Bands()), batch)
    assert means["IoU_parts"] == pytest.approx(1 / 2)
    assert means["IoU"] == pytest.approx((1 / 2 + 64 / 96) / 2)
    assert means["IoU_hole"] == 0
    assert means["IoU_known"] == 1


def test_labelled_scores_for_the_pretraining_of_detector_and_parser():
    landmarks = torch.rand(2, 68, 2) * 128
    batch = {
        "index": torch.arange(2),
        "landmarks": landmarks,
        "predicted_landmarks": landmarks + torch.tensor([0.0, 5.0]),
    }
    size = (landmarks[:, 36] - landmarks[:, 45]).norm(dim=-1)
    assert run(LandmarkError(), batch)["NRMSE"] == pytest.approx((500 / size).mean().item(), rel=1e-4)
    parsing = torch.randint(0, 3, (2, 8, 8))
    logits = nn.functional.one_hot(parsing, 3).permute(0, 3, 1, 2).float()
    means = run(LabelIoU(), {"index": torch.arange(2), "parsing": parsing.byte(), "parsing_logits": logits})
    assert means == {"IoU": 1.0, "IoU_parts": 1.0}


def test_networks_are_built_when_needed_without_touching_the_random_state():
    metric = NRMSE(landmark_prior={"type": "FanZhou"})
    assert metric.detect.network is None
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    metric.process(None, [outputs(2)])
    assert torch.equal(torch.rand(1), expected)
    assert isinstance(metric.detect.network, FanZhou)
    assert not metric.detect.network.training
    parser = ParsingIoU(parser=FaceParser(channels=(4, 4)))
    assert 0 <= run(parser, outputs(2))["IoU"] <= 1


def test_default_landmarks_are_the_pretrained_networks():
    """On a real portrait: nothing against itself, two pixels of shift seen as about that, a blur as some error."""
    portrait = cv2.imread(str(Path(__file__).parents[1] / "data" / "astronaut_crop.png"))[..., ::-1].copy()
    hr = torch.from_numpy(portrait).permute(2, 0, 1)[None].float() / 255
    mask = torch.zeros(1, 1, 16, 16)

    def score(sr):
        return run(NRMSE(), {"index": torch.tensor([0]), "hr": hr, "sr": sr, "mask": mask})["NRMSE"]

    assert score(hr) == 0
    eyes = NRMSE().detect(hr)[0][[36, 45]]
    percent = 100 / (eyes[0] - eyes[1]).norm().item()
    assert 0.5 * percent < score(hr.roll(2, -1)) < 4 * percent
    assert score(upsample_bicubic(downsample_cubic(hr)).clamp(0, 1)) > 0


def test_missing_keys_are_named():
    batch = outputs(1)
    batch["mesk"] = batch.pop("mask")
    with pytest.raises(OfhkitError, match=r"PSNR needs 'mask'.*did you mean 'mesk'"):
        PSNR().process(None, [batch])


def test_works_inside_mmengines_evaluator():
    evaluator = Evaluator([METRICS.build({"type": name}) for name in ("PSNR", "SSIM", "LRPSNR", "Consistency")])
    evaluator.process(data_samples=[outputs(2)], data_batch=None)
    evaluator.process(data_samples=[outputs(1, seed=2, first=2)], data_batch=None)
    means = evaluator.evaluate(3)
    assert {"PSNR", "SSIM_hole", "LRPSNR", "Consistency"} <= set(means)


def test_kid_is_the_papers_estimate_over_all_pairs():
    x, y = np.random.default_rng(0).normal(size=(2, 7, 5))

    def kernel(a, b):
        return (a @ b / 5 + 1) ** 3

    within = [np.mean([kernel(z[i], z[j]) for i in range(7) for j in range(7) if i != j]) for z in (x, y)]
    expected = sum(within) - 2 * np.mean([kernel(a, b) for a in x for b in y])
    assert kernel_distances(x, y).mean() == pytest.approx(expected)
    with pytest.raises(OfhkitError, match="at least two faces"):
        kernel_distances(x[:1], y[:1])


def test_kid_is_of_the_whole_set_and_small_for_the_true_faces():
    batches = outputs(3), outputs(3, seed=1, first=3)
    scored = {"KID": run(KID(), *batches)["KID"]}
    features = [torch.cat([alexnet_features(b[key]) for b in batches]).numpy() for key in ("sr", "hr")]
    assert scored["KID"] == pytest.approx(1000 * kernel_distances(*features).mean(), rel=1e-5)
    assert features[0].shape == (6, 256)
    true = run(KID(), *({**b, "sr": b["hr"]} for b in batches))["KID"]
    assert true < scored["KID"]
    assert run(KID(), *batches, batches[0])["KID"] == pytest.approx(scored["KID"])  # an index that came twice


def test_parsing_by_part_is_the_iou_of_its_labels():
    def parse(face):  # 16 classes by the brightness of the first color
        return nn.functional.one_hot((face[:, 0] * 15).round().long(), 16).movedim(-1, 1).float()

    batch, metric = outputs(2), ParsingIoU(parser=nn.Module())
    metric.parse.network = type("Parser", (nn.Module,), {"forward": lambda self, face: parse(face)})()
    values = metric.measure(batch["sr"], batch["hr"], batch["mask"])
    pred, target = ((batch[key][:, 0] * 15).round().numpy() for key in ("sr", "hr"))
    for part, labels in {"eyes": (4, 5), "nose": (6,), "mouth": (7, 8, 9)}.items():
        for i in range(2):
            pairs = [(pred[i] == label, target[i] == label) for label in labels]
            expected = np.mean([(a & b).sum() / (a | b).sum() for a, b in pairs])
            assert values[f"IoU_{part}"][i].item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", METRICS.names())
def test_every_metric_says_of_itself_what_it_is(name):
    metric = METRICS.get(name)
    assert type(metric.higher_is_better) is bool
    assert set(metric.optional) <= set(metric.titles())
    assert all(metric.titles().values())


def test_the_documentation_says_of_metrics_what_they_say_of_themselves():
    page = (Path(__file__).parents[2] / "docs/metrics.md").read_text()
    rows = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and cells[0] != "metric":
            rows[cells[0]] = cells[1:]
    shown = {METRICS.get(name).name: METRICS.get(name) for name in METRICS.names()}
    assert set(rows) == set(shown)
    for name, (unit, _, better) in rows.items():
        assert unit == shown[name].unit
        assert better == ("higher" if shown[name].higher_is_better else "lower")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (dict(name="MAE"), "metric Mine does not say its higher_is_better: give the class True, False or None"),
        (dict(higher_is_better=True), "metric Mine does not say its name: give the class a word, as 'MAE'"),
        (dict(name="M A E", higher_is_better=True), "metric Mine: name is a word, as 'MAE', got 'M A E'"),
        (dict(name="MAE", higher_is_better="no"), "higher_is_better is True, False or None, got 'no'"),
        (dict(name="MAE", higher_is_better=False, decimals=2.5), "decimals is a whole number from 0 to 10, got 2.5"),
        (dict(name="MAE", higher_is_better=False, headline=1), "headline is True or False, got 1"),
        (dict(name="MAE", higher_is_better=False, parts=["MAE_hole"]), "parts is names and their titles"),
    ],
)
def test_a_metric_that_does_not_say_what_it_is_is_refused(said, message):
    with pytest.raises(OfhkitError, match=re.escape(message)):
        type("Mine", (PerImageMetric,), {**said, "measure": lambda self, sr: {"MAE": sr.mean((1, 2, 3))}})


def test_a_number_that_a_metric_does_not_name_is_refused():
    said = dict(name="MAE", higher_is_better=False, measure=lambda self, sr: {"MSE": sr.mean((1, 2, 3))})
    with pytest.raises(OfhkitError, match=r"Mine returns 'MSE', which is neither its `name` \(MAE\) nor one of"):
        type("Mine", (PerImageMetric,), said)().process(None, [outputs(1)])
