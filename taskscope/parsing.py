"""Parses Python source, one text at a time.

Parsing in two threads at once can end in a SystemError on CPython 3.11 (gh-106905).
"""

from __future__ import annotations

import ast
import threading

_one_at_a_time = threading.Lock()


def parse(source: str) -> ast.Module:
    """The syntax tree of ``source``.  Raises what ``ast.parse`` raises."""
    with _one_at_a_time:
        return ast.parse(source)
