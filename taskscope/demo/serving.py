"""What the demo services share: options, logging, and running until a signal."""

from __future__ import annotations

import argparse
import asyncio
import logging
import multiprocessing
import signal
import sys
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


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
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes; only the first leaks")
    return parser


def run(given: argparse.Namespace, service: Callable[[bool], Service]) -> None:
    """Runs a service until SIGTERM or SIGINT.  ``service`` makes one, leaky or fixed.

    With several workers, each is a process that runs one, and only the first leaks.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    if given.workers == 1:
        asyncio.run(_serve(service(given.fixed)))
        return
    context = multiprocessing.get_context("fork")
    flaws = [given.fixed or number > 0 for number in range(given.workers)]
    workers = [context.Process(target=_work, args=(service, fixed)) for fixed in flaws]
    for each in workers:
        each.start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit())
    try:
        for each in workers:
            each.join()
    finally:
        for each in workers:
            each.terminate()


def _work(service: Callable[[bool], Service], fixed: bool) -> None:
    asyncio.run(_serve(service(fixed)))


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
