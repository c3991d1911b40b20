"""A job of several processes on this machine, started without a launcher; and what each of them computes in a test."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import torch
from curriculum_maker import ENVIRONMENT
from torch import nn


def start(arguments: list[str], count: int = 2) -> list[subprocess.Popen]:
    """Start the same command ``count`` times with the environment that torchrun would give."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    job = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    tests = os.pathsep.join([ENVIRONMENT["PYTHONPATH"], str(Path(__file__).parent)])
    return [
        subprocess.Popen(
            arguments,
            env={**ENVIRONMENT, **job, "PYTHONPATH": tests, "RANK": str(r), "LOCAL_RANK": str(r)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for r in range(count)
    ]


def finish(job: list[subprocess.Popen], seconds: float = 240) -> list[tuple[int, str, str]]:
    """Wait for all: (exit code, stdout, stderr) each."""
    return [(p.returncode, *outputs) for p in job for outputs in [p.communicate(timeout=seconds)]]


class Faces(torch.utils.data.Dataset):
    def __len__(self):
        return 7

    def __getitem__(self, i):
        x = torch.rand(3, 6, 6, generator=torch.Generator().manual_seed(i), dtype=torch.float64)
        return {"index": 10 + i, "x": x}


class Game(nn.Module):
    """Two small networks trained in turn, with everything that depends on the batch: normalisation and dropout."""

    name = "gan"

    def __init__(self):
        super().__init__()
        from ofhkit.ops import UpsampledBatchNorm2d

        self.painter = nn.Sequential(
            nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), UpsampledBatchNorm2d(4), nn.Conv2d(4, 3, 1)
        )
        self.critic = nn.Sequential(
            nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Dropout2d(0.3), nn.Flatten(), nn.Dropout(0.4),
            nn.LazyLinear(1),
        )  # fmt: skip
        self.double()
        self.critic(torch.zeros(2, 3, 4, 4, dtype=torch.float64))

    def step(self, batch, optim):
        real, fake = batch["x"][..., 1:-1, 1:-1], self.painter(batch["x"])
        loss = (self.critic(fake.detach()) - self.critic(real)).tanh().mean()
        optim["critic"].update_params(loss)
        self.critic.requires_grad_(False)
        total = (fake - real).square().mean() - 0.1 * self.critic(fake).tanh().mean()
        optim["painter"].update_params(total)
        self.critic.requires_grad_(True)
        return {"critic": loss.detach(), "total": total.detach()}

    def predict(self, batch):
        return {"y": self.painter(batch["x"])}


def as_it_is(batch, training=False):
    return batch


def train_gan(folder: Path) -> dict:
    """Train and score the toy GAN on this process's share; returns all numbers that must not depend on their count."""
    from mmengine.hooks import Hook
    from mmengine.optim import OptimWrapperDict

    from ofhkit.data.sampler import training_loader
    from ofhkit.evaluation.evaluate import evaluate
    from ofhkit.metrics import PerImageMetric
    from ofhkit.registry import METRICS
    from ofhkit.runtime.distributed import rank, world_size
    from ofhkit.training.hooks import SaveCheckpoint
    from ofhkit.training.loop import Runner, TrainLoop
    from ofhkit.training.optim import Wrapper
    from ofhkit.training.sync_layers import convert_sync_layers

    class Level(PerImageMetric):
        name, higher_is_better, parts = "Level", None, {"Peak": "peak"}

        def measure(self, y):
            return {"Level": y.mean((1, 2, 3)), "Peak": y.amax((1, 2, 3))}

    losses = []

    class Keep(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            losses.append({name: value.item() for name, value in outputs.items()})

    torch.manual_seed(0)
    model, cpu = convert_sync_layers(Game()), torch.device("cpu")
    nets = {"painter": model.painter, "critic": model.critic}
    clip = dict(max_norm=0.05)
    optims = {k: Wrapper(torch.optim.Adam(n.parameters(), 1e-2), clip, cpu, None) for k, n in nets.items()}
    loader = training_loader(Faces(), 0, 4, 9, rank=rank(), world_size=world_size())
    hooks = [Keep(), SaveCheckpoint(interval=4)]
    loop = dict(type=TrainLoop, max_iters=9, degrade=as_it_is, prefetch=True)
    Runner(model, folder, loader, loop, OptimWrapperDict(**optims), None, hooks, cpu).train()
    METRICS.register_module(module=Level, force=True)
    scores = evaluate(model.eval().predict, as_it_is, Faces(), [dict(type="Level")], batch_size=2)
    return {"losses": losses, "weights": model.state_dict(), "means": scores.means, "each": scores.per_image}


def normalise() -> dict:
    """Batch norms over shares of 3 and 5 images of one batch: outputs, gradients and statistics of the whole."""
    import torch.distributed as dist

    from ofhkit.ops import UpsampledBatchNorm2d
    from ofhkit.runtime.distributed import average_gradients, rank, world_size
    from ofhkit.training.sync_layers import convert_sync_layers

    x = 100 + torch.rand(8, 3, 5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    direction = torch.rand(x.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    share = slice(None) if world_size() == 1 else (slice(0, 3), slice(3, 8))[rank()]
    found = {}
    for name, momentum in (("BatchNorm2d", 0.1), ("BatchNorm2d", None), ("UpsampledBatchNorm2d", 0.1)):
        layer = {"BatchNorm2d": nn.BatchNorm2d, "UpsampledBatchNorm2d": UpsampledBatchNorm2d}[name]
        norm = convert_sync_layers(nn.Sequential(layer(3, momentum=momentum).double()))
        own = x[share].clone().requires_grad_()
        for _ in range(2):
            y = norm(own)
        (y * direction[share]).sum().backward()
        average_gradients(norm.parameters())
        parts = {"y": y.detach(), "grad": own.grad}
        if world_size() > 1:
            for key, value in list(parts.items()):
                gathered = [None, None]
                dist.all_gather_object(gathered, value)
                parts[key] = torch.cat(gathered)
        weights = {key: p.grad * world_size() for key, p in norm.named_parameters()}
        found[f"{name} {momentum}"] = {**parts, **weights, **norm.state_dict()}
    return found


def main() -> None:
    from ofhkit.runtime.distributed import is_main, processes

    folder = Path(sys.argv[1])
    with processes("pytorch", "cpu"):
        found = {"gan": train_gan(folder), "norms": normalise()}
        if is_main():
            torch.save(found, folder / "found.pth")


if __name__ == "__main__":
    main()
