"""A written results.json against the schema in the documentation."""

import json

import pytest
from pipeline_maker import ROOT

from ofhkit.data.packed import PackedFaces
from ofhkit.evaluation.compare import compare

SCHEMA = json.loads((ROOT / "docs/results_schema.json").read_text())
TYPES = dict(
    object=dict, array=list, string=str, integer=int, number=int | float, boolean=bool, null=type(None)
)  # fmt: skip


def faults(value, schema, at="results"):
    """What the schema does not allow: the keywords of JSON Schema that ours uses."""
    known = {"$schema", "title", "description", "type", "required", "properties", "additionalProperties", "items"}
    assert schema.keys() <= known, schema.keys() - known
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(isinstance(value, TYPES[k]) and (k == "boolean") >= isinstance(value, bool) for k in kinds):
        yield f"{at}: {value!r:.40} is no {kinds}"
    if isinstance(value, list) and "items" in schema:
        for i, item in enumerate(value):
            yield from faults(item, schema["items"], f"{at}[{i}]")
    if isinstance(value, dict):
        yield from (f"{at}: no {key}" for key in schema.get("required", ()) if key not in value)
        for key, item in value.items():
            rule = schema.get("properties", {}).get(key, schema.get("additionalProperties", True))
            if rule is False:
                yield f"{at}: {key} is not in the schema"
            elif rule is not True:
                yield from faults(item, rule, f"{at}.{key}")


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["paper", "dic"])
def test_a_written_file_keeps_to_the_schema(work, pack, tmp_path, protocol):
    names = [PackedFaces(pack, "test").names[i] for i in PackedFaces(pack, "test").rows]
    (groups := tmp_path / "groups.csv").write_text("\n".join(["name,a", *(f"{name},x" for name in names)]))
    options = dict(groups=groups, protocol=protocol, sweeps=["size"] * (protocol == "paper"), metrics=["quick"])
    compare([], work_dir=work, out=tmp_path, device="cpu", **options)
    written = json.loads((tmp_path / "results.json").read_text())
    assert not list(faults(written, SCHEMA))
    assert {"groups", *(["sweeps"] if protocol == "paper" else [])} <= written.keys()


def test_the_checker_finds_faults():
    row = dict(method="a", config="b", params=1, gmacs=0.5, budget=True, PSNR="x")
    found = list(faults(dict(protocol={}, rows=[row], more=1), SCHEMA))
    for fault in ("no metrics", "more is not in", "budget: True is no", "PSNR: 'x' is no", "protocol: no data"):
        assert any(fault in text for text in found), (fault, found)
