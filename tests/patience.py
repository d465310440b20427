"""How long tests wait: longer where code runs slowly, by the factor in ``$TASKSCOPE_PATIENCE``."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FACTOR = float(os.environ.get("TASKSCOPE_PATIENCE", "1"))


def settled(value: Callable[[], object], wanted: object, seconds: float = 10) -> None:
    """Waits until ``value()`` is what is wanted."""
    deadline = time.monotonic() + seconds * FACTOR
    while (found := value()) != wanted:
        assert time.monotonic() < deadline, f"{found} instead of {wanted}"
        time.sleep(0.005)
