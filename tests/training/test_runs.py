"""One folder a configuration: whatever is trained next, a finished model stays where it is or is kept beside."""

import json

import pytest
from pipeline_maker import FSRCNN, INPAINTER, ROOT, write_pack

from ofhkit.config import load_config
from ofhkit.errors import OfhkitError
from ofhkit.evaluation.compare import compare
from ofhkit.training.curriculum import Options, train
from ofhkit.zoo.runs import keep_finished, name_run

PLAIN = "tiny"
SWAP = {"model.upsampler.type": "Bicubic"}
SWAPPED = "tiny+upsampler=Bicubic"


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    return write_pack(tmp_path_factory.mktemp("pack") / "noise")


def write(path, pack, **more):
    tiny = dict(iterations=1, batch_size=2)
    config = dict(
        _base_=str(ROOT / "configs/fsrcnn_celeba.py"),
        model=dict(inpainter=INPAINTER, upsampler=FSRCNN),
        stages=dict(inpainter=tiny, upsampler=tiny),
        data=dict(dataset=dict(root=str(pack))),
        runtime=dict(validations=1, val_images=1),
        evaluation=dict(after_training=2),
        **more,
    )
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(f"{k} = {v!r}" for k, v in config.items()))
    return path


@pytest.fixture
def config(pack, tmp_path):
    return write(tmp_path / f"{PLAIN}.py", pack)


def options(tmp_path, **more):
    return Options(work_dir=tmp_path / "work", device="cpu", **more)


def finished(tmp_path):
    """Every finished model under the work dir, by its folder, as bytes; and the method its results are of."""
    work = tmp_path / "work"
    models = {str(p.parent.relative_to(work)): p.read_bytes() for p in work.rglob("model.safetensors")}
    last = {name: json.loads((work / name / "results.json").read_text())["rows"][-1]["method"] for name in models}
    return models, last


def table(tmp_path, *named):
    rows = compare(named, tmp_path / "work", out=tmp_path / "out", device="cpu", quick=True)
    return [row["method"] for row in rows if row.get("checkpoint_sha256")]


def test_a_swapped_component_has_a_folder_and_a_name_of_its_own(config, tmp_path):
    train(config, options(tmp_path))
    before, _ = finished(tmp_path)
    file = train(config, options(tmp_path), cfg_options=SWAP)
    assert file.parent.name == SWAPPED
    models, methods = finished(tmp_path)
    assert methods == {PLAIN: "IN+FSRCNN", SWAPPED: SWAPPED}
    assert models[PLAIN] == before[PLAIN]
    assert table(tmp_path) == ["IN+FSRCNN", SWAPPED]
    assert table(tmp_path, config) == ["IN+FSRCNN"]
    assert table(tmp_path, tmp_path / "work" / SWAPPED) == [SWAPPED]


def test_a_name_that_the_user_gives_is_the_rows(config, tmp_path):
    file = train(config, options(tmp_path), cfg_options={**SWAP, "method": "mine"})
    assert file.parent.name == SWAPPED
    assert table(tmp_path) == ["mine"]
    assert table(tmp_path, config) == ["mine"]  # the only run there is of this file
    train(config, options(tmp_path), cfg_options={"model.inpainter.type": "Telea"})
    with pytest.raises(OfhkitError, match=rf"(?s)not trained under .*or name the folder of a run .*{PLAIN}\+upsampler"):
        table(tmp_path, config)


def test_another_file_of_the_same_name_does_not_take_the_folder(config, pack, tmp_path):
    train(config, options(tmp_path))
    before, _ = finished(tmp_path)
    other = tmp_path / "other" / config.name
    other.parent.mkdir()
    other.write_text(f"_base_ = {str(config)!r}\nmodel = dict(upsampler=dict(type='Bicubic'))\n")
    for _ in range(2):  # the second time it is found again
        assert train(other, options(tmp_path)).parent.name == SWAPPED
    models, methods = finished(tmp_path)
    assert methods == {PLAIN: "IN+FSRCNN", SWAPPED: SWAPPED}
    assert models[PLAIN] == before[PLAIN]
    assert table(tmp_path, other) == [SWAPPED]
    assert table(tmp_path, config) == ["IN+FSRCNN"]


