"""Two hundred thousand mutated frames sent to one agent, whose program must not notice."""

from __future__ import annotations

import json
import socket
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from taskscope import wire
from taskscope.attach.presence import agent_in
from tests.agent_client import AgentClient
from tests.attack.frames import frame
from tests.integration.children import running, says

if TYPE_CHECKING:
    import subprocess

FRAMES = 200_000
A_CONNECTION = 30
"""Frames at most, fewer than may be under way; one that is not the protocol's is the last."""

HELLO = wire.request(0, "hello", {"protocol": wire.PROTOCOL}).rstrip()
LAST = wire.request(1_000_000, "loops", {}).rstrip()
"""Its answer says that what came before has been taken."""

MAX_GROWTH = 64 << 20
"""Bytes of the program's memory."""

MAX_GAP = 1.0
"""Seconds between two beats of the program, on a machine that does other things too."""

BEATING = """
import asyncio, sys, threading, time
gaps = []
async def beat():
    last = time.monotonic()
    while True:
        await asyncio.sleep(0.01)
        now = time.monotonic()
        gaps.append(now - last)
        last = now
async def wait(): await asyncio.Event().wait()
async def main():
    kept = [asyncio.create_task(wait()) for _ in range(200)]
    print("beating", flush=True)
    await beat()
threading.Thread(target=asyncio.run, args=(main(),), daemon=True).start()
for line in sys.stdin:
    print(len(gaps), max(gaps), flush=True)
    gaps.clear()
"""


def attack(path: str, frames: int, seed: int) -> Counter[str]:
    """What the agent said, by error code; an internal error is an AssertionError with what caused it."""
    random = Random(seed)
    said: Counter[str] = Counter()
    while frames > 0:
        sent = [HELLO] if random.random() < 0.9 else []
        while len(sent) < A_CONNECTION and (not sent or _is_a_message(sent[-1])):
            sent.append(frame(random))
        last = [LAST] if _is_a_message(sent[-1]) else []
        for line in _conversation(path, random, b"\n".join((*sent, *last, b""))):
            message = json.loads(line)
            code = message.get("error", {}).get("code")
            assert code != wire.INTERNAL, (message, sent)
            said["answers" if code is None else str(code)] += 1
        frames -= len(sent)
    return said


def _is_a_message(data: bytes) -> bool:
    try:
        list(wire.Decoder(wire.MAX_REQUEST).feed(data + b"\n"))
    except wire.WireError:
        return False
    return True


def _conversation(path: str, random: Random, data: bytes) -> list[bytes]:
    """Sends ``data`` in pieces; whole lines of what came back, until the agent hangs up or all is said."""
    received = bytearray()
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(path)
        client.setblocking(False)
        give_up = time.monotonic() + 20
        quiet = 0
        while quiet < 3 or b'"id":1000000,' not in received:
            assert time.monotonic() < give_up, "the agent neither takes nor answers"
            try:
                if data:
                    sent = client.send(data[: random.choice((1, 50, 3_000, 100_000))])
                    data = data[sent:]
                    quiet = 0
            except BlockingIOError:
                pass
            except (BrokenPipeError, ConnectionResetError):
                data = b""
            try:
                part = client.recv(1 << 18)
                if not part:
                    break
                received += part
            except BlockingIOError:
                if not data:
                    quiet += 1
                    time.sleep(0.001)
            except ConnectionResetError:
                break
    return bytes(received).split(b"\n")[:-1]


def beats(child: subprocess.Popen[str]) -> tuple[int, float]:
    """Of the program's heart since last asked: how many, and the longest gap in seconds."""
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write("\n")
    child.stdin.flush()
    count, gap = child.stdout.readline().split()
    return int(count), float(gap)


def check(frames: int, seed: int) -> None:
    with running(BEATING, "--interval", "100ms", stdin=-1) as child:
        says(child, "beating")
        point = agent_in(child.pid)
        assert point is not None
        memory = Path(f"/proc/{child.pid}/statm")
        attack(point.path, 500, seed + 1)  # what is loaded and cached at first
        before = int(memory.read_text().split()[1])
        beats(child)
        begin = time.monotonic()
        said = attack(point.path, frames, seed)
        took = time.monotonic() - begin
        count, gap = beats(child)
        grown = (int(memory.read_text().split()[1]) - before) * 4096
        print(
            f"{frames} frames in {took:.0f} s: {dict(said)}; memory {grown / 1e6:+.1f} MB, "
            f"{count} beats, longest gap {gap * 1e3:.0f} ms"
        )
        with AgentClient(point.path) as client:
            sample = client.sample()
            assert sample["tasks"]["live"] >= 200
            assert sample["disarmed"] == []
            assert "answers that failed" not in sample["dropped"]
            assert "clients that the agent failed to serve" not in sample["dropped"]
        assert said["answers"] > frames / 10
        assert grown < MAX_GROWTH
        assert gap < MAX_GAP


@pytest.mark.attack
@pytest.mark.timeout(1800)
def test_two_hundred_thousand_mutated_frames() -> None:
    check(FRAMES, seed=9)


def test_some_mutated_frames() -> None:
    check(1_000, seed=10)
