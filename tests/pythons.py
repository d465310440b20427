"""Which Python interpreters this machine has, for tests that run real programs under several versions.

Looked for in the directories of ``$TASKSCOPE_PYTHONS`` (separated like those of ``$PATH``), in ``$PATH``
and in ``~/.pyenv/versions``.  A test that needs a version asks ``require("3.14")`` and is skipped by name
where it is absent.  Those without a GIL are named in ``$TASKSCOPE_FREE_THREADED``: paths, separated likewise.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from _pytest.mark.structures import ParameterSet

SUPPORTED = ("3.11", "3.12", "3.13", "3.14", "3.15")

FREE_THREADED = ("3.14t", "3.15t")

_NAME = re.compile(r"python(3\.\d+)")
_ASK = "import sys; print('%d.%d' % sys.version_info[:2] + sys.abiflags, sys.executable)"


def _folders() -> list[Path]:
    listed = [os.environ.get("TASKSCOPE_PYTHONS", ""), os.environ.get("PATH", "")]
    found = [Path(entry) for entry in os.pathsep.join(listed).split(os.pathsep) if entry]
    return [*found, *sorted(Path.home().glob(".pyenv/versions/*/bin"))]


def _is_script(path: Path) -> bool:
    """A wrapper, that is: it would only pick one of the others, or find none to pick."""
    with path.open("rb") as file:
        return file.read(2) == b"#!"


@functools.cache
def installed() -> dict[str, Path]:
    """Interpreters by minor version (``3.13``), the first found of each."""
    found: dict[str, Path] = {}
    for folder in _folders():
        for path in sorted(folder.glob("python3.*")):
            named = _NAME.fullmatch(path.name)
            if named is None or named[1] in found or _is_script(path):
                continue
            version, executable = _asked(path)
            if version == named[1]:
                found[version] = executable
    return found


def _asked(path: str | Path) -> tuple[str, Path]:
    """An interpreter's own word on its version, and where it is."""
    asked = subprocess.run([path, "-I", "-S", "-c", _ASK], capture_output=True, text=True, check=False)
    version, _, executable = asked.stdout.strip().partition(" ")
    return version, Path(executable)


@functools.cache
def _free_threaded() -> dict[str, Path]:
    named = os.environ.get("TASKSCOPE_FREE_THREADED", "")
    return dict(_asked(each) for each in named.split(os.pathsep) if each)


def require(version: str) -> Path:
    """The interpreter of that minor version; skips the test where there is none."""
    there, where = installed(), "PATH, ~/.pyenv/versions, $TASKSCOPE_PYTHONS"
    if version in FREE_THREADED:
        there, where = _free_threaded(), "$TASKSCOPE_FREE_THREADED"
    if version not in there:
        pytest.skip(f"no Python {version} here ({where})")
    return there[version]


def versions(*some: str) -> list[ParameterSet]:
    """Parameters of a test: these versions, or all.  Those between the oldest and the newest that are here
    have the mark ``versions``, so they run only if asked for."""
    wanted = some or SUPPORTED
    between = [each for each in wanted if each in installed()][1:-1]
    return [pytest.param(each, marks=pytest.mark.versions if each in between else ()) for each in wanted]


NEWEST = next((version for version in reversed(SUPPORTED) if version in installed()), SUPPORTED[-1])
"""Of those that are here."""
