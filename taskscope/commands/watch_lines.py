"""``watch --json --follow``: what happens, a line each, as it happens.

A line is a JSON object with ``event``: ``start`` (with the ``version`` of these lines), ``sample``,
``finding`` (it begins, or its verdict changes), ``cleared`` (it is no more), and ``end`` with a summary.  A
reader that sees no ``end`` knows that the stream was cut.  A version may gain fields, but none changes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from taskscope import __version__, wire
from taskscope.commands.contract import finding_of_contract, judged_of_contract

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from taskscope.commands.gate import Check
    from taskscope.commands.observe import Observation
    from taskscope.model import Finding, Sample

VERSION = 1


class Lines:
    """Writes the lines with ``write``, one call each."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self.samples = 0
        self._write = write
        self._told: dict[object, object] = {}

    def start(self, observation: Observation, seconds: float) -> None:
        """The first line: which process, and for how long it is watched."""
        self._line("start", version=VERSION, taskscope=__version__,
                   target=wire.pack(observation.process), seconds=seconds)  # fmt: skip

    def sample(self, sample: Sample, findings: Sequence[Finding]) -> None:
        """A sample, then what changed in the findings."""
        self.samples += 1
        self._line("sample", sample=wire.pack(sample))
        self._changes(findings)

    def end(self, observation: Observation, checks: Sequence[Check]) -> None:
        """What the last verdict changed; then the last line: the final findings, and what failed."""
        self._changes(observation.findings)
        failed = [check.failure for check in checks if check.failure]
        self._line(
            "end",
            samples=self.samples,
            seconds=round(observation.watched, 3),
            **judged_of_contract(observation.pump.progress),
            findings=[finding_of_contract(finding) for finding in observation.findings],
            silences=wire.pack(observation.silences),
            processes=wire.pack(observation.members),
            ended=observation.ended or None,
            failed=failed,
            status=1 if failed else 0,
        )

    def _changes(self, findings: Sequence[Finding]) -> None:
        now = {_key(finding): finding for finding in findings}
        for key in self._told.keys() - now.keys():
            self._line("cleared", finding=self._told.pop(key))
        for key, finding in now.items():
            known = self._told.get(key)
            packed = finding_of_contract(finding)
            self._told[key] = packed
            if not isinstance(known, dict) or _verdict(known) != _verdict(packed):
                self._line("finding", finding=packed)

    def _line(self, event: str, **fields: Any) -> None:
        self._write(json.dumps({"event": event, **fields}, separators=(",", ":")))


def _key(finding: Finding) -> object:
    return (finding.kind, finding.id, finding.site, finding.coroutine, finding.why)


def _verdict(packed: dict[str, Any]) -> object:
    cause = packed["cause"]
    return (packed["level"], cause and cause["pattern"])
