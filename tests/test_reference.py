"""The pages made from the code say everything that it does."""

import re
from pathlib import Path

import pytest
from reference import (
    PARTS,
    components_page,
    configuration_page,
    documented,
    models_page,
    models_table,
    part_page,
)

from ofhkit.commands.components import list_components
from ofhkit.config.settings import Data, Evaluation, Runtime
from ofhkit.registry import ROLES, parameters
from ofhkit.zoo import zoo

ROOT = Path(__file__).parents[1]
PUBLISHED = ("inpainter", "upsampler", "discriminator", "prior", "loss")
WITHOUT_A_PAPER = {"GaussianInpainter", "LinearUpsampler", "MeanFace", "ParsingLoss"}


@pytest.fixture(scope="module")
def configuration():
    return "\n".join([configuration_page(), *map(part_page, PARTS)])


@pytest.mark.parametrize("role", ROLES)
def test_every_argument_of_every_component_is_explained(role, configuration):
    for name in ROLES[role].names():
        section = (
            configuration.partition(f"{{ #arguments-{role} }}")[2].partition(f"**{name}**")[2].partition("\n**")[0]
        )
        rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", section, re.M))
        for argument in set(parameters(ROLES[role].get(name))[0]):
            takes, _, meaning = rows[argument].split(" | ") if " | " in rows[argument] else (rows[argument], "", "")
            assert meaning.strip() or "components.md" in takes, f"{role} {name}: {argument} is not explained"


@pytest.mark.parametrize("settings", [Runtime, Data, Evaluation])
def test_every_setting_is_explained(settings, configuration):
    for name in settings.__dataclass_fields__:
        assert documented(settings).get(name), f"{settings.__name__}.{name}"
        assert f"| `{name}` |" in configuration


def test_the_parts_of_a_configuration_are_linked_and_short():
    page = configuration_page()
    for part in PARTS:
        assert f"(configuration_{part}.md)" in page
    assert len(page.splitlines()) < 60


def test_every_model_has_a_card_and_a_picture():
    page = models_page()
    for name in zoo():
        assert page.count(f"\n### {name}\n") == 1
        assert (ROOT / f"docs/pictures/models/{name}.jpg").is_file(), "python tools/pictures.py models"
    assert "**Limits.**" in page


def test_readme_shows_the_models_as_their_headers_say():
    assert models_table() in (ROOT / "README.md").read_text(), "python tools/reference_pages.py --readme README.md"


def test_optimizers_and_schedules_are_named(configuration):
    assert "`AdamW`" in configuration
    assert "`CosineAnnealingLR`" in configuration


def test_every_component_has_a_place(configuration):
    page = components_page(sizes=False)
    for role, registry in ROLES.items():
        section = page.partition(f"\n## {role}\n")[2].partition("\n## ")[0]
        assert re.findall(r"^### (\w+)", section, re.M) == registry.names()


@pytest.mark.parametrize("role", PUBLISHED)
def test_every_published_method_states_its_paper_and_what_differs(role):
    for entry in list_components(role, sizes=False):
        if entry.name not in WITHOUT_A_PAPER:
            assert entry.reference != entry.summary, f"{entry.name}: no reference"
            assert entry.differs.endswith("."), f"{entry.name} does not say what differs from the paper"
