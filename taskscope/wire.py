"""JSON-RPC 2.0, one message per line, sans-I/O: bytes in, messages out.

No socket is touched here, so tests push bytes through both ends.  This is also the boundary where text
from the target stops being hostile: see ``clean``.
"""

from __future__ import annotations

import dataclasses
import json
import re
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from taskscope.model import Counts, SiteCounts
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

PROTOCOL = 7
"""Protocol version; both ends must agree (see ``Hello``)."""

MAX_REQUEST = 1 << 17
"""Bytes of one request line: the longest list of sites, parsed in 1 ms.  Our clients send no more."""

MAX_MESSAGE = 16 << 20
"""Bytes of one answer line: a sample with 10,000 new sites takes half of that."""

MAX_CONTAINERS, MAX_VALUES = 500_000, 4_000_000
"""Lists and objects, and commas, per line: an empty list takes 30 times more memory than its text."""

MAX_NESTING = 32
"""Nesting of lists and objects in a message.  Ours need about ten; the parser recurses, and a thread's stack
may be small."""

MAX_ID = 1 << 53

MAX_TEXT = 1024
"""Characters kept of any string.  Names and paths are shorter; a 10 MB task name must not pass."""

PARSE_ERROR, INVALID_REQUEST, NO_METHOD, BAD_PARAMS, INTERNAL = -32700, -32600, -32601, -32602, -32603
MISMATCH, NOT_FOUND, FORBIDDEN = -32000, -32001, -32002

# C0, DEL, C1, format characters (bidi, zero width, soft hyphen, tags), line separators, surrogates.
_HOSTILE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


class WireError(Exception):
    """The bytes are not our protocol; the connection is unusable."""


class RemoteError(Exception):
    """The other side refused a request.  ``code`` is one of the constants above."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Request:
    id: int | None
    method: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Response:
    id: int | None
    result: Any
    error: RemoteError | None


Message = Request | Response


def clean_text(text: str) -> str:
    """``text`` with control, format and surrogate characters escaped and its length capped."""
    if len(text) > MAX_TEXT:
        text = text[: MAX_TEXT - 1] + "…"
    if text.isascii() and text.isprintable():
        return text
    return _HOSTILE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def clean(value: Any) -> Any:
    """The JSON ``value`` with every string cleaned in place, keys included, at any depth."""
    top = [value]
    pending: list[Any] = [top]
    while pending:
        each = pending.pop()
        items = list(each.items() if isinstance(each, dict) else enumerate(each))
        if isinstance(each, dict):
            each.clear()
        for key, item in items:
            kept = clean_text(item) if isinstance(item, str) else item
            each[clean_text(key) if isinstance(key, str) else key] = kept
            if isinstance(item, (list, dict)):
                pending.append(item)
    return top[0]


def decode(line: bytes, containers: int = MAX_CONTAINERS, values: int = MAX_VALUES) -> Any:
    """The JSON value in ``line``, cleaned.  Raises WireError if it is not JSON or exceeds the limits.

    A line of plain ASCII without a backslash holds no hostile character, so nearly every message skips
    the walk.
    """
    if line.count(b"[") + line.count(b"{") > containers or line.count(b",") > values:
        raise WireError("it holds too many values")
    if _is_deep(line):
        raise WireError(f"not JSON of at most {MAX_NESTING} levels")
    try:
        value = json.loads(line.decode())
    except ValueError as error:
        raise WireError(f"not JSON: {error}") from None
    if line.isascii() and b"\\" not in line and b"\x7f" not in line and not _has_long_text(line):
        return value
    return clean(value)


_BRACKETS = bytes.maketrans(b"{}", b"[]")
_OTHERS = bytes(set(range(256)) - set(b"[]{}"))


def _is_deep(line: bytes) -> bool:
    """Whether lists and objects are nested too deeply, or their brackets do not match."""
    if line.count(b"[") + line.count(b"{") <= MAX_NESTING:
        return False
    outside = b"".join(line.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    brackets = outside.translate(_BRACKETS, _OTHERS)
    for _ in range(MAX_NESTING):  # each round removes the innermost level
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def _has_long_text(line: bytes) -> bool:
    """Whether a string of ``line``, which holds no backslash, is longer than MAX_TEXT."""
    return len(line) > MAX_TEXT and any(len(text) > MAX_TEXT for text in _STRINGS.findall(line))


_STRINGS = re.compile(rb'"([^"]*)"')


def encode(message: Mapping[str, Any]) -> bytes:
    """One line of ASCII, so that no byte can mean anything to a terminal."""
    return json.dumps(message, separators=(",", ":"), check_circular=False).encode() + b"\n"


def request(id: int | None, method: str, params: Mapping[str, Any]) -> bytes:
    """A request, or a notification if ``id`` is None."""
    head: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
    if id is not None:
        head["id"] = id
    return encode(head)


def response(id: int | None, result: object) -> bytes:
    return encode({"jsonrpc": "2.0", "id": id, "result": result})


def failure(id: int | None, code: int, message: str) -> bytes:
    return encode({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})


class Decoder:
    """Bytes of one connection in, messages out.  A line longer than ``limit`` bytes raises WireError."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> Iterator[Message]:
        """Yields every message completed by ``data``.  Raises WireError; then drop the connection."""
        while True:
            head, newline, data = data.partition(b"\n")
            self._parts.append(head)
            self._size += len(head)
            if self._size > self._limit:
                raise WireError(f"a message is longer than {self._limit} bytes")
            if not newline:
                return
            line = b"".join(self._parts)
            self._parts.clear()
            self._size = 0
            if line.strip():
                yield _message(decode(line))


def _message(value: Any) -> Message:
    if not isinstance(value, dict) or value.get("jsonrpc") != "2.0":
        raise WireError("not a JSON-RPC 2.0 message")
    id = value.get("id")
    if id is not None and (type(id) is not int or abs(id) > MAX_ID):
        raise WireError(f"a message id is not an integer up to {MAX_ID}")
    if "method" in value:
        params = value.get("params", {})
        if not isinstance(value["method"], str) or not isinstance(params, dict):
            raise WireError("a request needs a method name and named parameters")
        return Request(id, value["method"], params)
    error = value.get("error")
    if error is None:
        return Response(id, value.get("result"), None)
    if not isinstance(error, dict):
        raise WireError("an error is not an object")
    code, text = error.get("code", INTERNAL), error.get("message", "")
    if type(code) is not int or not isinstance(text, str):
        raise WireError("an error needs a code and a message")
    return Response(id, None, RemoteError(code, text))


_names: dict[type, tuple[str, ...]] = {}


_PLAIN = frozenset((int, float, str, bool, type(None)))


def pack(value: Any) -> Any:
    """A model value (or a tuple, list or dict of such) as JSON values: field names are the keys."""
    cls = type(value)
    names = _names.get(cls)
    if names is not None:
        return {name: item if type(item := getattr(value, name)) in _PLAIN else pack(item) for name in names}
    if cls is tuple or cls is list:
        return [item if type(item) in _PLAIN else pack(item) for item in value]
    if cls is dict:
        return {key: pack(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value):
        _names[cls] = tuple(field.name for field in dataclasses.fields(value))
        return pack(value)
    return value


COUNTS = tuple(field.name for field in dataclasses.fields(Counts))
AFTER = tuple(field.name for field in dataclasses.fields(SiteCounts))[2:]
"""Columns of a row after the site."""

pack_row: Callable[[SiteCounts], tuple[float | None, ...]] = attrgetter(
    "site", *(f"counts.{name}" for name in COUNTS), *AFTER
)
"""Site counts as a row of numbers: a sample holds thousands, and field names would dominate it."""
