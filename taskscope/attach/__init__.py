"""Brings an agent into a process that has none, and reads what can be known of it from outside.

The public function ``taskscope.attach`` has the name of this package, which takes its place in ``taskscope``
once one of the modules here is imported.  So the package can be called, too, and is that function then.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import taskscope


class _Callable(ModuleType):
    def __call__(self, target: int | str, *, inject: bool = True, via: str = "") -> Any:
        return taskscope._attaching(target, inject=inject, via=via)


sys.modules[__name__].__class__ = _Callable
