"""Leaves out of a report what may be private: arguments, environment, names of hosts and users."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taskscope.export.report import Seen

_HOME = re.compile(r"/(?:home|Users)/[^/\s]+|/root(?=/|$)")

_EMPTIED = {"detail", "error", "argv", "host", "user", "cwd", "executable"}
"""Fields whose text comes from the program's data or its environment."""


def redacted(seen: Seen) -> Seen:
    """The same without those; paths lose the directory of their user, and the working directory."""
    process = seen.hello.process
    hide = _Hiding(process.cwd, process.host, process.user)
    kept = {each.name: getattr(seen, each.name) for each in dataclasses.fields(seen)}
    told = {hide(question): hide(answer) for question, answer in seen.told.items()}
    hidden = {name: hide(value) for name, value in kept.items() if name != "told"}
    note = "Arguments, messages of errors, and names of hosts and users were left out."
    made: Seen = dataclasses.replace(seen, **hidden | {"told": told, "without": (*seen.without, note)})
    return made


class _Hiding:
    """Rewrites every text within a value."""

    def __init__(self, cwd: str, host: str, user: str) -> None:
        names = [re.escape(name) for name in (host, user) if len(name) > 2]
        self._names = re.compile(rf"(?<![\w-])(?:{'|'.join(names)})(?![\w-])") if names else None
        self._cwd = f"{cwd.rstrip('/')}/" if len(cwd) > 1 else ""

    def __call__(self, value: Any, field: str = "") -> Any:
        if field in _EMPTIED:
            return () if isinstance(value, tuple) else "" if isinstance(value, str) else value
        if isinstance(value, str):
            return self._text(value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = dataclasses.fields(value)
            return dataclasses.replace(
                value, **{each.name: self(getattr(value, each.name), each.name) for each in fields}
            )
        if isinstance(value, (tuple, list)):
            return type(value)(self(each) for each in value)
        if isinstance(value, dict):
            return {key: self(each) for key, each in value.items()}
        return value

    def _text(self, text: str) -> str:
        if self._cwd and self._cwd in text:
            text = text.replace(self._cwd, "")
        text = _HOME.sub("~", text)
        return self._names.sub("…", text) if self._names is not None else text
