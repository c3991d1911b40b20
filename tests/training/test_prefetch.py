"""Batches on their way to the device: none lost, none changed, waiting measured."""

import time
import weakref

import pytest
import torch

from ofhkit.data import sampler
from ofhkit.data.sampler import DeviceCachedDataset, Prefetcher, fetch, keep_on_device, training_loader

CPU = torch.device("cpu")
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
DEVICES = [CPU, pytest.param(torch.device("cuda"), marks=GPU)]


class Faces(torch.utils.data.Dataset):
    def __len__(self):
        return 5

    def __getitem__(self, i):
        time.sleep(0.002)
        return {"hr": torch.full((3, 4, 4), i, dtype=torch.uint8), "index": i}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("prefetch", [True, False])
def test_the_same_batches_come_out_and_waiting_is_measured(device, prefetch):
    plain = [batch["index"].tolist() for batch in training_loader(Faces(), 0, 2, 7)]
    feed = Prefetcher(training_loader(Faces(), 0, 2, 7, pin_memory=device.type == "cuda"), device, prefetch)
    fed = [(batch["index"].tolist(), batch["hr"][:, 0, 0, 0].tolist()) for batch in feed]
    assert [index for index, _ in fed] == plain == [values for _, values in fed]
    assert 7 * 2 * 0.002 < feed.waited < 10


@pytest.mark.parametrize("device", DEVICES)
def test_a_data_set_on_the_device_gives_the_same_batches(device):
    kept = DeviceCachedDataset(Faces(), device)
    ours, theirs = fetch(kept, [4, 0, 4]), fetch(Faces(), [4, 0, 4])
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[k].cpu(), theirs[k]) and ours[k].device.type == device.type for k in ours)
    draws = [batch["index"].tolist() for batch in training_loader(kept, 3, 2, 6)]
    assert draws == [batch["index"].tolist() for batch in training_loader(Faces(), 3, 2, 6)]


def test_faces_on_the_device_are_held_once_while_they_are_read(monkeypatch):
    """Every chunk goes into memory that is there from the start: none is kept beside it."""
    chunks, alive = [], []

    def watched(dataset, indices):
        alive.append(sum(chunk() is not None for chunk in chunks))
        batch = {**fetch(dataset, indices)}
        chunks.append(weakref.ref(batch["hr"]))
        return batch

    monkeypatch.setattr(sampler, "_CHUNK", 1)
    monkeypatch.setattr(sampler, "fetch", watched)
    kept = DeviceCachedDataset(Faces(), CPU)
    assert len(chunks) == 6
    assert max(alive) <= 2  # the first face, which tells the shape, and the chunk before
    assert kept.items["index"].tolist() == list(range(5))


def test_seeking_begins_with_that_iteration():
    whole = [batch["index"].tolist() for batch in training_loader(Faces(), 0, 2, 7)]
    feed = Prefetcher(training_loader(Faces(), 0, 2, 7), CPU)
    assert [batch["index"].tolist() for batch in feed.starting_at(5)] == whole[5:]


def test_without_a_gpu_faces_stay_where_they_are(capsys):
    faces = Faces()
    assert keep_on_device(faces, CPU) is faces
    assert "they stay where they are" in capsys.readouterr().err


def test_a_set_that_does_not_fit_is_read_as_usual(monkeypatch, capsys):
    faces = Faces()
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (300, 1000))
    assert keep_on_device(faces, torch.device("cuda")) is faces
    assert "they are read as usual" in capsys.readouterr().err
