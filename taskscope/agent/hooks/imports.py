"""Callbacks on imports, so that the agent need not import asyncio or uvloop itself."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from taskscope.system import system

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.agent.hooks.parts import Link, Part


class _Finder:
    """A finder at the front of ``sys.meta_path`` that finds nothing itself."""

    def __init__(self, find_spec: Callable[..., Any]) -> None:
        self.find_spec = find_spec


class ImportWatch:
    """Detects imports through a finder.

    The finder stays until every awaited module is imported, or the part is undone.
    """

    def __init__(self, part: Part) -> None:
        self._part = part
        self._awaited: dict[str, Callable[[Any], None]] = {}
        self._looking: set[tuple[int, str]] = set()
        self._finder: _Finder | None = None

    def when(self, name: str, action: Callable[[Any], None]) -> None:
        """Calls ``action(module)`` now if the module is loaded, else right after it is executed."""
        module = sys.modules.get(name)
        if module is not None:
            action(module)
            return
        self._awaited[name] = action
        if self._finder is None:
            self._finder = _Finder(self._part.guarded(self._find))
            self._part.on_undo(self._leave)
            sys.meta_path.insert(0, self._finder)

    def _leave(self) -> None:
        """Removes the finder by identity: comparison would call the program's ``__eq__``."""
        finder, path = self._finder, sys.meta_path
        for index in range(len(path) - 1, -1, -1):
            if path[index] is finder:
                del path[index]
        self._finder = None
        self._awaited.clear()

    def _find(self, name: str, path: Any = None, target: Any = None) -> Any:
        """The finder protocol: the other finders find the module, and its loader is wrapped.

        The program may find a spec without importing, so the module stays awaited until it is executed.
        """
        search = system.get_ident(), name
        if name not in self._awaited or search in self._looking:
            return None
        self._looking.add(search)  # one of the program's finders may call all the others
        try:
            spec = self._of_others(name, path, target)
        finally:
            self._looking.discard(search)
        loader: Any = getattr(spec, "loader", None)
        execute = getattr(loader, "exec_module", None)
        if execute is not None and not isinstance(loader, type):
            loader.exec_module = _executing(loader, execute, name, self._part.link(self._executed))
        return spec

    def _of_others(self, name: str, path: Any, target: Any) -> Any:
        """None also if a finder fails: the import system calls it again, and the program sees the error."""
        for finder in list(sys.meta_path):
            find = getattr(finder, "find_spec", None)
            if finder is not self._finder and find is not None:
                try:
                    spec = find(name, path, target)
                except Exception:  # noqa: BLE001  (the program's error)
                    return None
                if spec is not None:
                    return spec
        return None

    def _executed(self, name: str, module: Any) -> None:
        action = self._awaited.pop(name, None)
        if action is not None:
            action(module)
        if not self._awaited:
            self._leave()


def _executing(loader: Any, execute: Callable[[Any], None], name: str, link: Link) -> Callable[[Any], None]:
    """Replaces a loader's ``exec_module`` until it executes the awaited module."""

    def exec_module(module: Any) -> None:
        arrived = link.before if module.__name__ == name else None  # one loader may serve a whole archive
        if arrived is not None:
            vars(loader).pop("exec_module", None)  # restored before the module's code runs
        execute(module)
        if arrived is not None:
            try:
                arrived(name, module)
            except Exception as error:  # noqa: BLE001  (an outer edge: the import must continue)
                link.fail(error)

    return exec_module
