"""``taskscope.no_leaks``, a context manager and decorator: fails if code leaves tasks or threads behind."""

from __future__ import annotations

import asyncio
import functools
import inspect
from typing import TYPE_CHECKING, Any, TypeVar

from taskscope.system import clock
from taskscope.testing.leftovers import POLL, Leftover, Period, described, recorder, settled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from typing import Self

F = TypeVar("F", bound="Callable[..., Any]")


class LeakError(AssertionError):
    """Tasks or threads were left behind; the message says which, who created them and where they wait."""

    def __init__(self, leftovers: tuple[Leftover, ...]) -> None:
        super().__init__(described(leftovers))
        self.leftovers = leftovers


class NoLeaks:
    """One use of ``taskscope.no_leaks``, which documents the parameters."""

    def __init__(self, grace: float, tolerance: int, allow: Iterable[str], *, threads: bool) -> None:
        if grace < 0 or tolerance < 0:
            raise ValueError(f"grace and tolerance cannot be negative: {grace}, {tolerance}")
        self._grace = grace
        self._tolerance = tolerance
        self._allow = tuple(allow)
        self._threads = threads
        self._period: Period | None = None

    def __call__(self, function: F) -> F:
        """Decorates ``function``; each call is checked on its own."""

        def fresh() -> NoLeaks:
            return NoLeaks(self._grace, self._tolerance, self._allow, threads=self._threads)

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def guarded_async(*args: Any, **kwargs: Any) -> Any:
                async with fresh():
                    return await function(*args, **kwargs)

            return guarded_async  # type: ignore[return-value]

        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            with fresh():
                return function(*args, **kwargs)

        return guarded  # type: ignore[return-value]

    def __enter__(self) -> Self:
        recorder.acquire()
        self._period = recorder.begin(self._grace)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        period = self._period
        assert period is not None
        try:
            if error is None:
                until = clock.monotonic() + (0 if _in_loop() else self._grace)
                while self._living(period) and clock.monotonic() < until:
                    clock.sleep(POLL)
                self._judge(period)
        finally:
            recorder.end(period)
            recorder.release()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        period = self._period
        assert period is not None
        if error is None:
            await settled(lambda: self._living(period), self._grace)
        self.__exit__(kind, error, trace)

    def _living(self, period: Period) -> bool:
        return bool(recorder.tasks(period) or (self._threads and recorder.threads(period)))

    def _judge(self, period: Period) -> None:
        left = leftovers(period, self._allow, threads=self._threads)
        if len(left) > self._tolerance:
            raise LeakError(left)


def leftovers(period: Period, allow: Iterable[str], *, threads: bool = True) -> tuple[Leftover, ...]:
    """What a period left behind, except what ``allow`` matches."""
    allow = tuple(allow)
    found = [*period.closed, *(recorder.task(each) for each in recorder.tasks(period))]
    if threads:
        found += [recorder.thread(each) for each in recorder.threads(period)]
    return tuple(each for each in found if not each.matches(allow))


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
