"""A program that keeps closing every descriptor while the agent uses its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.test_closed_descriptors import check
from tests.pythons import SUPPORTED

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.attack

ROUNDS = 120


@pytest.mark.parametrize("version", SUPPORTED)
def test_no_descriptor_of_the_program_is_touched(version: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    check(ROUNDS, version, tmp_path)
