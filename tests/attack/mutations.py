"""Hostile JSON values, made from valid ones."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random

_DEEP: Any = 0
for _ in range(900):
    _DEEP = [_DEEP]

HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 10**6, 2**31, 2**63, 2**64, 2**70, 10**400, -(10**400)),
    *(0.0, -0.5, 1e9, 9e14, 1e15, 1e308, 5e-324, float("nan"), float("inf"), float("-inf")),
    *(
        "",
        "x",
        "leak",
        "user",
        "task",
        "0",
        "\x1b]52;c;AAAA\x07",
        "[/]",
        "[@click=app.quit]x[/]",
        "\u202e",
        "\ud800",
    ),
    *("x" * 100_000, "a\nb", "/dev/zero", "/proc/self/mem", "%s%n", "🙂" * 300, "²"),
    *([], {}, [[]], [None], [0], [1.5], ["x"], {"a": 1}, {"": []}, [{}], [0] * 3, _DEEP),
)


def mutated(value: Any, random: random.Random, most: int = 3) -> Any:
    """A copy of ``value`` with up to ``most`` places changed."""
    value = copy.deepcopy(value) if most > 1 else value
    for _ in range(random.randint(1, most)):
        _change(value, random)
    return value


def _change(value: Any, random: random.Random) -> None:
    """One place below ``value``, changed in place; the deeper it lies, the less likely it is met."""
    while True:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        if not keys:
            return
        key = random.choice(keys)
        inner = value[key]
        if isinstance(inner, (dict, list)) and inner and random.random() < 0.8:
            value = inner
            continue
        break
    how = random.random()
    if how < 0.1:
        del value[key]
    elif how < 0.2 and isinstance(value, list):
        value.extend([inner] * random.choice((1, 2, 50)))
    elif how < 0.25 and isinstance(value, list):
        random.shuffle(value)
    elif how < 0.35 and type(inner) in (int, float) and abs(inner) < 1e18:
        value[key] = inner + random.choice((-1, 1, -1e6, 1e6, 1e12, -1e12))
    elif how < 0.75:
        value[key] = _fresh(random.choice([each for each in HOSTILE if type(each) is type(inner)] or HOSTILE))
    else:
        value[key] = _fresh(random.choice(HOSTILE))


def _fresh(value: Any) -> Any:
    """A copy: what comes later may change it.  ``copy.deepcopy`` does not go as deep."""
    return json.loads(json.dumps(value)) if isinstance(value, (list, dict)) else value


def encoded(value: Any) -> bytes:
    """As a hostile program would write it: NaN and infinities too, and huge numbers."""
    return json.dumps(value).encode()


def bytes_mutated(data: bytes, random: random.Random) -> bytes:
    """A few bytes changed, dropped or duplicated."""
    array = bytearray(data)
    for _ in range(random.randint(1, 8)):
        at = random.randrange(len(array))
        how = random.random()
        if how < 0.5:
            array[at] = random.randrange(256)
        elif how < 0.75:
            del array[at : at + random.randrange(1, 30)]
        elif how < 0.9:
            array[at:at] = array[at : at + random.randrange(1, 30)]
        else:
            del array[at:]
        if not array:
            return b""
    return bytes(array)
