"""The components of docs/roles.md, as a stranger's plugin: through every door, in every role, to a report."""

import json
import re
import sys

import pytest
from pipeline_maker import FSRCNN, INPAINTER, ROOT
from test_plugins import clean, install  # noqa: F401 (a fixture)

from ofhkit import registry
from ofhkit.config import load_config
from ofhkit.errors import OfhkitError
from ofhkit.evaluation.compare import compare
from ofhkit.registry import ROLES, plugins
from ofhkit.testing import check
from ofhkit.training.curriculum import Options, train
from ofhkit.zoo import load_model

BLOCKS = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/roles.md").read_text(), re.M | re.S)
FOUND = re.findall(r"^@(\w+)\.register_module\(\)\nclass (\w+)", "\n".join(BLOCKS), re.M)
COMPONENTS = [(name, vars(registry)[constant]) for constant, name in FOUND]


def write(folder):
    folder.mkdir(parents=True)
    (folder / "stranger.py").write_text("\n\n".join(BLOCKS))
    return folder / "stranger.py"


@pytest.mark.parametrize("door", ["installed", "--plugins", "OFHKIT_PLUGINS", "custom_imports"])
def test_every_role_comes_through_every_door(door, tmp_path, recwarn):
    file = write(tmp_path / "site")
    if door == "installed":
        install(tmp_path / "site", "stranger", "stranger")
    elif door == "--plugins":
        plugins.request([str(file)])
    elif door == "OFHKIT_PLUGINS":
        plugins._loader.environment[plugins.VARIABLE] = str(tmp_path / "site")
    else:
        (tmp_path / "config.py").write_text("custom_imports = ['site/stranger.py']")
        load_config(tmp_path / "config.py")
    assert {role.get(name).__module__ for name, role in COMPONENTS} == {"stranger"}
    assert {role.name for _, role in COMPONENTS} == set(ROLES)
    assert not plugins.broken()


@pytest.mark.parametrize(("name", "registry"), COMPONENTS)
def test_each_keeps_its_promise(name, registry, tmp_path):
    plugins.request([str(write(tmp_path / "site"))])
    component, role = registry.get(name), registry.name
    parts, more = dict(inpainter=INPAINTER, upsampler=FSRCNN), {}
    if role == "stage":
        more = dict(model=dict(type="FaceHallucinator", **parts))
    check(role, component(**{"hallucinator": parts, "stage": dict(iterations=2)}.get(role, {})), **more)


CONFIG = """
_base_ = {base!r}
custom_imports = ["site/stranger.py"]
method = "mine"
model = dict(
    {model}
    inpainter=dict(type="MyInpainter"),
    upsampler=dict(type="MyUpsampler"),
)
data = dict(dataset=dict(type="MyFaces"), degradation=dict(occluder=dict(type="MyOccluder")))
stages = dict(
    landmarks=dict(iterations=2, batch_size=2),
    inpainter=dict(iterations=2, batch_size=2),
    upsampler=dict(iterations=3, batch_size=2, hooks=dict(mine=dict(type="MyHook", every=2))),
)
evaluation = dict(
    after_training=2,
    metrics=dict(mae=dict(type="MyMetric"), lpips=None, nrmse=None, iou=None),
    sections=dict(Summary=dict(type="MySection"), Broken=dict(type="MySection", key="none")),
)
runtime = dict(validations=1)
"""
FULL = """discriminator=dict(type="MyDiscriminator"),
    landmark_prior=dict(type="MyLandmarks"),
    losses=dict(gradient=dict(type="MyGradientLoss")),"""


