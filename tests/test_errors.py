"""What errors and notes carry beside their sentence; nobody has to read it out of the text again."""

import copy
import pickle

import pytest

from ofhkit.config.check import check
from ofhkit.errors import Note, OfhkitError, is_warning
from ofhkit.zoo import load_model


def test_an_error_says_which_key_it_is_about_and_where_that_was_set():
    occluder = {"type": "RandomRectangle", "min_area": 99}
    tree = {"data": {"dataset": {"type": "PackedFaces", "root": "x"}, "degradation": {"type": "Degradation"}}}
    tree["data"]["degradation"]["occluder"] = occluder
    with pytest.raises(OfhkitError, match=r"data.degradation \(child.py\): ") as caught:
        check(tree, {"data.degradation.type": "base.py", "data.degradation.occluder.min_area": "child.py"})
    assert caught.value.key == "min_area"


def test_an_error_says_which_file_it_is_about(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"x")
    with pytest.raises(OfhkitError) as caught:
        load_model(tmp_path / "a.safetensors")
    assert caught.value.path == tmp_path / "a.safetensors"


@pytest.mark.parametrize("travel", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_fields_survive_the_way_to_another_process(travel):
    error = travel(OfhkitError("no such thing", key="a", path="b", remedy="name another"))
    assert (str(error), error.key, error.path, error.remedy) == (
        "no such thing; name another",
        "a",
        "b",
        "name another",
    )
    note = travel(Note("the hole is large", "warning"))
    assert note == "warning: the hole is large"
    assert is_warning(note)
    assert not is_warning("turned upright")
