"""What scripts may depend on: a finding as JSON, for ``watch --json`` and for the commands of rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskscope import wire

if TYPE_CHECKING:
    from taskscope.model import Finding, Frame, Judged


def finding_of_contract(finding: Finding) -> dict[str, Any]:
    """The fields of a finding that scripts may depend on."""
    cause = finding.cause
    return {
        "level": finding.level,
        "kind": finding.kind,
        "site": _place(finding.site),
        "user_site": _place(finding.user_site),
        "via": _place(finding.via),
        "coroutine": finding.coroutine,
        "live": finding.live,
        "rate_per_min": finding.rate_per_min,
        "since": finding.since,
        "since_wall": finding.since_wall,
        "since_at_least": finding.since_at_least,
        "evidence": finding.evidence,
        "cause": None if cause is None else {"pattern": cause.pattern, "text": cause.text},
        "projection": wire.pack(finding.projection),
        "processes": list(finding.processes),
    }


def _place(frame: Frame | None) -> dict[str, Any] | None:
    return None if frame is None else {"file": frame.file, "line": frame.line, "function": frame.function}


def judged_of_contract(judged: Judged) -> dict[str, Any]:
    """Whether the absence of findings means anything yet."""
    return {"judged_seconds": round(judged.seconds, 3), "too_early": judged.early}
