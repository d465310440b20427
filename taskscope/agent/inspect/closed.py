"""Whether a thread reads from a socket that the program has closed: ``close()`` does not wake it."""

from __future__ import annotations

import _socket
from typing import TYPE_CHECKING

from taskscope.agent.inspect import origins
from taskscope.agent.inspect.looking import attribute, is_a
from taskscope.agent.inspect.primitives import number_of
from taskscope.agent.inspect.variables import variables_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType


def reads_closed(frames: Sequence[FrameType]) -> bool:
    """Whether all sockets that a thread may read from are closed; ``frames``: innermost first.

    A closed socket from which a file was made stays open, and has no sign of it but ``_closed``.
    """
    sockets = list(_sockets(frames))
    return bool(sockets) and all(
        attribute(each, "_closed") is True or number_of(each) is None for each in sockets
    )


def _sockets(frames: Sequence[FrameType]) -> Iterator[object]:
    """That of the file it reads, else those its innermost own function names."""
    for frame in frames:
        names = variables_of(frame)
        this = names.get("self")
        named = [attribute(this, "_sock")]
        own = origins.origin(origins.file_of(frame.f_code)) != "stdlib"
        if own:
            named = [*names.values(), *(attribute(this, name) for name in frame.f_code.co_names)]
        sockets = [each for each in named if is_a(each, _socket.socket)]
        yield from sockets
        if own or sockets:
            return
