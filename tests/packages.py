"""Packages for the other Pythons of this machine, for tests that run real programs under several versions.

Fetched once from the package index into the user's cache.  A test that needs some asks ``require("3.15",
"uvloop")`` and is skipped by name where they cannot be had.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests import pythons

PATIENCE = 60
"""Seconds for the package index."""


@functools.cache
def require(version: str, *packages: str) -> Path:
    """A directory for ``$PYTHONPATH`` with these packages for that minor version; else skips the test."""
    python = pythons.require(version)
    key = hashlib.sha256(" ".join([str(python), *sorted(packages)]).encode()).hexdigest()[:16]
    place = _cache() / f"{version}-{key}"
    if not place.exists():
        _install(python, packages, place)
    return place / "site-packages"


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "taskscope-tests"


def _install(python: Path, packages: tuple[str, ...], place: Path) -> None:
    """Into a directory beside ``place`` first: another worker may be doing the same."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as beside:
        command = [*_installer(python), "--target", f"{beside}/made/site-packages", *packages]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip(f"the package index gave no {', '.join(packages)} within {PATIENCE} s")
        if done.returncode:
            reason = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            pytest.skip(f"no {', '.join(packages)} for {python.name} from the package index: {reason}")
        try:
            Path(beside, "made").rename(place)
        except OSError:  # the other worker was faster
            if not place.exists():
                raise


def _installer(python: Path) -> list[str]:
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if uv is not None:
        return [uv, "pip", "install", "--quiet", "--only-binary", ":all:", "--python", str(python)]
    version = python.name.removeprefix("python")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    return [*pip, "--only-binary", ":all:", "--python-version", version]
