"""Reference pages of the documentation, written from the code: they cannot say anything else than it does."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields
from functools import partial
from typing import Any

import mmengine.optim  # noqa: F401 (registers optimizers and schedules)
from mmengine.registry import OPTIMIZERS, PARAM_SCHEDULERS

from ofhkit.commands.components import Entry, list_components
from ofhkit.config.check import ROLE_OF_KEY, TOP_LEVEL, annotations_of, describe
from ofhkit.config.settings import SECTIONS
from ofhkit.metrics import LPIPS, NRMSE, PSNR, SSIM, ParsingIoU
from ofhkit.registry import ROLES, parameters
from ofhkit.runtime.files import asset
from ofhkit.zoo import DEFAULT_MODEL, zoo
from ofhkit.zoo.weights import load_weights

__all__ = ["PAGES", "components_page", "configuration_page", "documented", "models_page", "models_table", "part_page"]

_HEADINGS = ("Args", "Attributes", "Shape", "Raises", "Returns", "Yields")
_REQUIRED = "*required*"


def documented(component: Any) -> dict[str, str]:
    """Argument -> its line under ``Args:`` (or ``Attributes:``) of a class, its constructor and their bases.

    >>> from ofhkit.config.settings import Runtime
    >>> documented(Runtime)['channels_last']
    'memory layout of the networks.'
    """
    found: dict[str, str] = {}
    for owner in getattr(component, "__mro__", (component,)):
        for doc in (inspect.getdoc(owner) if owner is not object else "", inspect.getdoc(vars(owner).get("__init__"))):
            for name, text in _arguments(doc or ""):
                found.setdefault(name, text)
    return found


def _arguments(doc: str) -> Iterator[tuple[str, str]]:
    inside, names, text = False, "", ""
    for line in [*doc.splitlines(), "end"]:
        item = re.match(r" {4}([\w*, ]+?)(?: \(.*\))?: (.*)", line)
        if names and (item or not line.startswith("     ")):
            yield from ((name.strip(" *"), text) for name in names.split(","))
            names = ""
        if re.fullmatch(rf"({'|'.join(_HEADINGS)}):", line):
            inside = line in ("Args:", "Attributes:")
        elif line and not line.startswith(" "):
            inside = False
        elif inside and item:
            names, text = item.groups()
        elif names:
            text += " " + line.strip()


def _cell(text: str) -> str:
    """A docstring's text as Markdown that stays within a cell of a table."""
    text = re.sub(r":\w+:`~?([^`]*)`", r"`\1`", text.replace("``", "`"))
    return " ".join(text.replace("|", "\\|").split())


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *(tuple(map(_cell, row)) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _default(value: Any) -> str:
    return _REQUIRED if value in (inspect.Parameter.empty, MISSING) else f"`{value!r}`"


def argument_rows(component: Any) -> list[tuple[str, ...]]:
    """Name, what it takes, default and meaning of each argument that a configuration may set."""
    hints, texts = annotations_of(component), documented(component)
    rows: list[tuple[str, ...]] = []
    for name, parameter in parameters(component)[0].items():
        rows.append((f"`{name}`", _takes(name, hints), _default(parameter.default), texts.get(name, "")))
    return rows


def _takes(name: str, hints: Mapping[str, Any]) -> str:
    role = ROLE_OF_KEY.get(name) or ROLE_OF_KEY.get(f"{name}.*")
    if role is not None:
        return _link(role.name) if name in ROLE_OF_KEY else f"name -> {_link(role.name)}"
    return describe(hints[name]) if hints.get(name, Any) is not Any else ""


def _settings(kind: type) -> list[tuple[str, ...]]:
    hints, texts = annotations_of(kind), documented(kind)
    rows: list[tuple[str, ...]] = []
    for field in fields(kind):
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        rows.append((f"`{field.name}`", _takes(field.name, hints), _default(default), texts.get(field.name, "")))
    return rows


def _link(role: str) -> str:
    return f"[{role}](components.md#{role})" if ROLES[role].names() else role


def _role_rows() -> list[tuple[str, ...]]:
    return [(f"`{place}`", _link(role.name)) for role in ROLES.values() for place in role.places.values()]


def _part(role: str) -> str:
    """The key at the top of a configuration on whose page the arguments of a role stand."""
    keys = {place.partition(".")[0] for place in ROLES[role].places.values()}
    return next(key for key in PARTS if key in keys)


def configuration_page() -> str:
    """What a configuration may hold: its parts, and where components stand."""
    return "\n".join([
        "# A configuration\n",
        "Written from the code when this page was built. What a key means is checked before anything runs: unknown "
        "keys, wrong types and impossible values are refused with the nearest valid name. "
        "`ofhkit config show CONFIG` prints the resolved values with the file that set each.\n",
        _table(
            ("key", "what"),
            [(f"[`{k}`](configuration_{k}.md)" if k in PARTS else f"`{k}`", text) for k, text in TOP_LEVEL.items()],
        ),
        "`_base_` names one file or several to start from: relative to the file, or by the name of one that ships. "
        "Dictionaries merge key by key; one whose `type` changes is replaced; `_delete_=True` replaces too; everything "
        "else is replaced. On the command line: `--cfg-options KEY.KEY=VALUE`.\n",
        "## Where components stand\n",
        _table(("key", "role"), _role_rows()),
    ])  # fmt: skip


def part_page(part: str) -> str:
    """Every option below one key at the top of a configuration: what it takes, its default, its meaning."""
    parts = [
        f"# Every option of {part}\n",
        f"{_cell(TOP_LEVEL[part][0].upper() + TOP_LEVEL[part][1:])}. [The other parts](configuration.md).\n",
    ]
    if kind := SECTIONS.get(part):
        first = (inspect.getdoc(kind) or "").partition("\n")[0]
        parts += [f"{_cell(first)}\n", _table(("key", "takes", "default", "meaning"), _settings(kind))]
    if part == "stages":
        parts += ["## Optimizers and schedules\n"]
        for title, registry in (("optimizer", OPTIMIZERS), ("schedule", PARAM_SCHEDULERS)):
            names = ", ".join(f"`{name}`" for name in sorted(registry.module_dict))
            parts += [f"`type` of {title}, with its own arguments: {names}.\n"]
    for role, registry in ROLES.items():
        if registry.names() and _part(role) == part:
            parts += [f"## {role} {{ #arguments-{role} }}\n"]
            parts += [_arguments_of(registry.get(name), name) for name in registry.names()]
    return "\n".join(parts)


def _arguments_of(component: Any, name: str) -> str:
    rows = argument_rows(component)
    body = _table(("argument", "takes", "default", "meaning"), rows) if rows else "No arguments.\n"
    return f"**{name}**\n\n{body}"


def _component(entry: Entry) -> str:
    lines = [f"### {entry.name}\n", f"{_cell(entry.summary)}\n"]
    reference = entry.reference if entry.reference != entry.summary else ""
    for label, text in (("Reference", reference), ("Differs from the paper", entry.differs), ("Size", entry.size)):
        if text:
            lines.append(f"- **{label}**{'' if text[0] in ',:' else ': '}{_cell(text)}")
    file = f", `{entry.file}`" if entry.file else ""
    return "\n".join([*lines, f"- **From**: {entry.origin.package} {entry.origin.version}{file}", ""])


def components_page(sizes: bool = True) -> str:
    """Every registered component: reference, differences from it, size.

    Args:
        sizes: count parameters and multiplications too, for which every network is built.
    """
    parts = [
        "# Every component\n",
        "Written from the code when this page was built; `ofhkit list [ROLE]` prints the same, "
        "with your plugins. Arguments: [every option](configuration.md). Multiplications are those of one face, as "
        "this package computes it.\n",
    ]
    for role in ROLES:
        entries = list(list_components(role, sizes=sizes))
        if entries:
            link = f"[Arguments](configuration_{_part(role)}.md#arguments-{role})\n"
            parts += [f"## {role}\n", link, *map(_component, entries)]
    return "\n".join(parts)


def models_table(data: str = "UTKFace") -> str:
    """Scores of the models that ship and were scored on data of this name, the best first, from their headers."""
    heads = {name: load_weights(path)[1] for name, path in zoo().items()}
    scored = {name: info for name, info in heads.items() if info["data"]["name"].startswith(data)}
    shown = (PSNR, SSIM, LPIPS, NRMSE, ParsingIoU)
    titles = ("model", "method", *(m.titles()[m.name] for m in shown), "test faces")
    rows: list[tuple[str, ...]] = []
    for name, info in sorted(scored.items(), key=lambda item: -item[1]["metrics"]["PSNR"]):
        scores = info["metrics"]
        numbers = (f"{scores[m.name]:.{m.decimals}f}" for m in shown)
        default = " (default)" * (name == DEFAULT_MODEL)
        rows.append((f"`{name}`{default}", info["method"], *numbers, f"{scores['num_images']:,}"))
    return _table(titles, rows)


def models_page() -> str:
    """A card a model that ships: picture, scores, data, licence, grouped by what may be done with them."""
    parts = [
        "# Models that ship\n",
        "Written from the files' headers when this page was built; `ofhkit list models` prints the same with the "
        "command that scores each again. The pictures are made by `python tools/pictures.py models`: one portrait, "
        "three rendered faces. What comes out is a guess; never use it to identify anyone.\n",
    ]
    groups = {
        "rendered": "Free to use: trained on rendered faces",
        "UTKFace": "For non-commercial research: trained on photographs",
    }
    for data, title in groups.items():
        parts += [f"## {title}\n", models_table(data)]
        for name, path in zoo().items():
            info = load_weights(path)[1]
            if info["data"]["name"].startswith(data):
                count, size = info["data"]["num_train"], path.stat().st_size / 1e6
                about = f"{info['method']}, {size:.1f} MB, trained on {count:,} faces of"
                parts += [
                    f"### {name}\n",
                    f"![{name}](pictures/models/{name}.jpg)\n",
                    f"{about} {_cell(info['data']['name'])}. Licence: {_cell(info['licence'])}.\n",
                    f"```bash\nofhkit infer PICTURE --out restored --model {name}\n```\n",
                ]
    cards = asset("zoo/README.md").read_text(encoding="utf-8")
    return "\n".join([*parts, "## How they were made, and their limits\n", cards[cards.index("**Data.**") :]])


PARTS = ("model", "data", "stages", "runtime", "evaluation")
PAGES: Mapping[str, Callable[[], str]] = {
    "configuration.md": configuration_page,
    **{f"configuration_{part}.md": partial(part_page, part) for part in PARTS},
    "components.md": components_page,
    "models.md": models_page,
}
