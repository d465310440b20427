"""Attaching on arm64: what attaches runs there, in a machine of its own.

All of it: ``pytest -m arm64 -n 0 -s``, as root.  It takes long: to bring an agent in takes 8 s there at best,
and a minute beside other work.  A look at whether it works at all: ``pytest -m arm64 -n 0 -k smoke``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.machine.linux import Machine, NoMachineError

pytestmark = [pytest.mark.arm64, pytest.mark.timeout(3600)]

REPO = Path(__file__).parents[2]
VERSIONS = {"3.11": "bookworm", "3.13": "sid", "3.14": "sid", "3.15": "sid"}
"""In which of Debian's suites each is; tests there run in the suite's own Python."""

PACKAGES = (
    *("python3-pytest", "python3-pytest-timeout", "python3-pytest-asyncio"),
    *("python3-uvloop", "python3-jsonschema"),
)

PYTEST = (
    "python3 -m pytest -c /dev/null --rootdir . -p no:cacheprovider -o asyncio_mode=auto --timeout 600 -rfEs "
    "tests/integration/"
)

ATTACHES = (
    "test_attach_targets.py",
    "test_attach_commands.py",
    "test_attach_places.py",
    "test_interrupted_calls.py",
    "test_outside.py test_gil_deadlock.py",
    "test_discover.py",
    "test_read_only.py test_busy_with_the_gil.py",
)

SMOKE = (
    f"{PYTEST}test_attach_targets.py tests/integration/test_interrupted_calls.py "
    "-k 'tight or clock or pause or recv' "
    '&& { python3 -c \'import time; open("/tmp/ready", "w"); time.sleep(600)\' & } '
    "&& until [ -e /tmp/ready ]; do sleep 0.1; done "
    "&& python3 -m taskscope ps && python3 -m taskscope doctor $! "
    "&& python3 -m taskscope run -c 'print(6 * 7)'"
)


def there(suite: str, command: str, seconds: float = 3000) -> str:
    """What a command printed in the machine; it must succeed."""
    versions = tuple(f"python{version}" for version in VERSIONS if VERSIONS[version] == suite)
    machine = Machine("arm64", suite, (*versions, *PACKAGES))
    # The machine is slow, and has many files to compile.
    setting = "export TASKSCOPE_PATIENCE=10 PYTHONUNBUFFERED=1; unset PYTHONDONTWRITEBYTECODE"
    try:
        done = machine.run(f"{setting}; cd {REPO.name}; {command}", [REPO], seconds, print)
    except NoMachineError as problem:
        pytest.skip(str(problem))
    assert done.status == 0, done.output
    return done.output


def test_smoke() -> None:
    said = there("bookworm", SMOKE, 900)
    assert "6 passed" in said
    assert "python -c import time" in said
    assert "can be attached to" in said
    assert "\n42\n" in said


@pytest.mark.parametrize("suite", ["bookworm", "sid"])
@pytest.mark.parametrize("files", ATTACHES)
def test_the_suites_tests_of_attaching_pass(files: str, suite: str) -> None:
    there(suite, " && ".join(f"{PYTEST}{each}" for each in files.split()))


@pytest.mark.parametrize("version", VERSIONS)
def test_every_kind_of_program_is_attached_to(version: str) -> None:
    said = there(VERSIONS[version], f"python3 -m tests.bench.attach_matrix --version {version}")
    assert "harmed" not in said


@pytest.mark.parametrize("version", ["3.11", "3.14"])
def test_a_hundred_cycles_under_load_fail_no_request(version: str) -> None:
    cycles = f"python3 -m tests.bench.attach_cycles --version {version} --cycles 100 --program 'asyncio echo'"
    assert "100 cycles" in (said := there(VERSIONS[version], cycles))
    assert " 0 failures" in said
