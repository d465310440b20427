"""All of TaskScope but the app in one file that a bare Python runs: without arguments, as a relay."""

from __future__ import annotations

import io
import zipfile
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

_LEFT_OUT = frozenset({"tui", "demo", "testing", "aiomonitor", "__pycache__"})
"""What needs packages, or makes no sense without them."""

_MAIN = """\
import sys
if sys.version_info < (3, 11):
    sys.exit("taskscope needs Python 3.11 or later; this is %d.%d" % sys.version_info[:2])
from taskscope.__main__ import main
sys.exit(main(sys.argv[1:] or ["relay"]))
"""


def bundle() -> bytes:
    """The file, a zip archive that Python runs."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__main__.py", _MAIN)
        for name, data in _every(files("taskscope"), "taskscope"):
            archive.writestr(name, data)
    return packed.getvalue()


def _every(folder: Traversable, name: str) -> Iterator[tuple[str, bytes]]:
    for each in sorted(folder.iterdir(), key=lambda each: each.name):
        if each.is_dir() and each.name not in _LEFT_OUT:
            yield from _every(each, f"{name}/{each.name}")
        elif each.is_file():
            yield f"{name}/{each.name}", each.read_bytes()