@pytest.mark.slow
def test_one_configuration_of_nothing_but_strangers_trains_and_tabulates(tmp_path, capsys):
    write(tmp_path / "site")
    config, work = tmp_path / "all.py", tmp_path / "work"
    config.write_text(CONFIG.format(base=str(ROOT / "configs/ofhnet_celeba.py"), model=FULL))
    file = train(config, Options(work_dir=work, device="cpu"))
    printed = capsys.readouterr()
    assert printed.out.count("my hook: iteration") == 2
    assert json.loads((work / "all/upsampler/stage.json").read_text())["spec"]["hooks"]["mine"]["every"] == 2
    closing = json.loads((work / "all/results.json").read_text())
    assert 0 < closing["rows"][-1]["MAE"] < 1
    assert closing["metrics"]["MAE"]["higher_is_better"] is False
    best = min(row["MAE"] for row in closing["rows"])
    assert f"| **{best:.4f}** |" in printed.out  # bold where it is least
    rows = compare([config], work, out=tmp_path / "out", device="cpu")
    assert rows[-1]["method"] == "mine"
    assert 0 < rows[-1]["MAE"] < 1
    report = (tmp_path / "out/report.html").read_text()
    assert '"title": "Summary"' in report
    assert "mine: " in report
    assert "section 'Broken' of the report is left out: KeyError" in capsys.readouterr().err
    assert load_model(file, "cpu").scale == 8


def test_a_strangers_pipeline_keeps_its_settings(tmp_path):
    write(tmp_path / "site")
    config, work = tmp_path / "own.py", tmp_path / "work"
    model = 'type="MyHallucinator", gain=0.5, losses=dict(gradient=dict(type="MyGradientLoss")),'
    config.write_text(CONFIG.format(base=str(ROOT / "configs/fsrcnn_celeba.py"), model=model))
    file = train(config, Options(work_dir=work, device="cpu"))
    model = load_model(file, "cpu")
    assert (type(model).__name__, model.gain) == ("MyHallucinator", 0.5)


def test_a_misspelt_stranger_is_answered(tmp_path):
    write(tmp_path / "site")
    (tmp_path / "config.py").write_text(
        f"_base_ = {str(ROOT / 'configs/fsrcnn_celeba.py')!r}\ncustom_imports = 'site/stranger.py'"
    )
    for options, message in (
        ({"model.upsampler.type": "MyUpsamler"}, "unknown upsampler 'MyUpsamler'; did you mean 'MyUpsampler'"),
        ({"stages.upsampler.hooks.a.type": "MyHok"}, "unknown hook 'MyHok'; did you mean 'MyHook'"),
        ({"evaluation.sections.a.type": "MySecton"}, "unknown hook 'MySecton'; did you mean 'MySection'"),
        ({"evaluation.sections.a.type": "MyHook"}, "'MyHook' stands at stages.STAGE.hooks.NAME, and not here"),
        ({"stages.upsampler.hooks.a.type": "MySection"}, "'MySection' stands at evaluation.sections.NAME"),
        ({"model.landmark_prior.type": "MyParser"}, "model.landmark_prior .*'MyParser' stands at model.parser"),
        (
            {"evaluation.metrics.a": dict(type="ParsingIoU", parser=dict(type="MyLandmarks"))},
            "'MyLandmarks' stands at model.landmark_prior",
        ),
        ({"data.degradation.occluder.type": "Degradation"}, "'Degradation' stands at data.degradation, and"),
        ({"data.degradation.type": "MyOccluder"}, "'MyOccluder' stands at data.degradation.occluder"),
        ({"evaluation.metrics.a.type": "MyMetrik"}, "unknown metric 'MyMetrik'; did you mean 'MyMetric'"),
        ({"evaluation.metric.a.type": "MyMetric"}, "evaluation has no key 'metric'; did you mean 'metrics'"),
        ({"stages.upsamplr.iterations": 4}, "stages has no key 'upsamplr'; did you mean 'upsampler'"),
        (
            {"model.discriminatr.type": "MyDiscriminator"},
            "model has no key 'discriminatr'; did you mean 'discriminator'",
        ),
    ):
        with pytest.raises(OfhkitError, match=message):
            load_config(tmp_path / "config.py", options)
    assert "stranger" in sys.modules
