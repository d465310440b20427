"""The pytest plugin: fails a test that leaves tasks or threads behind, and says who created them.

To enable it: ``pytest --taskscope``, ``taskscope = true`` in the ini file, or ``@pytest.mark.taskscope`` on
one test.  The check runs after the teardown of the test's own fixtures.  Whatever a fixture of a wider scope
starts during set-up belongs to that fixture, not to the test that happens to come first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Generator

    from taskscope.testing.leftovers import Period, Recorder

HELP = "fail tests that leave asyncio tasks or threads behind"
SETTINGS = ("enabled", "grace", "tolerance", "allow")
MARKER = (
    "taskscope(enabled=True, grace=None, tolerance=None, allow=()): whether to check this test for tasks and "
    "threads left behind, and its own settings"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the option and the ini settings."""
    parser.getgroup("taskscope").addoption("--taskscope", action="store_true", help=HELP)
    parser.addini("taskscope", HELP, type="bool", default=False)
    parser.addini(
        "taskscope_grace", "seconds to wait for tasks and threads to end after a test", default="0.2"
    )
    parser.addini("taskscope_tolerance", "number of tasks and threads a test may leave behind", default="0")
    parser.addini(
        "taskscope_allow",
        "patterns of task names, thread names, functions or file.py:function to ignore",
        type="linelist",
        default=[],
    )


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker and this session's plugin."""
    config.addinivalue_line("markers", MARKER)
    try:
        watch = Watch(config)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None
    config.pluginmanager.register(watch, "taskscope-watch")


class Watch:
    """The plugin for one session.  A test that starts nothing costs a few microseconds."""

    def __init__(self, config: pytest.Config) -> None:
        self._everywhere = bool(config.getoption("--taskscope") or config.getini("taskscope"))
        self._grace = _number(config, "taskscope_grace")
        self._tolerance = _number(config, "taskscope_tolerance")
        self._allow = tuple(config.getini("taskscope_allow"))
        self._recorder: Recorder | None = None
        self._period: Period | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Arms the hooks before the first loop is created."""
        if self._everywhere:
            self._armed()

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Removes the hooks."""
        if self._recorder is not None:
            self._recorder.release()
            self._recorder = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Starts the test's period, which includes its fixtures."""
        settings = _settings(item)
        if self._everywhere if settings is None else settings.get("enabled", True):
            grace = self._grace if settings is None else float(settings.get("grace", self._grace))
            self._period = self._armed().begin(grace)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
        """Exempts what a fixture of a wider scope starts."""
        if self._period is None or fixturedef.scope == "function":
            return (yield)
        begun = clock.monotonic()
        try:
            return (yield)
        finally:
            self._period.exempt.append((begun, clock.monotonic()))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Checks after the test's fixtures are torn down; fails the test if something stays."""
        try:
            result = yield
            if self._period is not None and self._armed().has_left(self._period):
                self._judge(item, self._period)
            return result
        finally:
            if self._period is not None:
                self._armed().end(self._period)
                self._period = None

    def _armed(self) -> Recorder:
        """The recorder, armed from its first use to the end of the session."""
        if self._recorder is None:
            from taskscope.testing.leftovers import recorder

            recorder.acquire()
            self._recorder = recorder
        return self._recorder

    def _judge(self, item: pytest.Item, period: Period) -> None:
        from taskscope.testing.guard import leftovers
        from taskscope.testing.leftovers import described

        settings = _settings(item) or {}
        _let_end(self._armed(), period)
        left = leftovers(period, (*self._allow, *settings.get("allow", ())))
        if len(left) > int(settings.get("tolerance", self._tolerance)):
            pytest.fail(described(left), pytrace=False)


def _let_end(recorder: Recorder, period: Period) -> None:
    """Waits up to the grace period; meanwhile runs loops that stay open between tests."""
    from taskscope.testing.leftovers import POLL

    until = clock.monotonic() + period.grace
    while clock.monotonic() < until:
        tasks = recorder.tasks(period)
        if not tasks and not recorder.threads(period):
            return
        loops = {task.get_loop() for task in tasks}
        idle = [loop for loop in loops if not loop.is_running() and not loop.is_closed()]
        for loop in idle:
            _run_briefly(loop, POLL)
        if not idle:
            clock.sleep(POLL)


def _run_briefly(loop: Any, seconds: float) -> None:
    from taskscope.testing.leftovers import later

    later(loop, seconds, loop.stop)
    loop.run_forever()


def _settings(item: pytest.Item) -> dict[str, Any] | None:
    """Merged settings of the markers on the test, its class and module, closest first; None: no marker."""
    if "taskscope" not in item.keywords:  # several times faster than iter_markers
        return None
    markers = list(item.iter_markers("taskscope"))
    found: dict[str, Any] = {}
    for marker in reversed(markers):
        found.update(_given(marker))
    return found if markers else None  # a directory's name is a keyword too


def _given(marker: pytest.Mark) -> dict[str, Any]:
    """The settings of one marker.  Fails the test on an unknown one."""
    given = {**dict(zip(SETTINGS, marker.args, strict=False)), **marker.kwargs}
    strange = [str(each) for each in marker.args[len(SETTINGS) :]] + sorted(set(given) - set(SETTINGS))
    if strange:
        said = f"the taskscope marker has no setting {strange[0]!r}; choose from {', '.join(SETTINGS)}"
        pytest.fail(said, pytrace=False)
    if isinstance(given.get("allow"), str):
        given["allow"] = (given["allow"],)
    return {name: value for name, value in given.items() if value is not None}


def _number(config: pytest.Config, name: str) -> float:
    value = config.getini(name)
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if number < 0:
        raise ValueError(f"{name} must be a number, 0 or more, not {value!r}")
    return number
