"""How fast faces are measured and shrunk: ``pytest tests/benchmarks/test_measuring.py --benchmark-only``.

Each group holds the ways to one number; compare within a group only. On a machine that does other work, processor time
of one thread tells more: ``OMP_NUM_THREADS=1`` and ``--benchmark-timer=time.process_time``.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from skimage.metrics import structural_similarity

from benchmarks.data import downsample_cubic_uint8
from benchmarks.metrics import numpy_scores, numpy_ssim
from ofhkit.functional.image_quality import psnr, ssim
from ofhkit.functional.resample import downsample_cubic
from ofhkit.models.losses.perceptual import _network, lpips_maps, pool_lpips
from ofhkit.models.upsamplers import PositionPatch

COUNT = 64


@pytest.fixture(scope="module")
def faces():
    """Two batches of byte images, channels last, as a numpy implementation likes them."""
    return np.random.default_rng(0).integers(0, 256, (2, COUNT, 128, 128, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def tensors(faces):
    return [torch.from_numpy(f).permute(0, 3, 1, 2).contiguous().float() / 255 for f in faces]


@pytest.mark.benchmark(group="psnr + ssim, 64 faces")
class TestScores:
    def test_numpy(self, benchmark, faces):
        benchmark(numpy_scores, *faces)

    def test_scikit_image_ssim_only(self, benchmark, faces):
        settings = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, channel_axis=2, data_range=255)
        benchmark(lambda: [structural_similarity(x, y, **settings) for x, y in zip(*faces)])

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
    def test_ours(self, benchmark, tensors, dtype):
        sr, hr = (t.to(dtype) for t in tensors)
        benchmark(lambda: (psnr(sr, hr, 1.0), ssim(sr, hr, 1.0)))

    def test_the_numpy_reference_is_the_same_number(self, faces):
        x, y = (f[0].astype(np.float64) for f in faces)
        ours = ssim(*(torch.from_numpy(z)[None].permute(0, 3, 1, 2) for z in (x, y)), 255.0)
        assert ours.item() == pytest.approx(numpy_ssim(x, y), abs=1e-12)


@pytest.mark.benchmark(group="128 -> 16, 64 faces")
class TestShrinking:
    def test_pillow(self, benchmark, faces):
        benchmark(lambda: [Image.fromarray(f).resize((16, 16), Image.Resampling.BICUBIC) for f in faces[0]])

    def test_ours_with_pillows_bytes(self, benchmark, faces):
        hr = torch.from_numpy(faces[0]).permute(0, 3, 1, 2).contiguous()
        benchmark(downsample_cubic_uint8, hr)

    def test_torch_antialiased(self, benchmark, tensors):
        benchmark(lambda: F.interpolate(tensors[0], (16, 16), mode="bicubic", antialias=True))

    def test_ours(self, benchmark, tensors):
        benchmark(downsample_cubic, tensors[0])


@pytest.mark.benchmark(group="lpips, 16 faces")
class TestPerceptual:
    def test_genuine_forward(self, benchmark, tensors):
        sr, hr = (t[:16] for t in tensors)
        with torch.no_grad():
            benchmark(_network(hr.device), sr, hr, normalize=True)

    def test_ours_three_regions(self, benchmark, tensors):
        sr, hr = (t[:16] for t in tensors)
        mask = torch.zeros(16, 1, 16, 16)
        mask[:, :, 4:10, 4:10] = 1

        def score():
            maps = lpips_maps(sr, hr)
            return [pool_lpips(maps, hr, region) for region in (None, mask, 1 - mask)]

        with torch.no_grad():
            benchmark(score)


def direct_solve(lr, hr, query):
    """The published N x N solve at all 49 positions for one face."""
    y, h, x = F.unfold(lr, 4, stride=2).mT, F.unfold(hr, 32, stride=16).mT, F.unfold(query, 4, stride=2).mT
    z = (y - x).transpose(0, 1)  # (P, N, 48)
    gram = z @ z.mT
    tau = 1e-6 * gram.diagonal(dim1=1, dim2=2).sum(1)
    gram += tau[:, None, None] * torch.eye(len(lr), dtype=lr.dtype)
    w = torch.linalg.solve(gram, torch.ones(len(lr), 1, dtype=lr.dtype))
    return (w / w.sum(1, keepdim=True)).mT @ h.transpose(0, 1)


@pytest.fixture(scope="module")
def training():
    hr = torch.rand(300, 3, 128, 128, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return downsample_cubic(hr), hr


@pytest.mark.benchmark(group="position patch, 300 training faces")
class TestPositionPatch:
    def test_direct_one_face(self, benchmark, training):
        lr, hr = training
        benchmark.pedantic(direct_solve, (lr, hr, lr[:1] * 0.9), rounds=3)

    def test_fit(self, benchmark, training):
        def fit():
            ma = PositionPatch()
            ma.partial_fit(*training)
            ma.finalise()

        benchmark.pedantic(fit, rounds=3)

    @pytest.mark.parametrize("count", [1, 64])
    def test_answer(self, benchmark, training, count):
        ma = PositionPatch()
        ma.partial_fit(*training)
        ma.finalise()
        benchmark(ma, training[0][:count].float())
