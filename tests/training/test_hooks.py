"""Hooks of the runner, on a step small enough to be watched."""

import json
import math

import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import nn

from ofhkit.data.sampler import training_loader
from ofhkit.errors import OfhkitError
from ofhkit.metrics import PerImageMetric
from ofhkit.runtime.devices import pick_device
from ofhkit.training.hooks import AverageWeights, FreezeBN, SaveCheckpoint, StopOnNaN, Validate
from ofhkit.training.loop import Runner, TrainLoop
from ofhkit.training.monitor import Diagnostics, Progress, pick_visualizer
from ofhkit.zoo.weights import load_weights


class Faces(torch.utils.data.Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, i):
        return {"index": i, "x": torch.full((3, 4, 4), float(i))}


class Toy(nn.Module):
    """As much of a stage as the runner, the loop and the hooks ask for."""

    name, place, later = "toy", "stage 2 of 3", 2.0

    def __init__(self, break_at=None):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5))
        self.seen, self.modes, self.break_at = [], [], break_at

    def step(self, batch, optim):
        self.seen.append(batch["sample_id"].tolist())
        self.modes.append(self.net[1].training)
        loss = self.net(batch["x"]).square().mean()
        if len(self.seen) - 1 == self.break_at:
            loss = loss * math.nan
        else:
            optim.update_params(loss)
        return {"total": loss.detach()}

    def predict(self, batch):
        return {}


def as_it_is(batch, training=False):
    return batch


def run(folder, *hooks, iterations=8, model=None, **more):
    torch.manual_seed(0)
    model = model or Toy()
    optim = OptimWrapper(torch.optim.Adam(model.parameters(), 1e-2))
    loader = training_loader(Faces(), seed=0, batch_size=2, iterations=iterations)
    loop = dict(type=TrainLoop, max_iters=iterations, degrade=as_it_is, prefetch=True)
    runner = Runner(model, folder, loader, loop, optim, None, hooks, torch.device("cpu"), **more)
    runner.train()
    return model


def test_an_interrupted_run_ends_with_the_same_bits(tmp_path):
    whole = run(tmp_path / "a", SaveCheckpoint(interval=3))

    class Stop(FreezeBN):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            if batch_idx == 5:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "b", SaveCheckpoint(interval=3), Stop(nn.Identity(), 0))
    resumed = run(tmp_path / "b", SaveCheckpoint(interval=3))
    assert resumed.seen == whole.seen[3:]  # sought, not replayed
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_nan_stops_and_names_iteration_and_images(tmp_path):
    with pytest.raises(OfhkitError, match=r"\[toy\] total became nan at iteration 4 \(images \[\d, \d\]"):
        run(tmp_path, StopOnNaN(interval=3), SaveCheckpoint(interval=1), model=Toy(break_at=4))
    kept = json.loads((tmp_path / "broken_batch.json").read_text())
    assert (kept["iteration"], kept["losses"], len(kept["images"])) == (4, {"total": "nan"}, 2)
    assert sorted(p.name for p in tmp_path.glob("iter_*")) == ["iter_00000003.pth", "iter_00000004.pth"]


def test_frozen_norm_uses_running_statistics_from_then_on(tmp_path):
    model = Toy()
    run(tmp_path, FreezeBN(model.net, begin=5), model=model)
    assert model.modes == [True] * 5 + [False] * 3


def test_progress_says_what_a_person_wants_to_know(tmp_path, capsys):
    run(tmp_path, Progress(interval=4))
    head, *rows = capsys.readouterr().err.splitlines()
    assert head == "         toy    total"
    assert [row.split()[0] for row in rows] == ["4/8", "8/8"]
    assert {len(row) for row in rows} == {len(head)}
    first, second = (line.partition("[toy]")[2] for line in (tmp_path / "train.log").read_text().splitlines())
    assert second.startswith(" 8/8  total ")
    assert all(word in first for word in ("img/s", "ETA 0:00", "lr 1.00e-02", "data ", " GB"))


def test_a_disk_that_fills_up_is_survived(tmp_path, monkeypatch, capsys):
    import ofhkit.training.loop as module

    calls = []

    def full(folder, iteration, state):
        calls.append(iteration)
        if iteration == 4:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "save_checkpoint", full)
    (tmp_path / "train.log").mkdir()  # nor can the log be written
    run(tmp_path, SaveCheckpoint(interval=4))
    assert calls == [4, 8]
    assert "could not save a checkpoint" in capsys.readouterr().err


def test_best_weights_that_cannot_be_saved_are_not_the_best(tmp_path, monkeypatch, capsys):
    import ofhkit.training.hooks as module

    model, save = Toy(), module.save_weights
    validate = Validate(Faces(), as_it_is, [Course()], 2, model.net)

    def full(path, tensors, header):
        if header["score"] == 3.0:
            raise OSError(28, "No space left on device")
        save(path, tensors, header)

    monkeypatch.setattr(module, "save_weights", full)
    run(tmp_path, validate, model=model, iterations=6)
    assert load_weights(tmp_path / "best.safetensors")[1]["score"] == validate.best["score"] == 2.0
    assert "could not save best weights" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "message"), [("gpu", "takes auto, cpu, cuda or mps"), ("cuda:99x", "cuda")])
def test_devices_that_are_not_there(name, message):
    if name.startswith("cuda") and torch.cuda.is_available():
        name = "mps"
        message = "mps"
    with pytest.raises(OfhkitError, match=message):
        pick_device(name)
    assert pick_device("cpu") == torch.device("cpu")


