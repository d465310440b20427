"""The wire: bytes in, messages out; hostile text stops here."""

from __future__ import annotations

import json
import random

import pytest

from taskscope import model, wire
from taskscope.checked import unpack

FRAME = model.Frame("/app/a.py", 3, "f")
SAMPLE = model.Sample(
    seq=1,
    monotonic=5,
    wall=6.5,
    interval=1.0,
    tasks=model.Counts(1, 2, 1),
    threads=3,
    fds=None,
    rss=10,
    cpu=None,
    loop_latency=0.001,
    agent_cpu=None,
    agent_memory=None,
    full=True,
    new_sites=(model.Site(1, "task", FRAME, None, "f"),),
    sites=(model.SiteCounts(1, model.Counts(1, 1), 2.0),),
    dropped={"births": 2},
)


def messages(data: bytes, limit: int = wire.MAX_REQUEST) -> list[wire.Message]:
    return list(wire.Decoder(limit).feed(data))


def test_every_split_of_the_bytes_gives_the_same_messages() -> None:
    data = wire.request(1, "tasks", {"sites": [1, 2]}) + wire.response(1, {"a": "ü"}) + b"\n"
    data += wire.failure(2, wire.NOT_FOUND, "gone") + wire.request(None, "sample", {})
    whole = messages(data)
    assert [type(each).__name__ for each in whole] == ["Request", "Response", "Response", "Request"]
    assert isinstance(whole[2], wire.Response)
    assert whole[2].error is not None
    assert (whole[2].error.code, whole[2].error.message) == (wire.NOT_FOUND, "gone")
    for seed in range(50):
        rng = random.Random(seed)
        decoder = wire.Decoder(wire.MAX_REQUEST)
        found: list[wire.Message] = []
        rest = data
        while rest:
            size = rng.randint(1, 9)
            found.extend(decoder.feed(rest[:size]))
            rest = rest[size:]
        assert [repr(each) for each in found if isinstance(each, wire.Request)] == [
            repr(each) for each in whole if isinstance(each, wire.Request)
        ]
        assert len(found) == 4


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense\n",
        b"[]\n",
        b'{"id": 1}\n',
        b'{"jsonrpc": "1.0", "method": "x"}\n',
        b'{"jsonrpc": "2.0", "id": "text", "method": "x"}\n',
        b'{"jsonrpc": "2.0", "id": 1, "method": 5}\n',
        b'{"jsonrpc": "2.0", "id": 1, "method": "x", "params": [1]}\n',
        b'{"jsonrpc": "2.0", "id": 1, "error": "text"}\n',
        b"[" * 100_000 + b"\n",
        b'{"jsonrpc": "2.0", "method": "\xff"}\n',
    ],
)
def test_anything_but_the_protocol_is_refused(line: bytes) -> None:
    with pytest.raises(wire.WireError):
        messages(line)


def test_a_line_without_end_is_refused_before_memory_fills() -> None:
    decoder = wire.Decoder(1000)
    assert list(decoder.feed(b"x" * 900)) == []
    with pytest.raises(wire.WireError, match="1000 bytes"):
        list(decoder.feed(b"x" * 200))


def test_model_values_survive_the_wire() -> None:
    line = json.dumps(wire.pack(SAMPLE)).encode()
    assert unpack(model.Sample, wire.decode(line)) == SAMPLE


def test_unknown_keys_are_ignored_and_wrong_types_refused() -> None:
    packed = wire.pack(FRAME)
    assert unpack(model.Frame, packed | {"newer": 1}) == FRAME
    assert unpack(model.Frame, {"file": "f", "line": 1, "function": "g", "newer": 1}) == model.Frame(
        "f", 1, "g"
    )
    for wrong in ({"line": "3"}, {"file": None}, {"line": True and "x"}):
        with pytest.raises(wire.WireError):
            unpack(model.Frame, packed | wrong)
    with pytest.raises(wire.WireError):
        unpack(model.Frame, {"file": "x"})


@pytest.mark.parametrize(
    ("hostile", "harmless"),
    [
        ("\x1b]52;c;AAAA\x07", "\\x1b]52;c;AAAA\\x07"),
        ("a\nb\tc\r", "a\\x0ab\\x09c\\x0d"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202eabc", "\\u202eabc"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("naïve 日本 [/] 🙂", "naïve 日本 [/] 🙂"),
    ],
)
def test_control_format_and_surrogate_characters_are_escaped(hostile: str, harmless: str) -> None:
    assert wire.clean_text(hostile) == harmless
    line = wire.request(None, "sample", {"name": hostile, hostile: [hostile]})
    (message,) = messages(line)
    assert isinstance(message, wire.Request)
    assert message.params == {"name": harmless, harmless: [harmless]}


@pytest.mark.parametrize("text", ["x" * 10_000, "\x1b" * 10_000, "日" * 10_000])
def test_long_text_is_capped(text: str) -> None:
    (message,) = messages(wire.response(1, {"name": text}))
    assert isinstance(message, wire.Response)
    name = message.result["name"]
    assert name.startswith(wire.clean_text(text[:10])[:10])
    assert name.endswith("…")
    assert len(name) <= 4 * wire.MAX_TEXT


def test_raw_delete_characters_are_caught_too() -> None:
    assert wire.decode(b'{"a":"x\x7fy"}') == {"a": "x\\x7fy"}


def test_counts_of_a_site_go_as_a_row_of_numbers_and_as_an_object() -> None:
    counts = model.SiteCounts(7, model.Counts(1, 9, 3, 2, 1, 1, 1), 12.5, None, 2, 3)
    row = json.loads(json.dumps(wire.pack_row(counts)))
    assert row == [7, 1, 9, 3, 2, 1, 1, 1, 12.5, None, 2, 3]
    assert unpack(model.SiteCounts, row) == counts == unpack(model.SiteCounts, wire.pack(counts))


@pytest.mark.parametrize("row", [["7", *range(11)], [7, [1]], [], list(range(13))])
def test_a_row_that_is_no_counts_is_refused(row: list[object]) -> None:
    with pytest.raises(wire.WireError):
        unpack(model.SiteCounts, row)
