"""A hostile agent: sits between a client and a real agent and changes what the agent says.

Usage: ``python -m tests.attack.hostile_agent REAL FAKE SEED RATE``: listens at FAKE, prints ``ready``, and of
the messages that come from REAL changes that part.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from typing import Any

from tests.attack.mutations import HOSTILE, bytes_mutated, encoded, mutated

LIMIT = 64 << 20


class Hostile:
    """One connection."""

    def __init__(self, dice: random.Random, rate: float) -> None:
        self._dice = dice
        self._rate = rate * dice.choice((0.02, 0.2, 1))  # some connections get far

    def said(self, line: bytes) -> bytes:
        """What the client gets in place of ``line``."""
        dice = self._dice
        if dice.random() >= self._rate:
            return line
        message: dict[str, Any] = json.loads(line)
        how = dice.random()
        if how < 0.03:
            return bytes_mutated(line, dice)
        if how < 0.06:
            return self._raw()
        if how < 0.1:
            message["id"] = dice.choice((None, 0, 1, 2, -1, 2**70, "1", [], 10**400))
        elif how < 0.13:
            message["error"] = dice.choice((*HOSTILE, {"code": "x"}, {"code": -32601, "message": ["x"]}))
        elif how < 0.16:
            return b"".join([line] * dice.choice((2, 5, 50)))
        else:
            part = "result" if "result" in message else "params"
            message[part] = self._changed(message.get(part))
        return encoded(message) + b"\n"

    def _changed(self, value: Any) -> Any:
        dice = self._dice
        if dice.random() < 0.05 or not isinstance(value, (dict, list)) or not value:
            return dice.choice(HOSTILE)
        return mutated(value, dice, 2)

    def _raw(self) -> bytes:
        return self._dice.choice(
            (
                b"\n",
                b"{}\n",
                b"\xff\xfe\n",
                b"[" * 100_000 + b"\n",
                b'{"jsonrpc":"2.0","id":1,"result":' + b"[" * 2000 + b'"\\u001b"' + b"]" * 2000 + b"}\n",
                b'{"jsonrpc":"2.0","id":1e999,"result":1}\n',
                b'{"jsonrpc":"2.0","method":"leaving","params":{"reason":{"a":1}}}\n',
                b'{"jsonrpc":"2.0","method":"part","params":{"section":["x"],"value":[1]}}\n',
                b'{"jsonrpc":"2.0","method":"part","params":{"section":"tasks","value":"x"}}\n',
                b'{"jsonrpc":"2.0","id":2,"result":[' + b"[]," * 5_000_000 + b"1]}\n",
                b"x" * 1_000_000 + b"\n",
            )
        )


async def main() -> None:
    real, fake, seed, rate = sys.argv[1:5]
    count = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        hostile = Hostile(random.Random(f"{seed} {count}"), float(rate))
        their_reader, their_writer = await asyncio.open_unix_connection(real, limit=LIMIT)

        async def ask() -> None:
            while data := await reader.read(65536):
                their_writer.write(data)

        asking = asyncio.create_task(ask())
        try:
            while line := await their_reader.readline():
                writer.write(hostile.said(line))
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            asking.cancel()
            writer.close()
            their_writer.close()

    async with await asyncio.start_unix_server(serve, fake, limit=LIMIT) as server:
        print("ready", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
