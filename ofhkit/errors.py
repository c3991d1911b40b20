"""The one exception a user is meant to read, and the sentence that helps against typos."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from unicodedata import category


class OfhkitError(Exception):
    """Something the user can fix. The message is one sentence: what is wrong, in which file or key, and the remedy.

    Command-line tools print it without a traceback and exit with status 2.

    Args:
        key: of the configuration, relative to the component, or the argument that the message is about.
        path: the file that it is about.
        remedy: appended to the message after a semicolon.

    Attributes:
        problem: the message without the remedy.
    """

    def __init__(self, message: str, *, key: str = "", path: str | Path | None = None, remedy: str = ""):
        super().__init__(f"{message}; {remedy}" if remedy else message)
        self.problem, self.key, self.path, self.remedy = message, key, path, remedy


class Note(str):
    """A remark on what was done, with its level; a plain string is a remark of level ``note``.

    >>> note = Note('the hole is large', 'warning'); note, note.level
    ('warning: the hole is large', 'warning')
    """

    level: str

    def __new__(cls, text: str, level: str = "note") -> Note:
        note = super().__new__(cls, text if level == "note" else f"{level}: {text}")
        note.level = level
        return note


def is_warning(note: str) -> bool:
    """Whether a remark must be shown to the user.

    >>> is_warning('turned upright'), is_warning(Note('the hole is large', 'warning'))
    (False, True)
    """
    return getattr(note, "level", "note") == "warning"


class PluginWarning(UserWarning):
    """A plugin was left out; the message names it and says why."""


class DuplicateNameError(OfhkitError):
    """Two components of one role have one name."""


def printable(text: str) -> str:
    """Return ``text`` with what a terminal would obey, or what turns the line round, written out; line breaks stay.

    >>> printable('a\\x1b[2Jb')
    'a\\\\x1b[2Jb'
    """
    kept = ("\n", "\t")
    return "".join(c if c in kept or category(c) not in ("Cc", "Cf", "Cs") else ascii(c)[1:-1] for c in text)


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """Return a hint naming the nearest valid choice, or all of them where none is near.

    >>> did_you_mean('FSRCN', ['FSRCNN', 'VDSR'])
    "did you mean 'FSRCNN'?"
    >>> did_you_mean('zzz', ['FSRCNN', 'VDSR'])
    'valid: FSRCNN, VDSR'
    """
    choices = sorted(choices)
    by_lower = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(str(name).lower(), by_lower, n=1, cutoff=0.6)
    if near:
        return f"did you mean {by_lower[near[0]]!r}?"
    return "valid: " + (", ".join(choices) if choices else "(none)")