def test_another_budget_or_seed_keeps_the_finished_model(config, tmp_path):
    train(config, options(tmp_path))
    first = finished(tmp_path)[0][PLAIN]
    train(config, options(tmp_path))
    assert list(finished(tmp_path)[0]) == [PLAIN]  # the same again is nothing new
    train(config, options(tmp_path, budget=3))
    second = finished(tmp_path)[0][PLAIN]
    train(config, options(tmp_path, budget=3), seed=5)
    models, methods = finished(tmp_path)
    assert models.keys() == {PLAIN, f"{PLAIN}/before-1", f"{PLAIN}/before-2"} == methods.keys()
    assert (models[f"{PLAIN}/before-1"], models[f"{PLAIN}/before-2"]) == (first, second)
    assert len({first, second, models[PLAIN]}) == 3
    assert table(tmp_path) == ["IN+FSRCNN", "IN+FSRCNN (tiny/before-1)", "IN+FSRCNN (tiny/before-2)"]
    assert table(tmp_path, config) == ["IN+FSRCNN"]
    assert table(tmp_path, tmp_path / "work/tiny/before-1") == ["IN+FSRCNN (tiny/before-1)"]


def test_a_method_without_a_step_of_its_own_is_kept_too(config, tmp_path):
    for budget in (1, 3):
        train(config, options(tmp_path, budget=budget), cfg_options=SWAP)
    assert set(finished(tmp_path)[0]) == {SWAPPED, f"{SWAPPED}/before-1"}


def test_a_kill_while_the_finished_model_is_put_aside_loses_nothing(tmp_path):
    for name in ("model.safetensors", "config.json", "results.json"):
        (tmp_path / name).write_text(name)
    (tmp_path / "before-1").mkdir()
    (tmp_path / "config.json").rename(tmp_path / "before-1/config.json")  # so far it had come
    keep_finished(tmp_path)
    assert {p.name: p.read_text() for p in (tmp_path / "before-1").iterdir()} == {
        name: name for name in ("model.safetensors", "config.json", "results.json")
    }


def test_finished_weights_whose_description_is_gone_are_not_written_over(config, tmp_path):
    train(config, options(tmp_path))
    step = tmp_path / "work" / PLAIN / "upsampler"
    old = (step / "weights.safetensors").read_bytes()
    (step / "stage.json").write_text("torn")
    train(config, options(tmp_path))
    assert (step.with_name("upsampler.before-1") / "weights.safetensors").read_bytes() == old


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({}, PLAIN),
        ({"data.dataset.root": "elsewhere", "data.num_workers": 2, "stages.upsampler.iterations": 9}, PLAIN),
        ({"runtime.seed": 3, "evaluation.batch_size": 2}, PLAIN),
        ({"model.upsampler.channels": 8}, "tiny+upsampler.channels=8"),
        ({"model.upsampler.channels": 4}, PLAIN),  # what it has anyway
        ({"model.upsampler.type": "VDSR", "model.upsampler.channels": 8}, "tiny+upsampler=VDSR+upsampler.channels=8"),
        ({"model.losses.pixel.weight": 2}, "tiny+losses.pixel.weight=2"),
        ({"model.losses.pixel": None, "model.losses.a.type": "PixelLoss"}, "tiny+losses.pixel=None+losses.a=PixelLoss"),
        ({"model.discriminator.type": "FaceDiscriminator"}, "tiny+discriminator=FaceDiscriminator"),
        ({"data.dataset.limit": 4}, "tiny+dataset.limit=4"),
        ({"data.degradation.test_seed": 7}, "tiny+degradation.test_seed=7"),
        ({"stages.inpainter.loss.type": "CompletionLoss"}, "tiny+stages.inpainter.loss=CompletionLoss"),
        ({"model.inpainter.channels": [4, 4, 4, 8]}, "tiny+inpainter.channels=4,4,4,8"),
    ],
)
def test_what_is_called_what(config, tmp_path, changed, name):
    named, method = name_run(load_config(config, changed), load_config(config), PLAIN, tmp_path)
    assert named == name
    assert method == ("IN+FSRCNN" if name == PLAIN else name)


def test_names_are_safe_short_and_stay_apart(config, tmp_path):
    plain = load_config(config)
    names = []
    for text in ("../../a b\n|c", "../../a b\n/c", "x" * 400, "x" * 401):
        changed = load_config(config)
        changed.data.dataset["landmark_source"] = text
        names.append(name_run(changed, plain, PLAIN, tmp_path)[0])
    assert len(set(names)) == 4
    for name in names:
        assert len(name) <= 120
        assert not set("/\\ \n|<>:*?\"'") & set(name)
