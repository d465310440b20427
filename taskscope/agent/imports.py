"""Acts when a module gets imported, so that the agent need not import asyncio or uvloop itself."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class ImportWatch:
    """A finder in front of ``sys.meta_path`` that finds nothing: it only learns that an import happened.

    It stays there until everything awaited has come, or until ``stop``.
    """

    def __init__(self, failed: Callable[[str, BaseException], None]) -> None:
        self._awaited: dict[str, Callable[[Any], None]] = {}
        self._failed = failed

    def when(self, name: str, action: Callable[[Any], None]) -> None:
        """Calls ``action(module)`` now if the module is there, else right after it was executed."""
        module = sys.modules.get(name)
        if module is not None:
            self._act(action, module)
            return
        self._awaited[name] = action
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def stop(self) -> None:
        self._awaited.clear()
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Part of the finder protocol: lets the others find the module, and wraps its loader."""
        action = self._awaited.pop(name, None)
        if action is None:
            return None
        if not self._awaited:
            self.stop()
        spec = None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            if finder is not self and find is not None:
                spec = find(name, path, target)
                if spec is not None:
                    break
        loader: Any = getattr(spec, "loader", None)
        execute = getattr(loader, "exec_module", None)
        if execute is not None:

            def exec_module(module: Any) -> None:
                del loader.exec_module  # the loader is as it was before the module's code runs
                execute(module)
                self._act(action, module)

            try:
                loader.exec_module = exec_module
            except AttributeError as error:
                self._failed("import watch", error)
        return spec

    def _act(self, action: Callable[[Any], None], module: Any) -> None:
        try:
            action(module)
        except Exception as error:  # noqa: BLE001  (an outer edge: the import must go on)
            self._failed("import watch", error)
