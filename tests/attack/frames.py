"""Mutated requests: by the protocol's grammar and bit by bit, from a seed."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from taskscope import wire
from taskscope.model.requests import METHODS

if TYPE_CHECKING:
    from random import Random

HARMLESS = sorted(METHODS.keys() - {"detach"})
"""One that is taken at its word ends what is attacked."""

VALUES: dict[str, Any] = {
    "protocol": wire.PROTOCOL,
    "client": "attack",
    "id": 7,
    "stacks": False,
    "sites": [1, 2, 2, 10**9],
    "parent": 3,
    "parked": "event|an event|/x.py:3",
    "order": "newest",
    "after": 100,
    "limit": 5,
    "serial": 2,
    "site": 1,
    "by": "parent",
    "of": 5,
    "cuts": [1.0, 2.0],
    "before": 10.0,
    "seconds": 60,
    "ident": 140_000,
    "file": "/etc/hostname",
    "line": 10,
    "context": 3,
    "start": True,
    "keeps": 2,
    "kinds": ["context", "loop"],
}
"""Likely ones, by parameter."""

RAW = (
    *("null", "true", "-1", "0", "1.5", "NaN", "-Infinity", "Infinity", "1e999", "9007199254740993"),
    *("9" * 400, "9" * 5_000, "-0.0", '""', '"x"', '"\\u001b[2J"', '"\\ud800"', f'"{"a" * 9_000}"'),
    *('"/dev/zero"', '"\\u0000"', "[]", "{}", "[[[[]]]]", "[" * 40 + "]" * 40, '{"a":{"b":[1,{}]}}'),
    *("[" + "1," * 5_000 + "1]", "[1,1,1,null]", '["1"]', "[1.5]", "[NaN]", '{"1":1}'),
)
"""JSON, or nearly, in the place of a value."""


def frame(random: Random) -> bytes:
    """One line."""
    data = _by_grammar(random)
    return _by_bits(random, data) if random.random() < 0.1 else data


def _by_grammar(random: Random) -> bytes:
    name = random.choice(HARMLESS)
    if name == "snapshot" and random.random() < 0.98:
        name = "loops"  # a whole one takes its time
    params = {each.name: json.dumps(VALUES[each.name]) for each in fields(METHODS[name])}
    head = {"jsonrpc": '"2.0"', "id": str(random.randrange(1_000)), "method": json.dumps(name)}
    for _ in range(random.choice((0, 1, 1, 2))):
        place = params if random.random() < 0.85 else head
        key = random.choice([*place, "colour", "error", "result"])
        if random.random() < 0.2:
            place.pop(key, None)
        else:
            place[key] = random.choice(RAW)
    head["params"] = _object(params) if random.random() < 0.98 else random.choice(RAW)
    return _object(head).encode()


def _object(members: dict[str, str]) -> str:
    return "{" + ",".join(f'"{key}":{value}' for key, value in members.items()) + "}"


def _by_bits(random: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(changed))
        way = random.randrange(4)
        if way == 0:
            changed[at] ^= 1 << random.randrange(8)
        elif way == 1:
            del changed[at : at + random.randrange(1, 20)]
        elif way == 2:
            changed[at:at] = changed[at : at + random.randrange(1, 50)]
        else:
            changed[at:at] = random.randbytes(random.randrange(1, 8))
        if not changed:
            break
    return bytes(changed)
