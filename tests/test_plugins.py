"""Three ways to name a plugin, and plugins that are broken, twice, misspelt or from another time."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ofhkit.commands.cli import new_plugin
from ofhkit.config import load_config
from ofhkit.config.load import request_custom_imports
from ofhkit.errors import OfhkitError
from ofhkit.registry import ROLES, UPSAMPLERS, plugins
from ofhkit.testing import check

ROOT = Path(__file__).parents[1]
COMPONENT = """
from ofhkit.registry import {registry}
@{registry}.register_module()
class {name}:
    pass
"""


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    """A process's first moments: nothing asked for, nothing loaded; afterwards everything as before."""
    for registry in ROLES.values():
        registry.names()
    before = {role: dict(registry.module_dict) for role, registry in ROLES.items()}
    modules = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name, value in vars(plugins.Loader(environment={})).items():
        monkeypatch.setattr(plugins._loader, name, value)
    monkeypatch.chdir(tmp_path)
    yield
    for name in set(sys.modules) - modules:
        file = getattr(sys.modules[name], "__file__", None)
        if file and file.startswith(str(tmp_path)):
            del sys.modules[name]
    for role, registry in ROLES.items():
        registry.module_dict.clear()
        registry.module_dict.update(before[role])


def write(path: Path, name: str = "Mine", registry: str = "UPSAMPLERS", more: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(COMPONENT.format(name=name, registry=registry) + textwrap.dedent(more))
    return path


def install(folder: Path, name: str, entry: str, requires: str = "ofhkit>=0.1") -> None:
    """What pip leaves of a distribution."""
    info = folder / f"{name}-1.5.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\nRequires-Dist: {requires}\n")
    (info / "entry_points.txt").write_text(f"[{plugins.GROUP}]\n{name} = {entry}\n")
    sys.path.append(str(folder))


def test_an_installed_distribution_is_found(tmp_path):
    write(tmp_path / "site/stranger_a/__init__.py")
    install(tmp_path / "site", "stranger-a", "stranger_a")
    origin = plugins.origin(UPSAMPLERS.get("Mine"))
    assert (origin.package, origin.version, origin.file.name) == ("stranger-a", "1.5", "__init__.py")


@pytest.mark.parametrize("role", list(ROLES))
def test_every_role_takes_a_component(role, tmp_path):
    registry = ROLES[role]
    constant = next(name for name, value in vars(sys.modules["ofhkit.registry"]).items() if value is registry)
    write(tmp_path / f"for_{role}.py", registry=constant)
    plugins.request([f"for_{role}"])
    assert registry.get("Mine").__module__ == f"for_{role}"


def test_a_function_registers(tmp_path):
    code = """
    from ofhkit.registry import UPSAMPLERS
    def register():
        UPSAMPLERS.register_module(name="Called", module=dict)
    """
    (tmp_path / "functional_plugin.py").write_text(textwrap.dedent(code))
    plugins.request(["functional_plugin:register"])
    assert UPSAMPLERS.get("Called") is dict


@pytest.mark.parametrize("reference", ["folder", "folder/one.py", "folder/package", "project", "./project"])
def test_files_and_folders_need_no_installation(tmp_path, reference):
    write(tmp_path / "folder/one.py", "One")
    write(tmp_path / "folder/package/__init__.py", "Two")
    write(tmp_path / "project/src/in_src/__init__.py", "Three")
    (tmp_path / "project/setup.py").write_text("raise SystemExit('not a plugin')")
    plugins._loader.environment[plugins.VARIABLE] = reference
    expected = {"folder": {"One", "Two"}, "folder/one.py": {"One"}, "folder/package": {"Two"}}
    assert {"One", "Two", "Three"} & set(UPSAMPLERS.names()) == expected.get(reference, {"Three"})
    assert not plugins.broken()


def test_imports_of_a_configuration_add_up_and_come_before_the_check(tmp_path):
    write(tmp_path / "base/beside.py", "Beside", "INPAINTERS")
    write(tmp_path / "mine.py", "Mine")
    write(tmp_path / "late.py", "Late")
    (tmp_path / "base/base.py").write_text(
        "custom_imports = ['beside']\n"
        "model = dict(type='FaceHallucinator', inpainter=dict(type='Beside'), upsampler=dict(type='VDSR'))"
    )
    child = tmp_path / "child.py"
    child.write_text(
        "_base_ = 'base/base.py'\ncustom_imports = dict(imports=['mine'])\nmodel = dict(upsampler=dict(type='Mine'))"
    )
    config = load_config(child, {"custom_imports": "late", "model.upsampler.type": "Late"})
    assert [Path(name).stem for name in config.custom_imports] == ["beside", "mine", "late"]
    assert {"Mine", "Late"} <= set(UPSAMPLERS.names())


def test_custom_imports_are_asked_for_without_the_rest(tmp_path):
    write(tmp_path / "mine.py")
    (tmp_path / "config.py").write_text("custom_imports = 'mine'\nmodel = dict(type='Misspelt')")
    request_custom_imports([tmp_path / "config.py"])
    assert "Mine" in UPSAMPLERS


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ("import no_such_thing", "ModuleNotFoundError: No module named 'no_such_thing'.*line 7"),
        ("1 / 0", "ZeroDivisionError"),
        ("def broken(:", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("OFHKIT_REQUIRES = '>=7'", "works with ofhkit >=7, and this is"),
        ("OFHKIT_REQUIRES = 'seven'", "InvalidSpecifier"),
    ],
)
def test_a_broken_plugin_is_named_once_and_the_rest_works(tmp_path, more, reason):
    write(tmp_path / "faulty.py", "Half", more="\n" + more)
    write(tmp_path / "sound.py", "Sound")
    plugins.request(["faulty", "sound"])
    with pytest.warns(plugins.PluginWarning, match=f"plugin 'faulty' is left out: .*{reason}") as caught:
        names = UPSAMPLERS.names()
    assert {"Sound", "FSRCNN"} <= set(names)
    assert len(caught) == 1
    assert "Half" not in UPSAMPLERS.names()
    with pytest.raises(OfhkitError, match=r"unknown upsampler 'Half'.*plugin 'faulty' is left out"):
        UPSAMPLERS.get("Half")


