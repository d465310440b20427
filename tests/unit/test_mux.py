"""Frames between a relay and its near end: what goes in comes out, and what is no frame ends the stream."""

from __future__ import annotations

import json
import struct
import zlib

import pytest

from taskscope import mux, wire
from taskscope.mux import Frames, MuxError

CARRIED = [(0, b'{"jsonrpc":"2.0"}\n'), (3, b"a" * 70_000), (3, b""), (4_000_000_000, b"\0\xff")]


def joined(frames: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Neighbours of one channel as one, as far as neither is an end."""
    found: list[tuple[int, bytes]] = []
    for channel, data in frames:
        if data and found and found[-1][0] == channel and found[-1][1]:
            found[-1] = channel, found[-1][1] + data
        else:
            found.append((channel, data))
    return found


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("at_once", [1, 7, 1 << 20])
def test_frames_arrive_however_the_stream_is_cut(compressed: bool, at_once: int) -> None:
    here, there = Frames(compressed=compressed), Frames(compressed=compressed)
    sent = b"".join(here.pack(channel, data) for channel, data in CARRIED)
    pieces = [sent[at : at + at_once] for at in range(0, len(sent), at_once)]
    found = [frame for piece in pieces for frame in there.feed(piece)]
    assert joined(found) == CARRIED
    assert max(len(data) for _, data in found) <= mux.MAX_FRAME


def test_a_compressed_frame_is_complete_when_it_is_sent() -> None:
    here, there = Frames(compressed=True), Frames(compressed=True)
    for number in range(20):
        line = json.dumps({"sample": [number] * 50}).encode()
        assert list(there.feed(here.pack(1, line))) == [(1, line)]


def test_what_expands_to_just_over_a_frame_is_complete_at_once() -> None:
    """The limit falls into the last match of the compressed frame."""
    for more in range(300):
        here, there = Frames(compressed=True), Frames(compressed=True)
        frames = [(1, bytes(mux.MAX_FRAME - 150 + more)), (2, b"")]
        found = list(there.feed(b"".join(here.pack(*each) for each in frames)))
        assert joined(found) == frames


def test_samples_take_a_fraction_when_compressed() -> None:
    here = Frames(compressed=True)
    samples = [json.dumps({"live": number, "sites": [[1, number, 3]] * 50}).encode() for number in range(50)]
    assert sum(len(here.pack(1, each)) for each in samples) < sum(map(len, samples)) / 8


def test_what_expands_without_end_is_kept_one_frame_at_a_time() -> None:
    there = Frames(compressed=True)
    deflate = zlib.compressobj()
    head = struct.pack("!II", 1, mux.MAX_FRAME)
    bomb = deflate.compress((head + bytes(mux.MAX_FRAME)) * 2000) + deflate.flush(zlib.Z_SYNC_FLUSH)
    assert len(bomb) < 200_000
    number = 0
    for _, data in there.feed(bomb):
        number += 1
        assert len(data) == mux.MAX_FRAME
        assert len(there._left) <= 2 * (mux.MAX_FRAME + 8)
    assert number == 2000


@pytest.mark.parametrize("compressed", [False, True])
def test_what_is_no_frame_ends_the_stream(compressed: bool) -> None:
    with pytest.raises(MuxError):
        list(Frames(compressed=compressed).feed(b"Welcome to this host!\n"))


def test_a_stream_that_says_it_is_over_is_refused() -> None:
    with pytest.raises(MuxError, match="ended"):
        list(Frames(compressed=True).feed(zlib.compress(b"")))


def test_the_ends_agree_to_compress_unless_they_are_on_one_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for theirs, wanted in ((mux.machine(), False), ("another", True), ("", True)):
        monkeypatch.setattr(mux, "machine", lambda theirs=theirs: theirs)
        hello = mux.greeting()
        monkeypatch.undo()
        answer, _ = mux.welcome(hello, {"host": "h"})
        about = mux.welcomed(answer)
        assert about is not None
        assert (about["compressed"], about["relay"], about["host"]) == (wanted, mux.RELAY, "h")


@pytest.mark.parametrize(
    "line", [b"Last login: today\n", b"{}\n", b"[1]\n", b'{"jsonrpc":"2.0","id":1}\n', b"\xff\n"]
)
def test_what_a_login_prints_is_no_answer(line: bytes) -> None:
    assert mux.welcomed(line) is None
    with pytest.raises(wire.WireError):
        mux.welcome(line, {})
