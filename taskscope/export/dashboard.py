"""The dashboard for Grafana: one service from the fleet's side, with the command that explains it."""

from __future__ import annotations

import json
from typing import Any

from taskscope.values import dataclass

_OF = '{name=~"$name", pid=~"$pid"}'

_LATENCY = (
    "histogram_quantile({}, sum by (le, name, pid) "
    "(rate(taskscope_loop_latency_seconds_bucket{}[$__rate_interval])))"
)

WIDTH, HEIGHT = 12, 8
"""Of a panel, on a grid of 24 columns."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A chart.  ``queries``: PromQL with its legend."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    kind: str = "timeseries"


PANELS = (
    Panel("Observed", "short", ((f"taskscope_up{_OF}", "{{name}} {{pid}}"),), "stat"),
    Panel("Findings", "short", ((f"taskscope_findings{_OF}", "{{level}} {{pid}}"),)),
    Panel("Live tasks", "short", ((f"taskscope_tasks{_OF}", "{{name}} {{pid}}"),)),
    Panel(
        "Live by creation site",
        "short",
        ((f"topk(10, taskscope_site_live{_OF})", "{{site}} {{coroutine}} {{pid}}"),),
    ),
    Panel(
        "Born by creation site",
        "ops",
        ((f"topk(10, rate(taskscope_site_born_total{_OF}[$__rate_interval]))", "{{site}} {{pid}}"),),
    ),
    Panel(
        "Ended by outcome",
        "ops",
        ((f"sum by (outcome) (rate(taskscope_site_ended_total{_OF}[$__rate_interval]))", "{{outcome}}"),),
    ),
    Panel(
        "Oldest task or thread",
        "s",
        ((f"topk(10, taskscope_site_oldest_age_seconds{_OF})", "{{site}} {{pid}}"),),
    ),
    Panel(
        "Loop latency",
        "s",
        tuple((_LATENCY.format(q, _OF), f"p{round(q * 100)} {{{{pid}}}}") for q in (0.5, 0.99)),
    ),
    Panel(
        "Time in stalls",
        "percentunit",
        ((f"rate(taskscope_stalled_seconds_total{_OF}[$__rate_interval])", "{{name}} {{pid}}"),),
    ),
    Panel(
        "Share of each limit",
        "percentunit",
        (
            (f"taskscope_open_fds{_OF} / taskscope_fds_limit", "descriptors {{pid}}"),
            (f"taskscope_resident_memory_bytes{_OF} / taskscope_memory_limit_bytes", "memory {{pid}}"),
            (f"taskscope_threads{_OF} / taskscope_threads_limit", "threads {{pid}}"),
        ),
    ),
    Panel("Memory", "bytes", ((f"taskscope_resident_memory_bytes{_OF}", "{{name}} {{pid}}"),)),
    Panel(
        "Threads and descriptors",
        "short",
        ((f"taskscope_threads{_OF}", "threads {{pid}}"), (f"taskscope_open_fds{_OF}", "fds {{pid}}")),
    ),
    Panel(
        "Time to each limit",
        "s",
        ((f"taskscope_limit_projected_seconds{_OF} < Inf", "{{resource}} {{pid}}"),),
    ),
    Panel("What to type", "short", ((f"taskscope_target_info{_OF}", "{{host}}: {{attach}}"),), "stat"),
)

VARIABLES = (
    ("name", "label_values(taskscope_up, name)"),
    ("pid", 'label_values(taskscope_up{name=~"$name"}, pid)'),
)


def dashboard() -> str:
    """The JSON that Grafana imports."""
    found = {
        "title": "TaskScope",
        "uid": "taskscope",
        "description": "asyncio tasks and threads by the line that creates them",
        "tags": ["taskscope", "python"],
        "schemaVersion": 36,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [_SOURCE, *(_variable(*each) for each in VARIABLES)]},
        "panels": [_panel(number, each) for number, each in enumerate(PANELS)],
    }
    return json.dumps(found, indent=2) + "\n"


_DATA = {"type": "prometheus", "uid": "${datasource}"}
_SOURCE = {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"}


def _variable(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": _DATA,
        "query": query,
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "current": {"text": "All", "value": "$__all"},
    }


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    line, column = divmod(number, 24 // WIDTH)
    return {
        "id": number + 1,
        "title": panel.title,
        "type": panel.kind,
        "datasource": _DATA,
        "gridPos": {"h": HEIGHT, "w": WIDTH, "x": column * WIDTH, "y": line * HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"textMode": "name"} if panel.title == "What to type" else {},
        "targets": [
            {"refId": chr(65 + index), "datasource": _DATA, "expr": query, "legendFormat": legend}
            for index, (query, legend) in enumerate(panel.queries)
        ],
    }
