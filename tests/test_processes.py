"""Two processes must come to the numbers of one."""

import math

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from ofhkit.metrics import PSNR
from ofhkit.models.losses.adversarial import who_moves
from ofhkit.models.upsamplers import PositionPatch
from ofhkit.runtime.distributed import average


def batches(rank):
    """Faces 0-9, of which process 0 has three, process 1 seven and one of the other's (a sampler's padding)."""
    g = torch.Generator().manual_seed(0)
    hr = torch.rand(10, 3, 16, 16, generator=g, dtype=torch.float64)
    sr = (hr + 0.1).clamp(0, 1)
    keep = [[0, 1, 2], [3, 4, 5, 6, 7, 8, 9, 0], range(10)][rank]
    index = torch.tensor(list(keep))
    return {"sr": sr[index], "hr": hr[index], "mask": torch.ones(len(index), 1, 2, 2), "index": index}


def work(batch, count):
    metric = PSNR()
    metric.process(None, [batch])
    ma = PositionPatch(image_size=8, scale=2)
    ma.double().partial_fit(batch["hr"][:count, :, ::2, ::2], batch["hr"][:count])
    ma.finalise()
    return metric.evaluate(10), metric.per_image, ma.state_dict()


def process(rank, address, out):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    losses = torch.tensor([0.2, 0.5])[rank]  # alone, process 0 would let its discriminator wait
    decision = who_moves(*(v.item() for v in average({"real": losses, "fake": torch.tensor(0.5)}).values()))
    torch.save((*work(batches(rank), count=7), decision), out / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_metrics_fits_and_decisions_are_joined(tmp_path):
    mp.spawn(process, (f"file://{tmp_path}/meet", tmp_path), nprocs=2)
    means, per_image, fit = work(batches(2), count=10)
    for rank in range(2):
        theirs = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert theirs[1] == per_image
        assert all(math.isclose(theirs[0][name], value, rel_tol=1e-12) for name, value in means.items())
        assert theirs[2]["num_faces"] == 10
        assert torch.allclose(theirs[2]["mean_hr"], fit["mean_hr"], rtol=0, atol=1e-12)
        assert torch.allclose(theirs[2]["spectrum"], fit["spectrum"], rtol=0, atol=1e-9)
        assert theirs[3] == (True, True)
