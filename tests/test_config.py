"""Configuration files: bases, overrides, origins, and answers to typos."""

import typing
from pathlib import Path

import pytest

from ofhkit.config import from_json, load_config, settings, to_json
from ofhkit.config.check import check, complete
from ofhkit.config.load import load_with_origins, parse_option
from ofhkit.data.celeba.files import find_celeba
from ofhkit.data.celeba.prepare import find_or_prepare
from ofhkit.data.image_folder import ImageFolder
from ofhkit.data.packed import PackedFaces
from ofhkit.errors import OfhkitError
from ofhkit.ops.upsample_conv import IMPLEMENTATIONS

CONFIGS = Path(__file__).parents[1] / "configs"
PRIOR = sorted((CONFIGS / "gaussian").glob("*.py"))
RIVALS = sorted((CONFIGS / "rivals").glob("*.py"))
METHODS = sorted(CONFIGS.glob("*_celeba.py"))
SYNTHETIC = sorted(CONFIGS.glob("*_synthetic.py"))


@pytest.fixture
def write(tmp_path):
    def write(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    write("base.py", "model = dict(type='FaceHallucinator', upsampler=dict(type='VDSR', num_blocks=4))\nmethod = 'a'")
    return write


def test_the_papers_six_methods_and_ours_are_celeba_configs():
    papers = {f"{m}_celeba" for m in ("bicubic", "fsrcnn", "ma", "ofhnet", "urdgn", "vdsr")}
    assert {p.stem for p in METHODS} >= papers | {"ofhnet_plus_celeba", "ofhnet_plus_perceptual_celeba"}


@pytest.mark.parametrize("path", [*METHODS, *PRIOR, *RIVALS], ids=lambda p: p.stem)
def test_what_a_run_stores_can_be_read_again(path, tmp_path):
    """With every component's defaults written out; none of their names may be taken for a section's."""
    config = load_config(path)
    config.model = complete(config.model, "model")
    (tmp_path / "config.json").write_text(to_json(config))
    assert from_json(tmp_path / "config.json").model.upsampler.type == config.model.upsampler.type


@pytest.mark.slow
@pytest.mark.parametrize("path", [*METHODS, *SYNTHETIC, *PRIOR, *RIVALS], ids=lambda p: p.stem)
def test_every_method_loads_and_says_its_command(path):
    config = load_config(path)
    assert f"python tools/train.py configs/{path.relative_to(CONFIGS)}" in path.read_text()
    assert config.method
    assert from_json_round_trip(config) == config.to_dict()


def test_every_method_of_the_paper_stands_on_the_prior_too():
    on_prior = {load_config(p).model.upsampler.type: load_config(p).model for p in PRIOR if "linear_" not in p.stem}
    papers = [p for p in METHODS if "plus" not in p.stem]
    assert {load_config(p).model.upsampler.type for p in papers} <= set(on_prior)
    assert all(model.inpainter == dict(type="GaussianInpainter") for model in on_prior.values())


def from_json_round_trip(config):
    import json

    return json.loads(to_json(config))


def test_a_change_of_type_replaces_the_component(write):
    child = write("child.py", "_base_ = 'base.py'\nmodel = dict(upsampler=dict(type='FSRCNN', num_blocks=2))")
    assert load_config(child).model.upsampler == dict(type="FSRCNN", num_blocks=2)
    config = load_config(write("same.py", "_base_ = 'base.py'"), {"model.upsampler.type": "Bicubic"})
    assert config.model.upsampler == dict(type="Bicubic")


def test_without_a_change_of_type_keys_merge(write):
    child = write("child.py", "_base_ = 'base.py'\nmodel = dict(upsampler=dict(channels=8))")
    assert load_config(child).model.upsampler == dict(type="VDSR", num_blocks=4, channels=8)


def test_the_order_of_options_does_not_matter(write):
    path = write("c.py", "_base_ = 'base.py'")
    options = {"model.upsampler.num_blocks": 1, "model.upsampler.type": "FSRCNN"}
    expected = dict(type="FSRCNN", num_blocks=1)
    assert load_config(path, options).model.upsampler == expected
    assert load_config(path, dict(reversed(options.items()))).model.upsampler == expected


def test_every_value_knows_where_it_came_from(write):
    child = write("child.py", "_base_ = 'base.py'\nmodel = dict(upsampler=dict(channels=8))")
    _, origins = load_with_origins(child, {"method": "b"})
    assert origins["model.upsampler.num_blocks"].endswith("base.py")
    assert origins["model.upsampler.channels"].endswith("child.py")
    assert origins["method"] == "--cfg-options"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modle = dict()", "unknown configuration key 'modle' .*child.py.*; did you mean 'model'"),
        ("_base_ = 'bsae.py'", "no configuration file .*did you mean 'base.py'"),
        ("_base_ = 'child.py'", "refers back to itself"),
        ("method = 1 +", "cannot be read as Python: SyntaxError"),
        ("model = dict(type='FaceHalucinator')", r"model \(.*child.py\): unknown hallucinator .*'FaceHallucinator'"),
        (
            "_base_ = 'base.py'\nmodel = dict(upsampler=dict(num_block=1))",
            r"model.upsampler \(.*child.py\): upsampler 'VDSR' takes no argument 'num_block'; .* 'num_blocks'",
        ),
        ("model = dict(losses=dict(p=dict(type='PixelLos')), type='FaceHallucinator')", "did you mean 'PixelLoss'"),
    ],
)
def test_typos_are_answered(write, text, message):
    with pytest.raises(OfhkitError, match=message):
        load_config(write("child.py", text))


