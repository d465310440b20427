"""A transaction writes an audit record through a session of its own: all connections are in transactions.

Needs: sqlalchemy, aiosqlite
Shows: deadlock
Says: all 3 slots, AsyncAdaptedQueuePool of 3
"""

import asyncio
import tempfile

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine


async def audit(engine):
    async with AsyncSession(engine) as session:
        await session.execute(text("SELECT 1"))  # HANG


async def pay(engine, all_there):
    async with AsyncSession(engine) as session:
        await session.execute(text("SELECT 1"))
        await all_there.wait()
        await audit(engine)


async def main():
    with tempfile.TemporaryDirectory() as folder:
        engine = create_async_engine(
            f"sqlite+aiosqlite:///{folder}/invoices", pool_size=3, max_overflow=0, pool_timeout=3600
        )
        all_there = asyncio.Barrier(3)
        payments = [asyncio.create_task(pay(engine, all_there)) for _ in range(5)]
        while payments:
            await asyncio.sleep(0.2)


asyncio.run(main())
