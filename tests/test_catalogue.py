"""The list of components and the doctor: true, complete, and readable at 80 columns."""

import shutil
import sys
from types import SimpleNamespace

import pytest
from torch import nn

from ofhkit.commands import doctor as diagnosis
from ofhkit.commands.components import list_components
from ofhkit.errors import OfhkitError
from ofhkit.models.inpainters import EncoderDecoder
from ofhkit.registry import ROLES, plugins


@pytest.mark.slow
def test_every_component_is_listed_within_eighty_columns():
    for role in set(ROLES) - {"upsampler", "discriminator", "prior"}:
        entries = list(list_components(role))
        assert [e.name for e in entries] == ROLES[role].names()
        assert all(len(line) <= 80 for e in entries for line in e.lines().splitlines())


def test_size_and_paper_are_those_of_the_component():
    entry = next(e for e in list_components("inpainter") if e.name == "EncoderDecoder")
    macs = 0
    network, maps = EncoderDecoder(), {"encoder": (16, 16, 8, 4), "decoder": (8, 16), "head": (16, 16)}
    for part, sides in maps.items():
        layers = [network.head1, network.head2] if part == "head" else getattr(network, part)
        for layer, side in zip(layers, sides):
            conv = next(m for m in layer.modules() if isinstance(m, nn.Conv2d))
            macs += conv.weight.numel() * side**2
    count = sum(p.numel() for p in network.parameters())
    assert f"{count:,} parameters" in entry.size
    assert float(entry.size.split()[2]) <= macs / 1e9 + 0.0005  # fused layers do the same with less work
    assert entry.reference.startswith("L. Yang")
    assert entry.origin.file.name == "encoder_decoder.py"


def test_an_unknown_role_is_answered():
    with pytest.raises(OfhkitError, match="did you mean 'upsampler'"):
        list(list_components("upsampeler"))


@pytest.mark.parametrize(
    ("findings", "remedy"),
    [
        (
            diagnosis.unmet(["ofhkit 0.1.0 requires numpy, which is not installed."], {}),
            "pip install 'numpy'",
        ),
        (
            diagnosis.unmet(["torchvision 0.22.0 has requirement torch==2.7.0, but you have torch 2.6.0."], {}),
            "pip install 'torch==2.7.0' torchvision",
        ),
        (
            diagnosis.check_rivals({"opencv-python": "5.0", "opencv-python-headless": "4.9"}),
            "pip uninstall -y opencv-python opencv-python-headless && pip install 'opencv-python'",
        ),
        (diagnosis.check_gpu(False, None, False), ""),
        (diagnosis.check_gpu(True, "12.6", True), ""),
        (diagnosis.check_lpips({"lpips": "0.1.4"}), ""),
        (diagnosis.check_lpips({}), "pip install 'lpips>=0.1.4'"),
    ],
)
def test_each_finding_has_the_line_that_fixes_it(findings, remedy):
    assert [f.remedy for f in findings] == [remedy]


def test_folders(tmp_path, monkeypatch):
    (good,) = diagnosis.check_folder(tmp_path / "a/b", 1, "--work-dir DIR")
    assert good.remedy == ""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1))
    (full,) = diagnosis.check_folder(tmp_path, 2, "--work-dir DIR")
    assert "needs" in full.text
    assert "--work-dir DIR" in full.remedy
    monkeypatch.setattr(diagnosis.tempfile, "TemporaryFile", lambda dir: (_ for _ in ()).throw(OSError(13, "denied")))
    (closed,) = diagnosis.check_folder(tmp_path, 2, "--work-dir DIR")
    assert "cannot be written (denied)" in closed.text


def test_doctor_prints_findings_and_says_by_its_status(monkeypatch, capsys):
    from ofhkit.commands.cli import doctor

    found = [diagnosis.Finding("a is well"), diagnosis.Finding("b is not", "pip install b")]
    monkeypatch.setattr(diagnosis, "diagnose", lambda _: found)
    monkeypatch.setattr(sys, "argv", ["doctor.py"])
    assert doctor.main() == 1
    assert capsys.readouterr().out == "ok   a is well\nBAD  b is not\n       fix: pip install b\n"


def test_doctor_needs_nothing_but_what_it_looks_at(monkeypatch):
    def breaks():
        raise ModuleNotFoundError("No module named 'mmengine'")

    monkeypatch.setattr(plugins, "load", breaks)
    (finding,) = diagnosis.check_plugins()
    assert finding.text == "plugins cannot be looked at: ModuleNotFoundError: No module named 'mmengine'"


def test_broken_plugins_are_fixed_where_they_come_from(monkeypatch):
    monkeypatch.setattr(plugins, "load", lambda: None)
    monkeypatch.setattr(plugins, "broken", lambda: {"sharp 1.5": "why", "mine": "why"})
    remedies = [finding.remedy for finding in diagnosis.check_plugins()]
    assert remedies == ["pip install --upgrade sharp, or leave it out", "correct it, or leave it out"]


def test_what_serves_as_another_package_is_not_missed():
    lines = ["ofhkit 0.1.0 requires mmcv-lite, which is not installed.", "No broken requirements found."]
    assert list(diagnosis.unmet(lines, {"mmcv": "2.1.0"})) == []
    assert [f.remedy for f in diagnosis.unmet(lines, {})] == ["pip install 'mmcv-lite'"]
