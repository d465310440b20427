"""The one owner of every change the agent makes to the program, and of its undo stack.

The agent consists of parts that fail independently.  A part records how to undo a change before it makes it.
The program never sees a failure, whether while arming, in a hook or while undoing: everything the part has
changed is undone, newest first, and the failure is reported.

A function that someone wrapped after us cannot be restored.  So our wrappers reach the agent only through a
link; once it is cut they pass everything through and refer to nothing of ours.  For the same reason this
module imports nothing from the agent: a wrapper keeps its module alive.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Tell = Callable[[str, BaseException], None]
    Act = Callable[..., Any]

_ABSENT: Any = object()
_NAMES = ("__module__", "__name__", "__qualname__", "__doc__")


class Link:
    """The connection from a function the program may hold forever to its part."""

    __slots__ = ("after", "before", "part")

    def __init__(self, part: Part, before: Act | None, after: Act | None) -> None:
        self.part: Part | None = part
        self.before = before
        self.after = after

    def cut(self) -> None:
        """Disconnects the function from the agent."""
        self.part = self.before = self.after = None

    def fail(self, error: BaseException) -> None:
        """Reports to the part, if it still exists.  Never raises."""
        part = self.part
        if part is not None:
            part.fail(error)


class Part:
    """One part of the agent: its changes to the program, and its failsafe.

    ``tell(name, error)`` records a failure.  ``armed``: between ``arm`` and ``undo``.
    """

    def __init__(self, name: str, tell: Tell) -> None:
        self.name = name
        self.armed = False
        self._tell = tell
        self._steps: list[Callable[[], object]] = []

    def arm(self, function: Act, *args: Any) -> bool:
        """Calls ``function``, which makes the changes; False if it failed and was undone."""
        self.armed = True
        self.guard(function, *args)
        return self.armed

    def guard(self, function: Act, *args: Any) -> None:
        """Calls ``function``; a failure undoes the part and never reaches the caller."""
        try:
            function(*args)
        except Exception as error:  # noqa: BLE001  (an outer edge: reported, and the program continues)
            self.fail(error)
        if self._steps and not self.armed:  # undone meanwhile, by another thread or a failure
            self.undo()

    def fail(self, error: BaseException) -> None:
        """Undoes everything and reports why.  Never raises."""
        self._report(self.name, error)
        self.undo()

    def undo(self) -> None:
        """Undoes every change, newest first; failed steps are reported, and retried next time.

        Never raises.
        """
        self.armed = False
        steps, self._steps = self._steps, []
        for step in reversed(steps):
            try:
                step()
            except Exception as error:  # noqa: BLE001  (an outer edge: the other steps must run too)
                self._steps.insert(0, step)
                self._report(f"undoing {self.name}", error)

    def on_undo(self, step: Act, *args: Any) -> None:
        """Registers ``step(*args)`` to run when the part is undone."""
        self._steps.append(partial(step, *args))

    def replace(self, owner: Any, name: str, ours: Any) -> None:
        """Sets an attribute until the part is undone; a value set after ours stays."""
        self.on_undo(_put_back, owner, name, vars(owner).get(name, _ABSENT), ours)
        setattr(owner, name, ours)

    def wrap(self, owner: Any, name: str, *, before: Act | None = None, after: Act | None = None) -> None:
        """Wraps a function with ``before`` and ``after``, called with its arguments.

        In ``before``, the caller's frame is two further out, and the arguments may be invalid.
        """
        original = getattr(owner, name)
        self.replace(owner, name, as_named(_wrapper(original, self.link(before, after)), original))

    def guarded(self, function: Act) -> Act:
        """A version of ``function`` for the program to call: never raises, and is inert after undo."""
        return _guarded(self.link(function))

    def link(self, before: Act | None = None, after: Act | None = None) -> Link:
        """A link that is cut on undo."""
        link = Link(self, before, after)
        self.on_undo(link.cut)
        return link

    def _report(self, what: str, error: BaseException) -> None:
        try:
            self._tell(what, error)
        except Exception:  # noqa: BLE001  (the outermost edge: nothing is left to report to)
            pass


def as_named(function: Any, original: Any) -> Any:
    """``function`` with the names and signature of ``original``."""
    for name in _NAMES:
        try:
            setattr(function, name, getattr(original, name))
        except (AttributeError, TypeError):  # a callable that is not a function
            pass
    function.__wrapped__ = original
    return function


def _wrapper(original: Any, link: Link) -> Any:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        before = link.before
        if before is not None:
            try:
                before(*args, **kwargs)
            except RecursionError:
                pass  # the program is at its recursion limit
            except Exception as error:  # noqa: BLE001  (an outer edge)
                link.fail(error)
        result = original(*args, **kwargs)
        after = link.after
        if after is not None:
            try:
                after(*args, **kwargs)
            except RecursionError:
                pass
            except Exception as error:  # noqa: BLE001  (an outer edge)
                link.fail(error)
        return result

    return wrapper


def _guarded(link: Link) -> Act:
    def guarded(*args: Any) -> Any:
        function = link.before
        if function is None:
            return None
        try:
            return function(*args)
        except Exception as error:  # noqa: BLE001  (an outer edge)
            link.fail(error)
            return None

    return guarded


def _put_back(owner: Any, name: str, before: Any, ours: Any) -> None:
    if vars(owner).get(name, _ABSENT) is not ours:
        return  # wrapped after us: ours stays as a pass-through
    if before is _ABSENT:
        delattr(owner, name)
    else:
        setattr(owner, name, before)


def insist(name: str, tell: Tell, *steps: Act) -> None:
    """Calls every step, retrying each once on failure.  Never raises; ``tell`` records the failures."""
    for step in steps:
        for _ in range(2):
            try:
                step()
            except Exception as error:  # noqa: BLE001  (an outer edge: the next step must run too)
                tell(name, error)
            else:
                break
