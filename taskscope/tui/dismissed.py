"""Dismissed findings: sites that the user knows and accepts, stored across sessions.

They are stored in one JSON file in the user's config directory, by target name.  A site is identified by
file, function and coroutine, not by line: an edit elsewhere in the file does not bring a finding back.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from taskscope.export.whole import write_whole

if TYPE_CHECKING:
    from taskscope.model import Finding

    Key = tuple[str, str, str]


class DismissedError(Exception):
    """The file cannot be read or written; the message is for the user."""


def default_path() -> Path:
    """``taskscope/dismissed.json`` in the user's config directory."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "taskscope" / "dismissed.json"


class Dismissed:
    """The dismissed sites of one target, and their file.

    Another app may write the file too, so it is reread before each change.
    """

    def __init__(self, target: str, path: Path) -> None:
        self._target = target
        self._path = path
        self._keys: frozenset[Key] = frozenset()

    def load(self) -> None:
        """Reads the file.  On DismissedError, nothing is dismissed."""
        self._keys = frozenset(self._of(self._read()))

    def __contains__(self, finding: Finding) -> bool:
        return key_of(finding) in self._keys

    def toggle(self, finding: Finding) -> bool:
        """Dismisses the finding's site or restores it; returns whether it is dismissed now.

        Raises DismissedError, and changes nothing, if the file cannot be written.
        """
        every = self._read()
        keys = frozenset(self._of(every)) ^ {key_of(finding)}
        kept = [dict(zip(_FIELDS, key, strict=True)) for key in sorted(keys)]
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, json.dumps({**every, self._target: kept}, indent=1).encode() + b"\n")
        except OSError as error:
            raise DismissedError(f"cannot write {self._path}: {error.strerror or error}") from None
        self._keys = keys
        return finding in self

    def _read(self) -> dict[str, list[dict[str, str]]]:
        try:
            every = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise DismissedError(f"cannot read {self._path}: {error.strerror or error}") from None
        except ValueError:
            every = None
        if not isinstance(every, dict) or not all(map(_is_list, every.values())):
            raise DismissedError(f"{self._path} is damaged; repair or delete it")
        return every

    def _of(self, every: dict[str, list[dict[str, str]]]) -> list[Key]:
        return [(each["file"], each["function"], each["coroutine"]) for each in every.get(self._target, ())]


_FIELDS = ("file", "function", "coroutine")


def _is_list(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(each, dict) and each.keys() >= set(_FIELDS) for each in value
    )


def key_of(finding: Finding) -> Key:
    """The identity of a dismissed site."""
    return finding.site.file, finding.site.function, finding.coroutine
