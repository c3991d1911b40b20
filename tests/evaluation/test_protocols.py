"""DIC's protocol against Pillow, numpy and scikit-image, step by step."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from ofhkit.data.packed import PackedFaces
from ofhkit.errors import OfhkitError
from ofhkit.evaluation.compare import compare
from ofhkit.evaluation.protocols import PROTOCOLS
from ofhkit.functional.resample import downsample_cubic, upsample_bicubic
from ofhkit.metrics import PSNRY, SSIMY

WEIGHTS = [65.481, 128.553, 24.966]


def shrunk(face):
    """(3, 128, 128) uint8 -> (3, 16, 16) in [0, 1]."""
    return np.asarray(Image.fromarray(face.transpose(1, 2, 0)).resize((16, 16), Image.BICUBIC)).transpose(2, 0, 1) / 255


def by_dic(sr, face):
    """PSNR and SSIM of a float picture against a uint8 one, (3, 128, 128) both."""
    y, x = (np.round(np.tensordot(WEIGHTS, p.astype(float), 1) / 255 + 16) for p in (face, np.round(255 * sr)))
    x, y = x[8:-8, 8:-8], y[8:-8, 8:-8]
    window = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True)
    similarity = structural_similarity(x, y, data_range=255, **window)[1]
    return peak_signal_noise_ratio(y, x, data_range=255), similarity[5:-5, 5:-5].mean()


def test_the_input_is_pillows_and_has_no_hole(pack):
    batch = PackedFaces(pack, "test").__getitems__(range(5))
    made = PROTOCOLS["dic"].degrade({}, torch.device("cpu"))(batch)
    expected = np.stack([shrunk(face.numpy()) for face in batch["hr"]])
    np.testing.assert_allclose(made["lr"].numpy(), expected, atol=1e-6)
    assert not made["mask"].any()
    assert made["mask"].shape == (5, 1, 16, 16)
    assert 0 < (made["lr_gt"] - downsample_cubic(made["hr"]).clamp(0, 1)).abs().max() < 1.5 / 255  # ours is not rounded


def test_scores_are_those_of_the_formula():
    hr = torch.randint(0, 256, (3, 3, 16, 16), generator=torch.Generator().manual_seed(0))
    hr = torch.nn.functional.interpolate(hr.float(), scale_factor=8, mode="bicubic").round().clamp(0, 255).byte()
    sr = upsample_bicubic(downsample_cubic(hr / 255)).clamp(0, 1) ** 0.9
    expected = np.array([by_dic(s.numpy().astype(float), h.numpy()) for s, h in zip(sr, hr)])
    batch = {"sr": sr, "hr": hr / 255}
    np.testing.assert_allclose(PSNRY().measure(**batch)["PSNR_Y"].numpy(), expected[:, 0], rtol=1e-6)
    np.testing.assert_allclose(SSIMY().measure(**batch)["SSIM_Y"].numpy(), expected[:, 1], atol=1e-5)


@pytest.mark.slow
def test_a_table_by_dics_rule_says_so(work, pack, tmp_path):
    rows = compare([], work_dir=work, out=tmp_path, device="cpu", protocol="dic", metrics=["quick", "lr_psnr"])
    test = PackedFaces(pack, "test")
    lr = np.stack([shrunk(test[i]["hr"].numpy()) for i in range(len(test))])
    sr = upsample_bicubic(torch.from_numpy(lr).float()).clamp(0, 1).numpy().astype(float)
    expected = np.mean([by_dic(s, test[i]["hr"].numpy()) for i, s in enumerate(sr)], 0)
    bicubic = next(row for row in rows if row["method"] == "IN+bicubic")
    assert [bicubic["PSNR_Y"], bicubic["SSIM_Y"]] == pytest.approx(expected, rel=1e-5)
    assert not {"PSNR", "SSIM", "LRPSNR"} & bicubic.keys()
    text = (tmp_path / "table1.md").read_text()
    assert "rule: dic" in text
    assert "paper" not in text.splitlines()[0]
    assert json.loads((tmp_path / "results.json").read_text())["protocol"]["degradation"] == "none: no hole"
    with pytest.raises(OfhkitError, match="--protocol dic has none"):
        compare([], work_dir=work, out=tmp_path, device="cpu", protocol="dic", sweeps=["size"])
