"""The frozen landmark network's answers for the true faces, asked once: the same training, and no stale answer."""

from pathlib import Path

import pytest
import torch
from celeba_maker import MadeCelebA
from curriculum_maker import OFHNET, write_config
from safetensors.torch import load_file
from torch import nn

from ofhkit.data.degradation import Degradation
from ofhkit.errors import OfhkitError
from ofhkit.models.losses.semantic_structure import SemanticStructureLoss
from ofhkit.training import true_landmarks
from ofhkit.training.curriculum import Options, train
from ofhkit.training.true_landmarks import LandmarkTable, worth_a_table

HOLE = dict(type="FixedRectangle", height=1, width=1)
LONG = 'stages["upsampler"] |= dict(iterations=40)\n'


class Faces(torch.utils.data.Dataset):
    """130 faces, so that the last batch is not full; rows of a pack that begin anywhere."""

    def __init__(self):
        self.hr = torch.randint(0, 256, (130, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))

    def __len__(self):
        return len(self.hr)

    def __getitem__(self, i):
        return {"hr": self.hr[i], "index": 1000 - 3 * i}


CPU = torch.device("cpu")


def a_prior() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 6), nn.Unflatten(1, (3, 2)))


@pytest.mark.parametrize("flip", [True, False])
def test_answers_are_those_for_the_faces_that_training_shows(flip, tmp_path):
    prior, degrade, faces = a_prior(), Degradation(HOLE, flip=flip, size=4), Faces()
    table = true_landmarks.true_landmarks(prior, degrade, faces, CPU, tmp_path / "table")
    chosen = torch.tensor([129, 0, 64, 7, 8, 9])
    labels = {"sample_id": torch.arange(6), "landmarks": torch.zeros(6, 68, 2)}
    batch = degrade({"hr": faces.hr[chosen], "index": 1000 - 3 * chosen, **labels}, training=True)
    assert batch["mirrored"].any() == flip
    expected = prior(batch["hr"])
    assert torch.allclose(table(batch["index"], batch["mirrored"]), expected, atol=1e-5)


def test_an_interrupted_run_reads_its_answers_and_a_torn_file_is_made_anew(tmp_path):
    prior, degrade, faces, file = a_prior(), Degradation(HOLE, size=4), Faces(), tmp_path / "table"
    first = true_landmarks.true_landmarks(prior, degrade, faces, CPU, file).points.clone()
    nn.init.zeros_(prior[1].weight)
    again = true_landmarks.true_landmarks(prior, degrade, faces, CPU, file).points
    assert torch.equal(first, again)
    file.write_bytes(file.read_bytes()[:100])
    anew = true_landmarks.true_landmarks(prior, degrade, faces, CPU, file).points
    assert not torch.equal(first, anew)


def test_it_is_asked_once_only_where_that_is_less_work_and_nothing_else_changes_the_faces():
    class Brighter(Degradation):
        pass

    assert worth_a_table(Degradation(HOLE, size=4), faces=10, shown=40)
    assert not worth_a_table(Degradation(HOLE, size=4), faces=10, shown=39)
    assert worth_a_table(Degradation(HOLE, size=4, flip=False), faces=10, shown=20)
    assert not worth_a_table(Brighter(HOLE, size=4), faces=10, shown=1000)


def test_known_answers_are_not_asked_for_again():
    asked = []

    class Prior(nn.Module):
        def forward(self, face):
            asked.append(face)
            return face[:, :2, :1, 0].mT * 10

    sr, hr = torch.rand(2, 3, 8, 8, requires_grad=True), torch.rand(2, 3, 8, 8)
    known = Prior()(hr)
    value = SemanticStructureLoss().evaluate({"sr": sr, "hr": hr, "landmark_prior": Prior(), "hr_landmarks": known})
    assert torch.allclose(value, ((sr - hr)[:, :2, 0, 0] * 10 / 8).square().mean())
    assert not any(torch.equal(face, hr) for face in asked[1:])


@pytest.mark.slow
def test_a_training_with_the_table_is_the_training_without(tmp_path, monkeypatch):
    root = tmp_path / "raw"
    MadeCelebA(40).flat(root)
    config = write_config(tmp_path, "ofhnet", "OFHNet", OFHNET, LONG)
    tables = []
    monkeypatch.setattr(LandmarkTable, "forward", _spied(LandmarkTable.forward, tables))

    def weights(name: str) -> dict[str, torch.Tensor]:
        work = tmp_path / name
        train(config, Options(work_dir=work, device="cpu"), root)
        assert not list(work.rglob(true_landmarks.TRUE_LANDMARKS))
        return load_file(Path(work) / "ofhnet_tiny/model.safetensors")

    with_table = weights("with")
    assert len(tables) == 40
    monkeypatch.setattr(true_landmarks, "_WORTH", 1e9)
    without = weights("without")
    assert len(tables) == 40
    assert all(torch.allclose(value, without[name], rtol=1e-3, atol=1e-4) for name, value in with_table.items())


def _spied(function, calls):
    def spy(*args):
        calls.append(args)
        return function(*args)

    return spy


def test_images_that_share_an_index_are_refused():
    with pytest.raises(OfhkitError, match="several images with index 3"):
        LandmarkTable(torch.tensor([7, 3, 2**62, 3]), torch.zeros(4, 2, 5, 2))
