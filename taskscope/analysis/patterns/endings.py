"""Processes that are ending and wait for a thread, a job or a child that does not end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope import text as wording
from taskscope.analysis.onset import Onset
from taskscope.analysis.patterns.deadlocks import endings
from taskscope.analysis.patterns.pattern import ProcessPattern, line_finding, place
from taskscope.model import Frame

if TYPE_CHECKING:
    from taskscope.model import Ending, Finding, WaitGraph, WaitNode
    from taskscope.model.vocabulary import EndingHow, Level

SLOW = 10.0
"""Seconds from which a slow end is worth saying."""

LASTING = 25.0
"""Seconds from which a wait without a time-out is a hang: nobody is there who could end it."""

LONGER = 140.0
"""The same where somebody outside of the process may still answer: a slow end is no hang."""

_WHAT: dict[EndingHow, str] = {
    "threads": "the main thread has ended; the process",
    "loop": "asyncio.run is closing its loop, and",
    "executor": "the process is ending, and",
    "processes": "the process is ending, and",
    "handlers": "the process is ending, and",
}


def slow_endings(graph: WaitGraph | None) -> tuple[Finding, ...]:
    """One finding if the process has been ending for long; ``endings`` says if it cannot end."""
    ending = graph.ending if graph is not None else None
    if (
        graph is None
        or ending is None
        or endings(graph)
        or len(ending.chain) < (1 if ending.how == "handlers" else 2)
        or graph.monotonic - ending.since < SLOW
    ):
        return ()
    return (_finding(ending, graph.monotonic),)


def _level(ending: Ending, lasted: float) -> Level:
    """Threads of a program whose main thread falls through may be its work: that is worth a note."""
    if ending.how == "threads":
        return "info"
    patience = LONGER if ending.may_answer else LASTING
    return "hang" if ending.endless and lasted >= patience else "suspect"


def _finding(ending: Ending, now: float) -> Finding:
    last, lasted = ending.chain[-1], now - ending.since
    where = last.frame or Frame("", 0, last.name or "(unknown)", "stdlib")
    call = f" in {ending.system_call}" if ending.system_call else ""
    on = "".join(f", {each.text}" for each in ending.descriptors)
    doing = f"{_named(last)} {last.text}{call}{on}"
    chain = " → ".join(_named(each) for each in ending.chain)
    steps = tuple(_step(one, other) for one, other in zip(ending.chain, ending.chain[1:], strict=False))
    whom = _named(last) if steps else f"{where.function}, which atexit called,"
    return line_finding(
        _level(ending, lasted),
        "deadlock",
        "ending",
        where,
        last.user_frame,
        Onset(ending.since, at_least=True),
        f"{_WHAT[ending.how]} has waited for {whom} for at least {wording.age(lasted)}",
        {
            "chain": chain,
            "system_call": ending.system_call,
            "endless": ending.endless,
            "descriptors": [each.text for each in ending.descriptors],
        },
        ENDS_SLOWLY.cause(f"{_named(last)} has not ended: it {last.text}{call}{on}", (*steps, doing)),
    )


def _named(node: WaitNode) -> str:
    return f"{node.kind} {node.name or node.number}"


def _step(one: WaitNode, other: WaitNode) -> str:
    at = f" at {place(one.frame)} in {one.frame.function}" if one.frame is not None else ""
    return f"{_named(one)} waits{at} for {_named(other)}"


ENDS_SLOWLY = ProcessPattern(
    name="ends slowly",
    find=lambda process: slow_endings(process.waits),
    noun="process that does not end",
    explanation=(
        "asyncio.run waits for the default executor's jobs, and the interpreter for threads that are no "
        "daemons, executors' jobs, child processes of multiprocessing and functions registered with atexit, "
        "before the process exits."
    ),
    remedy="Give the call a time-out, close what it waits on before the end, or make its thread a daemon.",
)