STEP = "stages = dict(s=dict(type='InpainterStage', iterations=9, {}))"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("runtime = dict(seeed=1)", r"runtime \(.*child.py\) takes no argument 'seeed'; did you mean 'seed'"),
        ("runtime = dict(seed='1')", r"runtime \(.*child.py\): seed must be a whole number, got '1'"),
        ("runtime = dict(channels_last=1)", "channels_last must be True or False, got 1"),
        ("runtime = dict(implementation='fast')", "implementation must be 'auto' or 'enlarged' or 'nine' or 'phase'"),
        ("data = dict(num_worker=1)", "did you mean 'num_workers'"),
        ("data = dict(num_workers=-1)", "num_workers must be 0 or more, got -1"),
        ("evaluation = dict(batch_size=0)", "batch_size must be 1 or more, got 0"),
        ("_base_ = 'base.py'\nmodel = dict(upsampler=dict(channels='8'))", r"\(.*child.py\): VDSR: channels must"),
        ("_base_ = 'base.py'\nmodel = dict(upsampler=dict(num_blocks=True))", "num_blocks must be a whole number"),
        ("_base_ = 'base.py'\nmodel = dict(upsampler=dict(num_blocks=0))", "num_blocks must be 1 or more"),
        ("model = dict(type='FaceHallucinator', inpainter=dict(type='EncoderDecoder', channels=[4, 'a']))", "a list"),
        ("data = dict(degradation=dict(type='Degradation', occluder=dict(type='RandomRectangle', min_area=99)))",
         "min_area <= max_area"),
        (STEP.format("optimizer=dict(type='Adm')"), "unknown optimizer 'Adm'; did you mean"),
        (STEP.format("optimizer=dict(type='Adam', rl=1)"), "'Adam' takes no argument 'rl'"),
        (STEP.format("optimizer=dict(type='Adam', lr=-1.0)"), r"\(.*child.py\): optimizer 'Adam': lr must be 0"),
        (STEP.format("optimizer=dict(type='Adam', lr='fast')"), "'Adam': lr must be a number .*, got 'fast'"),
        (STEP.format("clip_grad=dict(max_nrm=1)"), "clip_grad takes no argument 'max_nrm'; did you mean 'max_norm'"),
        (STEP.format("clip_grad=dict(max_norm=-1)"), "clip_grad: max_norm must be more than 0, got -1"),
        ("_base_ = 3", "_base_ names a file or a list of files, got 3"),
        ("custom_imports = 3", "custom_imports is a list of modules, files or folders, got 3"),
        ("stages = None", r"stages \(.*child.py\) must be a dict of components, got None"),
        ("runtime = dict(seed=10**12)", r"runtime \(.*child.py\): seed must be 4294967295 or less"),
        ("method = 3", r"method \(.*child.py\) must be a string, got 3"),
        ("model = 3", r"model \(.*child.py\) must be a dict of its own 'type', got 3"),
        ("stages = dict(s=3)", r"stages.s \(.*child.py\) must be a dict of its own 'type', got 3"),
        ("stages = [1]", r"stages \(.*child.py\) must be a dict of components, got \[1\]"),
        (STEP.format("schedule=dict(type='CosineAnealingLR')"), "did you mean 'CosineAnnealingLR'"),
        (STEP.format("schedule=dict(type='MultiStepLR', milestone=[1])"), "did you mean 'milestones'"),
        (STEP.format("batch_size=0"), "batch_size must be 1 or more"),
        (STEP.format("freeze_bn=2"), "freeze_bn is a share between 0 and 1"),
    ],
)  # fmt: skip
def test_wrong_types_and_ranges_fail_before_any_data_is_read(write, text, message):
    with pytest.raises(OfhkitError, match=message):
        load_config(write("child.py", text))


