"""Tasks that a timer starts, and that arm the next timer."""

from __future__ import annotations

from taskscope.model.frames import Frame  # noqa: TC001  (field types are resolved at run time)
from taskscope.values import dataclass

__all__ = ["Renewal"]


@dataclass(frozen=True, slots=True)
class Renewal:
    """The ``pending`` timers that will start tasks of a site.

    ``armed``: the lines that may have armed them, most likely first.  ``renewed``: the line of the tasks'
    coroutine that arms the next; None: it arms none.  ``begun``: other lines that arm one.
    """

    site: int
    monotonic: float
    pending: int
    armed: tuple[Frame, ...] = ()
    renewed: Frame | None = None
    begun: tuple[Frame, ...] = ()
