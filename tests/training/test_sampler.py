"""Batches are a pure function of (seed, iteration): seekable, and the same for any number of processes."""

import numpy as np
import pytest
import torch

from ofhkit.data.sampler import ShuffledDataset, fetch, first, training_loader
from ofhkit.errors import OfhkitError


class Numbers(torch.utils.data.Dataset):
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return {"index": i, "hr": torch.full((3,), i)}


def batches(**settings):
    settings = {"seed": 0, "batch_size": 4, "iterations": 12, **settings}
    return [b["index"].tolist() for b in training_loader(Numbers(10), **settings)]


def test_every_image_comes_once_an_epoch_in_a_new_order():
    samples = ShuffledDataset(Numbers(10), seed=0)
    epochs = [samples.indices(range(10 * e, 10 * e + 10)) for e in range(3)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert samples.indices([25]) == epochs[2][5:6]  # in any order of asking
    assert epochs[0] == list(np.random.Generator(np.random.Philox(key=[0, 0])).permutation(10))


def test_a_loader_seeks():
    whole = batches()
    loader = training_loader(Numbers(10), seed=0, batch_size=4, iterations=12)
    loader.batch_sampler.start = 7
    assert [b["index"].tolist() for b in loader] == whole[7:]


def test_batches_carry_their_draws_and_workers_change_nothing():
    loader = training_loader(Numbers(10), seed=0, batch_size=4, iterations=3, num_workers=1)
    found = list(loader)
    assert torch.cat([b["sample_id"] for b in found]).tolist() == list(range(12))
    assert [b["index"].tolist() for b in found] == batches(iterations=3)


def test_processes_share_the_global_batch():
    ranks = [batches(rank=r, world_size=2) for r in range(2)]
    assert [a + b for a, b in zip(*ranks)] == batches()
    with pytest.raises(OfhkitError, match="does not divide among 3 processes"):
        batches(world_size=3)


def test_fetch_and_first():
    assert fetch(Numbers(5), [3, 1])["index"].tolist() == [3, 1]
    assert len(first(Numbers(5), 3)) == 3
    assert len(first(Numbers(5), 9)) == 5


def test_no_images_is_an_error():
    with pytest.raises(OfhkitError, match="training split is empty"):
        ShuffledDataset(Numbers(0), seed=0)
