"""The ELF files that a process has loaded, as its memory shows them: which of them is the interpreter."""

from __future__ import annotations

import contextlib
import itertools
import re
from pathlib import PurePath
from typing import TYPE_CHECKING

from taskscope.attach import elf

if TYPE_CHECKING:
    from taskscope.attach.procfs import Mapping

_PYTHON = r"(?:lib)?python3"

MOST_NAMED = 50
"""Files of one name that are looked into."""


class Loaded:
    """``executable``: the path of the program itself.  ``read``: of the process's memory."""

    def __init__(self, read: elf.Reader, maps: tuple[Mapping, ...], executable: str) -> None:
        self.read = read
        self._bases: dict[str, int] = {}
        for mapping in maps:
            if mapping.path.startswith("/") and mapping.offset == 0:
                self._bases.setdefault(mapping.path, mapping.start)
        self.executable = executable

    def python(self, names: tuple[str, ...]) -> tuple[str, elf.Image] | None:
        """The interpreter, by what it exports: a library or program of that name, else the program itself."""
        return self._exporting(names, [*self._named(_PYTHON), self.executable])

    def library(self, names: tuple[str, ...], pattern: str) -> elf.Image | None:
        """The loaded file of such a name that exports all of ``names``."""
        found = self._exporting(names, self._named(pattern))
        return found[1] if found is not None else None

    def machine(self, path: str) -> int:
        """The kind of processor that a loaded file is for; 0: it is not loaded."""
        base = self._bases.get(path)
        return 0 if base is None else int.from_bytes(self.read(base + elf.MACHINE_AT, 2), "little")

    def old_version(self) -> str:
        """The version in the name of the library or executable, for Pythons without ``Py_Version``."""
        for path in (*self._bases, self.executable):
            named = re.match(r"(?:lib)?python(3\.\d+)", PurePath(path).name)
            if named:
                return named[1]
        return "before 3.11"

    def _named(self, pattern: str) -> list[str]:
        named = (path for path in self._bases if re.match(pattern, PurePath(path).name))
        return list(itertools.islice(named, MOST_NAMED))

    def _exporting(self, names: tuple[str, ...], paths: list[str]) -> tuple[str, elf.Image] | None:
        for path in paths:
            if path not in self._bases:
                continue
            with contextlib.suppress(elf.ElfError):
                image = elf.Image(self.read, self._bases[path])
                if all(image.symbol(name) for name in names):
                    return path, image
        return None
