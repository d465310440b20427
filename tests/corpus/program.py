"""A program that leaks, hangs or does neither, and what has to be said of it.

Its docstring says what is right.  ``Shows``: the causes, one of which is named.  ``Leak``: the coroutines of
a program that leaks.  The guilty lines are marked ``# LEAK`` or ``# HANG``, or are a library's, ``Line``:
``FILE FUNCTION``; of a program that hangs, and of a case, the finding names all of them, as its site or in
its evidence.  ``Level``: of a case, if it is neither ``leak`` nor ``hang``; ``Says``: words of its finding;
``Where``: ``children`` if not in the process itself, ``outside`` if no agent gets in.  ``Needs``: modules,
with the faulty version where only that one is (``redis==5.2.1``, ``mesh==3.7.0 of mcp-mesh``); ``Runs``:
programs.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskscope.model import Finding, Frame

CORPUS = Path(__file__).parent
CASES = CORPUS.parent / "cases"

SURE = ("leak", "hang")
"""Levels that say for certain that something is wrong."""


@dataclass
class Program:
    """One program, and what was said about it at each moment."""

    path: Path
    said: dict[float, tuple[Finding, ...]] = field(default_factory=dict)
    trouble: str = ""

    @property
    def kind(self) -> str:
        """The folder: ``leaking``, ``hanging``, ``healthy`` or ``cases``."""
        return self.path.parent.name

    @property
    def leaks(self) -> bool:
        return self.kind == "leaking"

    @property
    def is_faulty(self) -> bool:
        return self.kind != "healthy"

    def declared(self, word: str) -> tuple[str, ...]:
        found = re.search(rf"^{word}: (.+)$", self.path.read_text(), re.MULTILINE)
        return tuple(found[1].split(", ")) if found else ()

    @cached_property
    def marked(self) -> frozenset[int]:
        """Lines that end in ``# LEAK`` or ``# HANG``."""
        lines = enumerate(self.path.read_text().splitlines(), 1)
        return frozenset(number for number, line in lines if line.endswith(("# LEAK", "# HANG")))

    def leaked(self, moment: float) -> list[Finding]:
        return [each for each in self.said.get(moment, ()) if each.level in SURE]

    def false(self, moment: float) -> list[Finding]:
        return [each for each in self.leaked(moment) if not self.is_meant(each)]

    def is_meant(self, finding: Finding) -> bool:
        """Whether the finding is about what is wrong with this program."""
        if self.leaks:
            return finding.coroutine.endswith(self.declared("Leak"))
        return self.is_faulty and (self.is_right_line(finding) or self.is_right_cause(finding))

    def is_right_line(self, finding: Finding) -> bool:
        """Whether it shows a line that leaks; of a hang or a case, whether it names every guilty line."""
        if self.leaks:
            frames = (finding.site, finding.user_site)
            return any(self._is_guilty(frame) for frame in frames if frame is not None)
        return self.is_named_in(shown(finding))

    def is_named_in(self, text: str) -> bool:
        """Whether every guilty line is."""
        own = (rf"\b{self.path.name}:{line} in " for line in self.marked)
        others = (each.split(" ", 1) for each in self.declared("Line"))
        library = (rf"\b{Path(file).name}:\d+ in {re.escape(name)}(?!\w)" for file, name in others)
        return all(re.search(each, text) for each in (*own, *library))

    def _is_guilty(self, frame: Frame) -> bool:
        if frame.line in self.marked and Path(frame.file) == self.path:
            return True
        places = (each.rsplit(" ", 1) for each in self.declared("Line"))
        return any(frame.file.endswith(file) and frame.function.endswith(name) for file, name in places)

    def is_right_cause(self, finding: Finding) -> bool:
        if finding.cause is None or finding.cause.pattern not in self.declared("Shows"):
            return False
        return all(word in shown(finding) for word in self.declared("Says"))

    def is_right(self, finding: Finding) -> bool:
        """Whether it says all that has to be said."""
        level = finding.level in (self.declared("Level") or SURE)
        return (
            level and self.is_meant(finding) and self.is_right_line(finding) and self.is_right_cause(finding)
        )

    def missing(self, python: str) -> list[str]:
        """Which of the modules that it ``Needs`` and the programs that it ``Runs`` are not here."""
        modules, programs = (self.declared(word) for word in ("Needs", "Runs"))
        return [
            *(each for each in modules if not installed(each, python)),
            *(each for each in programs if shutil.which(each) is None),
        ]


def shown(finding: Finding) -> str:
    """All that a reader sees of it, its places as ``service.py:40 in work``."""
    frames = [each for each in (finding.site, finding.user_site, finding.via) if each is not None]
    lines = [f"{place(each)} in {each.function} " for each in frames]
    if finding.cause is not None:
        lines += [finding.cause.text, *finding.cause.evidence]
    return "\n".join((finding.text, *lines))


def place(frame: Frame) -> str:
    return f"{Path(frame.file).name}:{frame.line}"


def cause_of(finding: Finding) -> str:
    return finding.cause.pattern if finding.cause else "-"


@cache
def installed(need: str, python: str) -> bool:
    """Whether that interpreter has a module, in the version that is asked for."""
    wanted, _, distribution = need.partition(" of ")
    module, _, version = wanted.partition("==")
    code = f"import {module}, importlib.metadata as installed\n"
    if version:
        code += f"assert installed.version({distribution or module!r}) == {version!r}"
    return subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0


def programs(*kinds: str) -> list[Program]:
    """Every program of these kinds, in this order."""
    folders = [CASES if kind == "cases" else CORPUS / kind for kind in kinds]
    return [
        Program(path)
        for folder in folders
        for path in sorted(folder.glob("*.py"))
        if not path.stem.startswith(("_", "test_"))
    ]