@pytest.mark.parametrize(
    ("requires", "entry"), [("ofhkit>=9", "stranger_b"), ("ofhkit", "stranger_b:missing"), ("ofhkit", "gone_away")]
)
def test_a_broken_distribution_is_named(tmp_path, requires, entry):
    write(tmp_path / "site/stranger_b.py")
    install(tmp_path / "site", "stranger-b", entry, requires)
    with pytest.warns(plugins.PluginWarning, match=r"plugin 'stranger-b 1.5' is left out"):
        assert "Mine" not in UPSAMPLERS.names()


def test_one_name_from_two_origins_is_an_error_naming_both(tmp_path):
    write(tmp_path / "site/stranger_c.py")
    install(tmp_path / "site", "stranger-c", "stranger_c")
    write(tmp_path / "other.py")
    plugins.request(["other"])
    for _ in range(2):  # it does not go away by trying again
        with pytest.raises(
            OfhkitError, match=r"upsampler 'Mine' .*stranger-c 1.5 \(.*stranger_c.py\).*other \(.*other"
        ):
            UPSAMPLERS.get("FSRCNN")


def test_a_plugin_cannot_take_a_name_of_ours(tmp_path):
    write(tmp_path / "greedy.py", "FSRCNN")
    plugins.request(["greedy"])
    with pytest.raises(OfhkitError, match=r"'FSRCNN' is already registered by ofhkit .*fsrcnn.py.*greedy"):
        UPSAMPLERS.get("VDSR")


def test_a_notebook_may_run_its_cell_again():
    for _ in range(2):
        UPSAMPLERS.register_module(name="Cell", module=type("Cell", (), {"__module__": "__main__"}))


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("my_plugn", "--plugins: there is no module or folder 'my_plugn'; did you mean 'my_plugin'"),
        ("nowhere/at_all", "nowhere/at_all is no Python module"),
        ("empty", "empty is no Python module and no folder of modules"),
        ("my_plugin:regster", "has no 'regster'; did you mean 'register'"),
    ],
)
def test_misspelt_references_are_answered(tmp_path, reference, message):
    (tmp_path / "empty").mkdir()
    write(tmp_path / "my_plugin.py", more="\ndef register(): pass")
    with pytest.raises(OfhkitError, match=message):  # noqa: PT012 (one of the two raises)
        plugins.request([reference])
        plugins.load()


def test_a_module_of_the_same_name_is_not_mistaken_for_it(tmp_path):
    write(tmp_path / "json.py")
    plugins.request(["./json.py"])
    with pytest.warns(plugins.PluginWarning, match="another module 'json' is loaded"):
        assert "Mine" not in UPSAMPLERS.names()


@pytest.mark.parametrize("kind", new_plugin.EXAMPLES)
def test_a_generated_plugin_keeps_its_promises(kind, tmp_path):
    for path, text in new_plugin.files("fresh_one", kind).items():
        (tmp_path / "fresh_one" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fresh_one" / path).write_text(text)
    plugins.request(["fresh_one"])
    arguments = {"hallucinator": (dict(type="EncoderDecoder"), dict(type="FSRCNN")), "stage": (1,)}
    component = new_plugin.role_of(kind).get("FreshOne")
    check(new_plugin.role_of(kind).name, component(*arguments.get(kind, ())))
    assert '"ofhkit>=0.1,<0.2"' in (tmp_path / "fresh_one/pyproject.toml").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a_name", "upsampeler"], "no template for the role 'upsampeler'; did you mean 'upsampler'"),
        (["A-Name", "loss"], "'A-Name' cannot be a package's name"),
        (["taken", "loss"], "taken exists"),
    ],
)
def test_wrong_arguments_of_the_generator_are_answered(arguments, message, monkeypatch, tmp_path):
    (tmp_path / "plugins/taken").mkdir(parents=True)
    monkeypatch.setattr(sys, "argv", ["new_plugin.py", *arguments])
    with pytest.raises(OfhkitError, match=message):
        new_plugin.main()


@pytest.mark.slow
def test_the_tools_take_plugins(tmp_path):
    tool = [sys.executable, str(ROOT / "tools/train.py"), "config.py", "--plugins"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    write(tmp_path / "mine.py")
    (tmp_path / "faulty.py").write_text("1 / 0")
    (tmp_path / "config.py").write_text("model = dict(type='FaceHallucinator', upsampler=dict(type='Mine', scal=8))")
    done = subprocess.run([*tool, "mine,faulty"], env=environment, capture_output=True, text=True, check=False)
    assert done.stderr.startswith("warning: plugin 'faulty' is left out: ZeroDivisionError")
    assert "upsampler 'Mine' takes no argument 'scal'" in done.stderr
    done = subprocess.run([*tool, "mien"], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "did you mean 'mine'" in done.stderr


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, ofhkit, ofhkit.commands.options; print({'torch', 'mmengine', 'packaging'} & set(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), plugins.VARIABLE: "not_there"}
    assert subprocess.check_output([sys.executable, "-c", code], env=environment, text=True).strip() == "set()"
