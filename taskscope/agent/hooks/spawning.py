"""Children that multiprocessing spawns, or has its server fork: they get an agent of their own.

They are new interpreters, or copies of one that had no agent, so nothing of ours comes along as in a fork.
But each first unpickles what its parent has prepared for it.  One more entry there starts the agent, before
the program's main module is imported: no environment variable, no file, no other command line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskscope.agent.hooks.parts import as_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.agent.hooks.parts import Part

MODULE = "multiprocessing.spawn"

_KEY = "taskscope"
_CODE = """
import sys
before = sys.path[:]
sys.path.insert(0, {house!r})
try:
    import taskscope
    taskscope.start({name!r}, interval={interval!r}, control={control!r})
except Exception:
    pass
finally:
    sys.path[:] = before
"""
"""The child runs without an agent if that fails: whoever watches the group injects one, or says why not."""


class _Starting:
    """Starts the agent when it is unpickled, where nothing of ours can be imported yet."""

    def __init__(self, code: str) -> None:
        self._code = code

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, dict[str, Any]]]:
        return exec, (self._code, {})


_HOUSE = __file__.rpartition("/taskscope/agent/")[0]
"""The folder, or zip file, that holds our package."""


def follow(part: Part, module: Any, settings: dict[str, Any]) -> None:
    """Adds to what ``module`` prepares for children.  ``settings``: those of the agent."""
    original = module.get_preparation_data
    link = part.link(lambda data: data.update({_KEY: _Starting(_CODE.format(house=_HOUSE, **settings))}))

    def get_preparation_data(*args: Any, **kwargs: Any) -> Any:
        data = original(*args, **kwargs)
        add = link.before
        if add is not None:
            try:
                add(data)
            except Exception as error:  # noqa: BLE001  (an outer edge)
                link.fail(error)
        return data

    part.replace(module, "get_preparation_data", as_named(get_preparation_data, original))
