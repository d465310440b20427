"""Descriptors that tasks and threads wait on, and where their other ends are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.model import vocabulary as words  # noqa: TC001  (field types are resolved at run time)
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Descriptor", "OtherEnd", "at_length"]


@dataclass(frozen=True, slots=True)
class OtherEnd:
    """A descriptor of a process that is the other end.  ``here``: the process is the target itself."""

    pid: int
    number: int
    name: str = ""
    here: bool = False

    @property
    def text(self) -> str:
        """``fd 6 of process 4711 (nginx)``."""
        if self.here:
            return f"fd {self.number} of this process"
        return f"fd {self.number} of process {self.pid}" + (f" ({self.name})" if self.name else "")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """An open descriptor of the target.

    ``local``, ``remote``: addresses of a socket (``[::1]:80``, a path, ``@name``), or the path of a file.
    ``unread``: bytes that arrived and were not read; None: unknown.  ``others``: the other end, which several
    processes may share; None: not looked for.
    """

    number: int
    kind: words.DescriptorKind
    local: str = ""
    remote: str = ""
    unread: int | None = None
    others: tuple[OtherEnd, ...] | None = None

    @property
    def text(self) -> str:
        """``fd 7, tcp to 10.0.0.1:443 from 10.0.0.2:5000, 0 bytes unread``."""
        parts = [f"fd {self.number}", f"{self.kind}{self._ends()}"]
        if self.unread is not None:
            parts.append(f"{self.unread:,} byte{'' if self.unread == 1 else 's'} unread")
        if self.others is not None:
            where = " and ".join(each.text for each in self.others)
            parts.append(f"other end {where or 'in no process that can be seen'}")
        return ", ".join(parts)

    def _ends(self) -> str:
        if self.remote:
            return f" to {self.remote}" + (f" from {self.local}" if self.local else "")
        return f" {self.local}" if self.local else ""


def at_length(text: str, detail: str, descriptors: Sequence[Descriptor]) -> str:
    """What a task or thread waits for, its detail unless that is an address, and the descriptors."""
    on = [each.text for each in descriptors]
    known = any(detail and detail in (each.local, each.remote, f"on {each.local}") for each in descriptors)
    return ", ".join([text, *([detail] if detail and not known else []), *on])
