"""Content credentials: valid, of an unknown signer, with the photograph as parent; lost ones are said."""

import io
import json

import numpy as np
import pytest
from PIL import Image
from skimage import data

from ofhkit.restoration import Picture, provenance, read_pictures
from ofhkit.restoration.outcome import Outcome
from ofhkit.restoration.writing import Writer

c2pa = pytest.importorskip("c2pa")
PHOTO = data.astronaut()[:200, :240]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("OFHKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path


def read(path):
    kind = "image/jpeg" if path.suffix == ".jpg" else "image/png"
    reader = c2pa.Reader(kind, io.BytesIO(path.read_bytes()))
    return json.loads(reader.json()), reader.get_validation_state()


def write(folder, source, credentials=True):
    (picture,) = read_pictures(source)
    writer = Writer(folder / "out", {"name": "tiny"}, credentials)
    row = writer.rows
    writer._save_all = lambda outcome, name: {"status": "restored", "output": writer._save_picture(outcome, name)}
    writer.write(Outcome(picture, "photo", picture.rgb, pixels=255 - picture.pixels), "p")
    return folder / "out" / row[0]["output"], row[0]["notes"]


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_result_says_what_it_is(folder, suffix):
    source = folder / f"source{suffix}"
    Image.fromarray(PHOTO).save(source)
    written, notes = write(folder, source)
    manifests, state = read(written)
    assert state == "Valid"
    own = manifests["manifests"][manifests["active_manifest"]]
    actions = own["assertions"][0]["data"]["actions"]
    assert [action["action"] for action in actions] == ["c2pa.opened", "c2pa.edited"]
    assert actions[1]["digitalSourceType"].endswith("/compositeWithTrainedAlgorithmicMedia")
    assert own["ingredients"][0]["relationship"] == "parentOf"
    assert own["signature_info"]["common_name"] == "ofhkit on this machine"
    assert "credentials" not in notes
    assert np.asarray(Image.open(written)).shape == PHOTO.shape


def test_credentials_go_along_or_their_loss_is_said(folder):
    source = folder / "source.png"
    plain = io.BytesIO()
    Image.fromarray(PHOTO).save(plain, "PNG")
    source.write_bytes(provenance.sign(plain.getvalue(), ".png", None, {}))
    assert provenance.carries_credentials(source)
    kept, notes = write(folder, source)
    assert len(read(kept)[0]["manifests"]) == 2
    assert "credentials" not in notes
    lost, notes = write(folder, source, credentials=False)
    assert not provenance.carries_credentials(lost)
    assert provenance.LOST in notes


def test_the_key_is_made_once_and_only_its_owner_reads_it(folder):
    assert provenance.certificate() == provenance.certificate()
    key = folder / "cache/provenance/key.pem"
    assert key.stat().st_mode & 0o077 == 0
    assert not provenance.carries_credentials(folder / "nowhere.png")
    assert not provenance.carries_credentials(None)


def test_without_the_extra_one_sentence_says_how_to_get_it(folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "c2pa", None)
    with pytest.raises(provenance.OfhkitError, match=r"pip install 'ofhkit\[provenance\]'"):
        Writer(folder / "out", {}, credentials=True)
    Writer(folder / "out", {}).write(Outcome(Picture("a", PHOTO), error="no face"), "a")
