"""Where the other end of a pipe, a socketpair or a local connection is: in this process, or in which.

The kernel tells which end belongs to which (``sock_diag``, ``/proc/net``); who holds it is found by reading
the links of the descriptors of every process that this one may look into.
"""

from __future__ import annotations

import _socket
import errno
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from taskscope import model
from taskscope.agent.inspect.open_files import link_of
from taskscope.agent.inspect.walk import spent
from taskscope.system import clock, system

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from taskscope.agent.inspect.walk import Job

MOST_LINKS = 50_000
"""Descriptors looked at, over all processes."""

MOST_FOUND = 100
"""Searches whose result is kept."""

MOST_ENDS, MOST_NAMED = 32, 4
"""Other ends kept, and named, of one descriptor: a pipe may be inherited by many."""

SHARE = 100
"""Multiple of its cost for which a search counts: views that ask every second take 1 % of a core."""

_READS, _WRITES = 0o400, 0o200
_SOCK_DIAG = 4
_ASK = struct.Struct("=IHHII BBHIIIII")  # a header, and which Unix socket
_BY_FAMILY, _REQUEST, _ANY_STATE, _SHOW_PEER, _ANY_COOKIE = 20, 1, 0xFFFFFFFF, 4, 0xFFFFFFFF
_HEADER, _ANSWER, _PEER = 16, 16, 2


class End(NamedTuple):
    """The other end of a descriptor.  ``mode``: the permission that links to it have; 0: any."""

    link: str
    mode: int = 0


class _Found(NamedTuple):
    until: float
    ends: tuple[model.OtherEnd, ...]


_found: dict[End, _Found] = {}
_peers: dict[str, tuple[float, int]] = {}
"""By the link of a socket: until when it counts, and the inode of the other end."""


def of_all(known: Iterable[model.Descriptor]) -> Job[tuple[model.Descriptor, ...]]:
    """These descriptors with their other ends, where they have one that may be on this machine."""
    pairs = [(each, other_end(each.number)) for each in known]
    yield
    yield from held_by({each for _, each in pairs if each is not None})
    return tuple(_with_end(each, wanted) for each, wanted in pairs)


def held_by(ends: set[End]) -> Job[dict[End, tuple[model.OtherEnd, ...]]]:
    """Who has these open, as far as can be seen; ``MOST_ENDS`` of each."""
    now = clock.monotonic()
    new = {each for each in ends if each not in _found or _found[each].until < now}
    if new:
        yield from _search(new)
    return {each: _found[each].ends for each in ends if each in _found}


def _with_end(each: model.Descriptor, wanted: End | None) -> model.Descriptor:
    found = _found.get(wanted) if wanted is not None else None
    if found is None or (each.kind == "tcp" and not found.ends):
        return each  # a peer that no process here holds may be on another machine, as its address tells
    return replace(each, others=found.ends[:MOST_NAMED])


def _search(wanted: set[End]) -> Job[None]:
    """Looks through the descriptors of all processes for these ends."""
    began = clock.thread_time()
    ends: dict[End, list[model.OtherEnd]] = {each: [] for each in wanted}
    links = {each.link for each in wanted}
    for pid, number in _every_descriptor():
        try:
            link = link_of(number, pid) if pid else ""
            if link in links:
                _add(pid, number, link, ends)
        except OSError:
            pass  # closed meanwhile
        if spent():
            yield
    if len(_found) >= MOST_FOUND:
        _found.clear()
    until = clock.monotonic() + SHARE * (clock.thread_time() - began)
    _found.update((each, _Found(until, tuple(inside))) for each, inside in ends.items())


def _add(pid: int, number: str, link: str, ends: dict[End, list[model.OtherEnd]]) -> None:
    """Raises OSError."""
    for each, found in ends.items():
        fits = not each.mode or system.lstat(f"/proc/{pid}/fd/{number}").st_mode & each.mode
        if each.link == link and len(found) < MOST_ENDS and fits:
            here = pid == system.getpid()
            found.append(model.OtherEnd(pid, int(number), "" if here else _name(pid), here))


