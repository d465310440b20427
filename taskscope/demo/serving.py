"""What the demo services share: options, logging, and running until a signal."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
from typing import Protocol


class Service(Protocol):
    """Something that runs until it is told to stop."""

    async def start(self) -> None:
        """Returns once the service accepts requests."""

    async def stop(self) -> None:
        """Stops the service."""


def options(name: str, title: str) -> argparse.ArgumentParser:
    """The options of all demos; each may add its own."""
    parser = argparse.ArgumentParser(prog=f"python -m taskscope.demo.{name}", description=title)
    parser.add_argument("--fixed", action="store_true", help="the version without the leak")
    parser.add_argument("--speed", type=_positive, default=1.0, metavar="N", help="waits are N times shorter")
    return parser


def run(service: Service) -> None:
    """Runs a service until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(_serve(service))


async def _serve(service: Service) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await service.start()
    await stopping.wait()
    await service.stop()


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return value