def test_the_plain_settings_are_all_known():
    assert settings.Runtime(**load_config(METHODS[0]).runtime).seed == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model.upsamler.type": "FSRCNN"}, "model has no key 'upsamler'; did you mean 'upsampler'"),
        ({"model.upsampler.scal": 4}, "no argument 'scal'; did you mean 'scale'"),
        ({"runtim.seed": 4}, "has no key 'runtim'"),
        ({"model.upsampler.chanels": 4}, r"^model.upsampler \(--cfg-options\): .* did you mean 'channels'"),
        ({"model.upsampler.typ": "FSRCNN"}, r"\(--cfg-options\): upsampler 'VDSR' .* 'typ'; did you mean 'type'"),
        ({"model.upsampler.type.x": 1}, r"\(--cfg-options\): upsampler: 'type' must be a name, got {'x': 1}"),
        ({"stages.s.optimizer.typ": "SGD"}, r"stages.s \(--cfg-options\): optimizer 'Adam' .* did you mean 'type'"),
        (
            {"stages.s.optimizer.type": "SDG"},
            r"stages.s \(--cfg-options\): unknown optimizer 'SDG'; did you mean 'SGD'",
        ),
        (
            {"stages.s.batch_size": 0},
            r"stages.s \(--cfg-options\): InpainterStage: batch_size must be 1 or more, got 0",
        ),
        ({"stages.s.clip_grad.max_nrm": 1}, r"stages.s \(--cfg-options\): clip_grad .* did you mean 'max_norm'"),
        ({"stages.s.optimzer.lr": 1}, "stages.s has no key 'optimzer'; did you mean 'optimizer'"),
    ],
)
def test_typos_in_options_are_answered(write, options, message):
    step = STEP.format("optimizer=dict(type='Adam', lr=1e-3)")
    with pytest.raises(OfhkitError, match=message):
        load_config(write("c.py", f"_base_ = 'base.py'\n{step}"), options)


@pytest.mark.parametrize(
    ("text", "value"),
    [("a=1", 1), ("a=1e-3", 1e-3), ("a=x", "x"), ("a=None", None), ("a=true", True), ("a=[1,2]", [1, 2]),
     ("a=1,2", [1, 2]), ("a=x,y", ["x", "y"]), ("a='1'", "1"), ("a=b=c", "b=c")],
)  # fmt: skip
def test_options_are_literals_lists_or_strings(text, value):
    assert parse_option(text) == ("a", value)


