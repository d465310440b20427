"""The one owner of everything that the agent changes in the program, and the one way back.

The agent consists of parts that fail on their own.  A part notes how to undo a change before it makes it.
Whatever fails in it, while arming, in a hook or while undoing, the program does not see it: all that the
part has changed is put back, newest first, and the failure is told.

What somebody has wrapped after us cannot be taken back.  So our wrappers reach the agent through a link
only; once that is cut they pass everything through and refer to nothing of ours.  This module imports
nothing of the agent for the same reason: a wrapper keeps the module that it comes from alive.
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
    """The way from a function that the program may hold for ever to the part that it serves."""

    __slots__ = ("after", "before", "part")

    def __init__(self, part: Part, before: Act | None, after: Act | None) -> None:
        self.part: Part | None = part
        self.before = before
        self.after = after

    def cut(self) -> None:
        """From now on the function does nothing of ours."""
        self.part = self.before = self.after = None

    def fail(self, error: BaseException) -> None:
        """Tells the part, if it is still there.  Never raises."""
        part = self.part
        if part is not None:
            part.fail(error)


class Part:
    """One part of the agent: what it has changed in the program, and its failsafe.

    ``tell(name, error)`` takes a failure down.  ``armed`` is false before and after.
    """

    def __init__(self, name: str, tell: Tell) -> None:
        self.name = name
        self.armed = False
        self._tell = tell
        self._steps: list[Callable[[], object]] = []

    def arm(self, function: Act, *args: Any) -> bool:
        """Calls what makes the changes; False if it failed and nothing is changed."""
        self.armed = True
        self.guard(function, *args)
        return self.armed

    def guard(self, function: Act, *args: Any) -> None:
        """Calls ``function``; a failure undoes the part instead of reaching the caller."""
        try:
            function(*args)
        except Exception as error:  # noqa: BLE001  (an outer edge: told, and the program goes on)
            self.fail(error)
        if self._steps and not self.armed:  # undone meanwhile, by another thread or by the failure
            self.undo()

    def fail(self, error: BaseException) -> None:
        """Undoes everything and tells why.  Never raises."""
        self._told(self.name, error)
        self.undo()

    def undo(self) -> None:
        """Puts everything back, newest first; what fails is told, and tried again the next time.

        Never raises.
        """
        self.armed = False
        steps, self._steps = self._steps, []
        for step in reversed(steps):
            try:
                step()
            except Exception as error:  # noqa: BLE001  (an outer edge: the other steps must come, too)
                self._steps.insert(0, step)
                self._told(f"undoing {self.name}", error)

    def on_undo(self, step: Act, *args: Any) -> None:
        """Has ``step(*args)`` called when the part is undone."""
        self._steps.append(partial(step, *args))

    def replace(self, owner: Any, name: str, ours: Any) -> None:
        """Sets an attribute until the part is undone; a value that somebody sets after us stays."""
        self.on_undo(_put_back, owner, name, vars(owner).get(name, _ABSENT), ours)
        setattr(owner, name, ours)

    def wrap(self, owner: Any, name: str, *, before: Act | None = None, after: Act | None = None) -> None:
        """Has ``before`` and ``after`` called around a function, with its arguments.

        For ``before`` the program's frame is two further out, and its arguments may be wrong.
        """
        original = getattr(owner, name)
        self.replace(owner, name, as_named(_wrapper(original, self.link(before, after)), original))

    def guarded(self, function: Act) -> Act:
        """``function`` for the program to call: does nothing once the part is undone, and never raises."""
        return _guarded(self.link(function))

    def link(self, before: Act | None = None, after: Act | None = None) -> Link:
        """A link that is cut when the part is undone."""
        link = Link(self, before, after)
        self.on_undo(link.cut)
        return link

    def _told(self, what: str, error: BaseException) -> None:
        try:
            self._tell(what, error)
        except Exception:  # noqa: BLE001  (the outermost edge: there is nobody left to tell)
            pass


def as_named(function: Any, original: Any) -> Any:
    """``function`` under the names, and with the signature, that the program knows."""
    for name in _NAMES:
        try:
            setattr(function, name, getattr(original, name))
        except (AttributeError, TypeError):  # somebody's callable that is no function
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
                pass  # the program is at its own limit
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
        return  # somebody has wrapped it after us: ours is only passed through from now on
    if before is _ABSENT:
        delattr(owner, name)
    else:
        setattr(owner, name, before)


def insist(name: str, tell: Tell, *steps: Act) -> None:
    """Calls every step, one that fails twice.  Never raises; ``tell`` takes the failures down."""
    for step in steps:
        for _ in range(2):
            try:
                step()
            except Exception as error:  # noqa: BLE001  (an outer edge: the next step must come, too)
                tell(name, error)
            else:
                break
