"""The leaky order executor at full load, with the commands of ``target.py``."""

import asyncio
import sys

from taskscope.demo.orders.service import OrderService
from tests.bench.target import Target, obey

FAILURES_A_SECOND = 1_000


class Orders(Target):
    """What the commands do."""

    def __init__(self, service: OrderService) -> None:
        super().__init__()
        self.service = service

    async def failures(self) -> dict[str, float]:
        """Failed orders in all and in the last five minutes (as many sleeping tasks), and the time."""
        seen = self.service.failures
        return {"total": seen.total, "recent": seen.recent, "at": self.loop.time()}


async def main(mode: str, name: str) -> None:
    if mode == "agent":
        import taskscope

        taskscope.start(name)
    service = OrderService(fixed=False, speed=1.0, rate=FAILURES_A_SECOND)
    await service.start()
    await obey(Orders(service))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