def _name(pid: int) -> str:
    try:
        return system.contents(f"/proc/{pid}/comm").decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _every_descriptor() -> Iterator[tuple[int, str]]:
    """Of this process first; pid 0: one that cannot be read."""
    own, left = system.getpid(), MOST_LINKS
    others = [int(each) for each in system.listdir("/proc") if each.isdigit() and int(each) != own]
    for pid in (own, *others):
        try:
            numbers = system.listdir(f"/proc/{pid}/fd")
        except OSError:  # another user's, or gone
            yield 0, ""
            continue
        for number in numbers[:left]:
            yield pid, number
        left -= len(numbers)
        if left <= 0:
            return


def other_end(number: int, process: int | str = "self") -> End | None:
    """The other end of a descriptor; None if there is none, or it cannot be told."""
    try:
        link = link_of(number, process)
        if link.startswith("pipe:"):
            reads = system.lstat(f"/proc/{process}/fd/{number}").st_mode & _READS
            return End(link, _WRITES if reads else _READS)
        peer = _peer(link) if link.startswith("socket:") else 0
        return End(f"socket:[{peer}]") if peer else None
    except (OSError, ValueError, struct.error):
        return None


def _peer(link: str) -> int:
    """The inode of the socket at the other end; 0: none.  Kept like a search: the kernel's tables are long.

    Raises OSError, ValueError, struct.error.
    """
    until, peer = _peers.get(link, (0.0, 0))
    if clock.monotonic() < until:
        return peer
    began, inode = clock.thread_time(), int(link.partition("[")[2].rstrip("]"))
    peer = _peer_of_unix(inode) or _peer_of_tcp(inode)
    if len(_peers) >= MOST_FOUND:
        _peers.clear()
    _peers[link] = clock.monotonic() + SHARE * (clock.thread_time() - began), peer
    return peer


def _peer_of_unix(inode: int) -> int:
    """The inode of the socket that a Unix socket is connected to; 0: none.  Raises OSError."""
    ask = _ASK.pack(
        *(_ASK.size, _BY_FAMILY, _REQUEST, 0, 0),
        *(_socket.AF_UNIX, 0, 0, _ANY_STATE, inode, _SHOW_PEER, _ANY_COOKIE, _ANY_COOKIE),
    )
    if not hasattr(_socket, "AF_NETLINK"):
        raise OSError(errno.EAFNOSUPPORT, "only Linux tells")
    kernel = system.socket(_socket.AF_NETLINK, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC, _SOCK_DIAG)
    try:
        kernel.settimeout(0.1)
        kernel.sendto(ask, (0, 0))
        answer = kernel.recv(4096)
    finally:
        kernel.close()
    if struct.unpack_from("=H", answer, 4)[0] != _BY_FAMILY:
        return 0
    at = _HEADER + _ANSWER
    while at + 8 <= len(answer):
        length, kind = struct.unpack_from("=HH", answer, at)
        if kind == _PEER:
            peer: int = struct.unpack_from("=I", answer, at + 4)[0]
            return peer
        at += max(4, (length + 3) & ~3)
    return 0


def _peer_of_tcp(inode: int) -> int:
    """The inode of the socket with the addresses exchanged, in this network namespace; 0: none."""
    for name in ("tcp", "tcp6"):
        table = system.contents(f"/proc/self/net/{name}")
        own = _row(table, b" %d " % inode, 9, b"%d" % inode)
        if own:
            here, there = own[1], own[2]
            peer = _row(table, b" %s %s " % (there, here), 1, there)
            return int(peer[9]) if peer else 0
    return 0


def _row(table: bytes, text: bytes, field: int, value: bytes) -> list[bytes]:
    """The fields of the first line with this text, and this value in a field; empty if there is none."""
    at = table.find(text)
    while at >= 0:
        end = table.find(b"\n", at)
        fields = table[table.rfind(b"\n", 0, at) + 1 : end].split()
        if len(fields) > 9 and fields[field] == value:
            return fields
        at = table.find(text, end)
    return []
