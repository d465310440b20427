"""What a thread waits for, down to the system call and its descriptors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.agent.inspect import open_files, system_calls
from taskscope.system import system

if TYPE_CHECKING:
    from taskscope import model
    from taskscope.agent.inspect.blocking import Activity
    from taskscope.model.vocabulary import Wait

_ON_DESCRIPTORS: frozenset[Wait] = frozenset(
    ("socket", "descriptors", "file", "dns", "server", "process", "subprocess", "input", "unknown")
)


def waits_in(native: int, does: Activity) -> tuple[str, tuple[model.Descriptor, ...]]:
    """The system call that a thread waits in, and the descriptors that it waits on."""
    if does.state != "waiting" or does.wait not in _ON_DESCRIPTORS:
        return "", ()
    call = system_calls.of_thread(native)
    numbers = call.numbers if call is not None else ()
    if not numbers and does.number is not None:
        numbers = (does.number,)
    return call.name if call is not None else "", open_files.describe_all(numbers)


def waits_its_turn(native: int) -> bool:
    """Whether a thread that seems to sleep has woken: it runs, or waits for a CPU, or for the GIL."""
    call = system_calls.of_thread(native)
    return kernel_view(native)[1] is True or (call is not None and call.name == "futex")


def kernel_view(native: int) -> tuple[float | None, bool | None]:
    """CPU seconds of a thread and whether it is running; None: unknown."""
    if not native:
        return None, None
    try:
        fields = system.contents(f"/proc/self/task/{native}/stat").rpartition(b")")[2].split()
    except OSError:
        return None, None
    return (int(fields[11]) + int(fields[12])) / system.sysconf("SC_CLK_TCK"), fields[0] == b"R"