class Record(FreezeBN):
    """Keeps the weights after every iteration."""

    def __init__(self, network):
        self.network, self.kept = network, []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        pass

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.kept.append(self.network.state_dict()["0.weight"].numpy().copy())


def test_the_average_is_what_is_delivered(tmp_path):
    model = Toy()
    first, record = model.net[0].weight.detach().numpy().copy(), Record(model.net)
    run(tmp_path, record, AverageWeights(model.net, 0.9), model=model)
    expected = first
    for t, weights in enumerate(record.kept):
        keep = min(0.9, (1 + t) / (10 + t))
        expected = keep * expected + (1 - keep) * weights
    assert abs(model.net[0].weight.detach().numpy() - expected).max() < 1e-6
    assert abs(record.kept[-1] - expected).max() > 1e-4


def test_the_average_is_swapped_in_and_out():
    net = nn.Linear(2, 1)
    hook = AverageWeights(net, 0.9)
    own = net.weight.detach().clone()
    with torch.no_grad():
        net.weight += 1
    hook.before_val_epoch(None)
    assert torch.equal(net.weight, own)
    hook.after_val_epoch(None)
    assert torch.equal(net.weight, own + 1)


def test_an_interrupted_average_goes_on(tmp_path):
    def averaged(folder, *hooks):
        torch.manual_seed(0)
        model = Toy()
        return run(folder, AverageWeights(model.net, 0.9), SaveCheckpoint(interval=3), *hooks, model=model)

    class Stop(FreezeBN):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            if batch_idx == 5:
                raise KeyboardInterrupt

    whole = averaged(tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        averaged(tmp_path / "b", Stop(nn.Identity(), 0))
    again = averaged(tmp_path / "b")
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), again.state_dict().values()))


class Course(PerImageMetric):
    """A score that rises and falls again, whatever the network does."""

    name, higher_is_better = "Score", True
    course = (1.0, 3.0, 2.0)

    def __init__(self):
        super().__init__()
        self.looks: list[int] = []  # shared by its copies for other methods

    def measure(self, index):
        return {"Score": torch.full((len(index),), self.course[len(self.looks)])}

    def evaluate(self, size):
        means = super().evaluate(size)
        self.looks.append(1)
        return means


@pytest.mark.parametrize(("higher", "iteration"), [(True, 4), (False, 2)])
def test_the_best_weights_are_kept(tmp_path, capsys, monkeypatch, higher, iteration):
    model, seen = Toy(), []
    monkeypatch.setattr(Course, "higher_is_better", higher)

    class Copy(FreezeBN):
        priority = "VERY_HIGH"

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            seen.append(model.net[0].weight.detach().clone())

    validate = Validate(Faces(), as_it_is, [Course()], 2, model.net)
    run(tmp_path, validate, Copy(model.net, 99), model=model, iterations=6)
    weights, header = load_weights(tmp_path / "best.safetensors")
    assert (header["metric"], header["iteration"]) == ("Score", iteration)
    assert torch.equal(weights["0.weight"], seen[iteration - 1])
    assert not torch.equal(weights["0.weight"], model.net[0].weight)
    assert f"best Score {header['score']:g} at iteration {iteration}" in capsys.readouterr().err


def test_a_remark_is_made_once():
    diagnostics = Diagnostics(1000)
    assert diagnostics.look(10, {"total": 1.0}) == []
    assert [len(diagnostics.look(n, {"total": 0.999})) for n in range(20, 400, 10)].count(1) == 1  # a plateau
    assert "plateau" in " ".join(diagnostics.said)
    won = [diagnostics.look(n, {"d_real_right": 1.0, "d_fake_right": 1.0}) for n in range(400, 450, 10)]
    assert [len(w) for w in won] == [0, 0, 1, 0, 0]
    assert "right on 100% of real and 100% of hallucinated faces" in won[2][0]
    lost = [diagnostics.look(n, {"d_real_right": 0.0, "d_fake_right": 0.0}) for n in range(500, 540, 10)]
    assert "has lost" in lost[2][0]


def test_scalars_reach_tensorboard(tmp_path, capsys):
    pytest.importorskip("tensorboard")
    run(tmp_path, Progress(interval=4), visualizer=pick_visualizer("tensorboard"))
    assert len(list(tmp_path.rglob("events.out.tfevents*"))) == 1
    assert "not installed" not in capsys.readouterr().err


def test_an_absent_backend_is_one_line(tmp_path, monkeypatch, capsys):
    import ofhkit.training.monitor as module

    monkeypatch.setattr(module, "find_spec", lambda name: None)
    run(tmp_path, Progress(interval=4), visualizer=pick_visualizer("wandb"))
    assert "wandb is not installed: scalars are not sent there (pip install wandb)\n" in capsys.readouterr().err
    assert list(tmp_path.rglob("scalars.json"))


def test_on_a_terminal_a_bar_shows_where_it_stands(tmp_path, monkeypatch, capsys):
    import sys

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    run(tmp_path, Progress(interval=4))
    shown = capsys.readouterr().err
    assert "         4/8 " in shown
    assert "toy, stage 2 of 3 " in shown
    assert "━" in shown
    assert "left in all" in shown
    assert shown.rstrip("\n").endswith("\x1b[?25h")  # the cursor is back
