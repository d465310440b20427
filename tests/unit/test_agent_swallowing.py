"""Handlers that catch CancelledError and go on, read from bytecode."""

# ruff: noqa: E722

from __future__ import annotations

import asyncio
import contextlib
import inspect
from asyncio import CancelledError
from typing import Any

import pytest

from taskscope.agent.inspect import swallowing


async def by_name() -> None:
    while True:
        try:
            await asyncio.sleep(1)
        except ValueError:
            pass
        except asyncio.CancelledError:  # here
            print("no")


async def by_bare_name() -> None:
    while True:
        try:
            await asyncio.sleep(1)
        except CancelledError as error:  # here
            print(error)


async def among_others() -> None:
    while True:
        try:
            await asyncio.sleep(1)
        except (ValueError, CancelledError):  # here
            continue


async def everything() -> None:
    while True:
        try:
            await asyncio.sleep(1)
        except BaseException:  # here
            print("no")


async def bare() -> None:
    while True:
        try:
            await asyncio.sleep(1)
        except:  # here
            print("no")


async def suppressed() -> None:
    while True:
        with contextlib.suppress(asyncio.CancelledError):  # here
            await asyncio.sleep(1)


async def reraised() -> None:
    while True:
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            print("bye")
            raise


async def returned() -> None:
    while True:
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            return


async def other_errors() -> None:
    while True:
        try:
            await asyncio.sleep(1)
        except Exception:
            print("no")


async def cleans_up() -> None:
    try:
        await asyncio.sleep(1)
    finally:
        await asyncio.sleep(5)


SWALLOW = [by_name, by_bare_name, among_others, everything, bare, suppressed]
DO_NOT = [reraised, returned, other_errors, cleans_up]


@pytest.mark.parametrize("function", SWALLOW, ids=lambda each: each.__name__)
def test_a_handler_that_goes_on_is_found(function: Any) -> None:
    lines, first = inspect.getsourcelines(function)
    marked = [first + at for at, line in enumerate(lines) if line.rstrip().endswith("# here")]
    assert list(swallowing.lines_of(function.__code__)) == marked


@pytest.mark.parametrize("function", DO_NOT, ids=lambda each: each.__name__)
def test_one_that_ends_the_coroutine_is_not(function: Any) -> None:
    assert swallowing.lines_of(function.__code__) == ()
