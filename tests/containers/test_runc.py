"""By runc alone: see `in_a_container`, which a bare Python runs.  ``pytest -m containers -n 0``, as root."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from tests import pythons
from tests.containers.in_a_container import REPO

pytestmark = [pytest.mark.containers, pytest.mark.timeout(600)]


def test_attached_from_outside_and_inside_and_cut_ten_times_it_is_left_as_it_was() -> None:
    if os.geteuid() != 0:
        pytest.skip("containers take root")
    if shutil.which("runc") is None:
        if shutil.which("apt-get") is None:
            pytest.skip("no runc here, and none can be installed")
        install = "apt-get -qq update; apt-get -qq install -y --no-install-recommends runc"
        subprocess.run(["sh", "-c", install], check=True, timeout=240, capture_output=True)
    command = [str(pythons.require("3.11")), "-S", "-m", "tests.containers.in_a_container"]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": 51 tasks\n") == 3
    assert "the process is as it was; no relay is left" in done.stdout
