"""Writes metrics: OpenMetrics 1.0, and Prometheus' older text format for whoever does not ask for it.

Our own writer, which the official parser checks in the tests, instead of ``prometheus_client``: the companion
of a program has the program's packages, where that one may be missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FamilyKind = Literal["gauge", "counter", "histogram", "info"]

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Family:
    """A metric.  ``name`` has neither prefix nor ``_total``; ``unit`` is its last word, if it has one.

    ``help`` has neither quotes nor backslashes, which the two formats escape differently.
    """

    name: str
    kind: FamilyKind
    help: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """A value of a metric.  ``suffix``: ``_bucket``, ``_sum`` or ``_count`` of a histogram."""

    family: Family
    labels: Labels
    value: float
    suffix: str = ""


PREFIX = "taskscope_"


def write(points: Iterable[Point], *, openmetrics: bool) -> str:
    """The text, families in the order of their first points."""
    families: dict[Family, dict[tuple[str, Labels], Point]] = {}
    for point in points:  # two targets may name one process
        families.setdefault(point.family, {}).setdefault((point.suffix, point.labels), point)
    lines = [
        line
        for family, found in families.items()
        for line in _family(family, found.values(), openmetrics=openmetrics)
    ]
    return "\n".join([*lines, "# EOF", ""] if openmetrics else [*lines, ""])


def _family(family: Family, points: Iterable[Point], *, openmetrics: bool) -> Iterator[str]:
    name, kind = PREFIX + family.name, family.kind
    suffix = {"counter": "_total", "info": "_info"}.get(kind, "")
    if not openmetrics:
        name, suffix = name + suffix, ""
        kind = "gauge" if kind == "info" else kind
    yield f"# TYPE {name} {kind}"
    if openmetrics and family.unit:
        yield f"# UNIT {name} {family.unit}"
    yield f"# HELP {name} {family.help}"
    for point in points:
        labels = ",".join(f'{key}="{_escaped(value)}"' for key, value in point.labels)
        yield f"{name}{suffix}{point.suffix}{{{labels}}} {number(point.value)}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def number(value: float) -> str:
    """A number as both formats write it."""
    if value == float("inf"):
        return "+Inf"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