def test_defaults_are_written_out_so_that_a_change_of_them_is_a_change():
    model = complete(load_config(CONFIGS / "ofhnet_celeba.py").model, "model")
    assert model["losses"]["adversarial"] == dict(type="AdversarialLoss", weight=0.0002, label_smoothing=0.0, r1=0.0)
    assert model["upsampler"]["channels"] == [256, 128, 64]


def test_a_stored_configuration_is_data_not_code(tmp_path):
    (tmp_path / "config.json").write_text("import os")
    with pytest.raises(OfhkitError, match="no readable stored configuration"):
        from_json(tmp_path / "config.json")


def test_the_implementations_are_those_of_the_operators():
    assert typing.get_args(typing.get_type_hints(settings.Runtime)["implementation"]) == IMPLEMENTATIONS


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ({"evaluation.batch_size": 10**30}, r"batch_size must be 65536 or less"),
        ({"stages.inpainter.batch_size": 10**30}, r"batch_size must be 65536 or less"),
        ({"data.num_workers": 100000}, r"num_workers must be 1024 or less"),
        ({"model.upsampler.channels": ()}, r"channels must not be empty"),
        ({"model.upsampler.head_channels": (4,)}, r"head_channels must be a list of 2"),
        ({"model.inpainter.channels": (4, 4)}, r"channels must be a list of 4"),
        ({"stages.upsampler.optimizer": {"type": ["Adam"]}}, r"unknown optimizer \['Adam'\]"),
    ],
)
def test_what_no_run_could_do_is_refused_before_it(option, complaint):
    with pytest.raises(OfhkitError, match=complaint):
        load_config(CONFIGS / "ofhnet_celeba.py", option)


def test_a_section_needs_what_it_has_no_default_for():
    with pytest.raises(OfhkitError, match=r"data\.degradation is missing: add it"):
        check({"data": {"dataset": {"type": "SyntheticFaces", "num_faces": 4}}})


def test_a_configuration_that_ships_is_found_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wanted = load_config(CONFIGS / "ofhnet_synthetic.py")
    for name in ("ofhnet_synthetic", "ofhnet_synthetic.py", "configs/ofhnet_synthetic.py"):
        assert load_config(name).to_dict() == wanted.to_dict()
    assert load_config("gaussian_celeba").to_dict() == load_config(CONFIGS / "gaussian/gaussian_celeba.py").to_dict()
    (tmp_path / "mine.py").write_text("_base_ = 'ofhnet_synthetic'\nruntime = dict(seed=3)")
    assert load_config("mine.py").runtime.seed == 3
    (tmp_path / "ofhnet_synthetic.py").write_text("_base_ = 'mine.py'\nruntime = dict(seed=4)")
    (tmp_path / "mine.py").write_text(f"_base_ = '{CONFIGS / 'ofhnet_synthetic.py'}'")
    assert load_config("ofhnet_synthetic.py").runtime.seed == 4  # a file of one's own comes first
    with pytest.raises(OfhkitError, match="did you mean 'ofhnet_synthetic'"):
        load_config("ofhnet_syntetic")
    with pytest.raises(OfhkitError, match="the folder does not exist"):
        load_config("other/ofhnet_synthetic.py")


def test_a_configuration_that_is_a_loop_of_links_and_an_option_that_python_cannot_build(tmp_path):
    (tmp_path / "loop.py").symlink_to("loop.py")
    with pytest.raises(OfhkitError, match=r"no configuration file .*loop\.py"):
        load_config(tmp_path / "loop.py")
    for value in ("{{}}", "{[]}", "{[]: 1}", "-" * 10_000):
        assert parse_option(f"model={value}") == ("model", value)


@pytest.mark.parametrize("door", [find_celeba, find_or_prepare, PackedFaces, ImageFolder])
def test_nobodys_home_is_no_folder(door):
    with pytest.raises(OfhkitError, match="~nosuchuser"):
        door("~nosuchuser/faces")


@pytest.mark.parametrize("door", [find_celeba, find_or_prepare, ImageFolder])
def test_links_that_go_in_circles_are_no_folder(door, tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OfhkitError, match="loop"):
        door(tmp_path / "loop")
