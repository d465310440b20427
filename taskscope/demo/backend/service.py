"""Puts the parts together, and starts and stops them in order."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

from taskscope.demo.backend.api import Api
from taskscope.demo.backend.broker import BrokerSession
from taskscope.demo.backend.brokerage import Brokerage
from taskscope.demo.backend.cleanup import CleanupService, WaitingCleanup
from taskscope.demo.backend.hub import ClosingHub, Hub
from taskscope.demo.backend.notices import AwaitedNotices, Notices
from taskscope.demo.backend.pace import Pace
from taskscope.demo.backend.reports import Reports
from taskscope.demo.backend.risk import BoundedRiskMonitor, RiskMonitor
from taskscope.demo.backend.runs import Kinds, Runs
from taskscope.demo.backend.signals import CancellingProcessor, SignalProcessor
from taskscope.demo.backend.visitors import Visitors

log = logging.getLogger("backend")

LEAKY = Kinds(hub=Hub, signals=SignalProcessor, cleanup=CleanupService)
FIXED = Kinds(hub=ClosingHub, signals=CancellingProcessor, cleanup=WaitingCleanup)


class Backend:
    """Ten runs a minute, three watchers each, and a burst of three risks every 9 s, at speed 1."""

    def __init__(self, *, fixed: bool, speed: float = 1.0) -> None:
        self._pace = pace = Pace.at(speed)
        self._brokerage = Brokerage(pace)
        self._broker = BrokerSession()
        self._notices = (AwaitedNotices if fixed else Notices)(self._broker, pace)
        self._risk = (BoundedRiskMonitor if fixed else RiskMonitor)(self._broker, pace)
        self._directory = tempfile.TemporaryDirectory(prefix="backend-")
        directory = Path(self._directory.name)
        self._reports = Reports(directory)
        self._runs = Runs(FIXED if fixed else LEAKY, self._notices, self._reports, pace, directory)
        self._api = Api(self._runs)

    async def start(self) -> None:
        """Returns once the API listens and the visitors have started."""
        await self._brokerage.start()
        await self._broker.connect(self._brokerage.address)
        await self._risk.start(self._brokerage.address)
        self._reports.start()
        await self._api.start()
        self._visitors = Visitors(self._api.address, self._pace)
        await self._visitors.start()
        log.info("listening on %s:%d", *self._api.address)

    async def stop(self) -> None:
        """Stops accepting requests first, then stops what serves them."""
        await self._visitors.stop()
        await self._api.stop()
        await self._runs.stop()
        await self._reports.stop()
        await self._risk.stop()
        await self._broker.close()
        await self._brokerage.stop()
        self._directory.cleanup()
