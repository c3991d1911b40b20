"""Gains by group against numpy; the worst group and its gap."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from ofhkit.data.packed import PackedFaces
from ofhkit.errors import OfhkitError
from ofhkit.evaluation.compare import compare
from ofhkit.evaluation.groups import group_table, group_text, read_groups
from ofhkit.metrics import LPIPS, PSNR

RNG = np.random.default_rng(0)
OF_IMAGE = {i: "ab"[i % 2] if i < 58 else "few" for i in range(60)}


def scored(method, psnr, lpips):
    values = {i: {"PSNR": p, "LPIPS": q} for i, (p, q) in enumerate(zip(psnr, lpips))}
    return SimpleNamespace(row={"method": method}, per_image=values)


@pytest.fixture
def two():
    base = RNG.normal(22, 2, 60), RNG.uniform(0.3, 0.5, 60)
    odd = np.arange(60) % 2
    ours = base[0] + 3 - odd + RNG.normal(0, 0.1, 60), base[1] - 0.1 - 0.05 * odd + RNG.normal(0, 0.01, 60)
    return [scored("Telea+bicubic", *base), scored("ours", *ours)]


def test_gains_are_of_the_same_faces_and_positive_is_better(two):
    rows = group_table(two, {"group": OF_IMAGE}, [PSNR(), LPIPS()])
    for metric, sign, worst in (("PSNR", 1, "b"), ("LPIPS", -1, "a")):
        of_metric = {r["group"]: r for r in rows if r["method"] == "ours" and r["metric"] == metric}
        values = [sign * (two[1].per_image[i][metric] - two[0].per_image[i][metric]) for i in range(60)]
        gains = {g: np.array([v for i, v in enumerate(values) if OF_IMAGE[i] == g]) for g in ("a", "b", "few")}
        for group, values in gains.items():
            assert of_metric[group]["gain"] == pytest.approx(values.mean())
            assert of_metric[group]["num_images"] == len(values)
        assert [g for g, row in of_metric.items() if "gap" in row] == [worst]  # never the one of two faces
        gap, ends = of_metric[worst]["gap"], of_metric[worst]["gap_ci95"]
        assert gap == pytest.approx(gains[worst].mean() - np.concatenate(list(gains.values())).mean())
        assert ends[0] < gap < ends[1]
        shares = {g: len(v) / 60 for g, v in gains.items()}
        weights = {g: (g == worst) - shares[g] for g in gains}  # the gap is this sum of the groups' means
        spread = np.sqrt(sum(weights[g] ** 2 * v.var() / len(v) for g, v in gains.items()))
        assert ends[1] - ends[0] == pytest.approx(2 * 1.96 * spread, rel=0.15, abs=1e-9)
    assert all(row["gain"] == 0 and "gap" not in row for row in rows if row["method"] == "Telea+bicubic")
    assert "| ours |" in group_text(rows, [PSNR(), LPIPS()])
    with pytest.raises(OfhkitError, match="leave out --alone"):
        group_table(two[1:], {"group": OF_IMAGE}, [PSNR()])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "its first line must be name,group"),
        ("face,group\n0,a\n", "its first line must be name,group"),
        ("name,group\nnobody,a\n", "names none of the 12 faces, such as 0"),
    ],
)
def test_mistakes_in_the_file(pack, tmp_path, text, message):
    (file := tmp_path / "groups.csv").write_text(text)
    with pytest.raises(OfhkitError, match=message):
        read_groups(file, PackedFaces(pack, "test"))
    with pytest.raises(OfhkitError, match="cannot be read"):
        read_groups(tmp_path / "none.csv", PackedFaces(pack, "test"))


def test_a_comparison_writes_them(work, pack, tmp_path):
    names = [PackedFaces(pack, "test").names[i] for i in PackedFaces(pack, "test").rows]
    lines = ["name,group", *(f"{name},{'xy'[i % 2]}" for i, name in enumerate(names))]
    (file := tmp_path / "groups.csv").write_text("\n".join(lines))
    rows = compare([], work_dir=work, out=tmp_path, device="cpu", quick=True, groups=file)
    stored = json.loads((tmp_path / "results.json").read_text())["groups"]
    of_ours = [r for r in stored if (r["method"], r["metric"]) == ("OFHNet", "PSNR")]
    assert sum(r["num_images"] * r["score"] for r in of_ours) / 5 == pytest.approx(rows[-1]["PSNR"])
    assert "| OFHNet |" in (tmp_path / "groups.md").read_text()
