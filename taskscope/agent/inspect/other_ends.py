"""Where the other end of a pipe, a socketpair or a local connection is: in this process, or in which.

The kernel tells which end belongs to which (``sock_diag``, ``/proc/net``); who holds it is found by reading
the links of the descriptors of every process that this one may look into.
"""

from __future__ import annotations

import _socket
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

MOST_ENDS = 4
"""Other ends named of one descriptor: a pipe may be inherited by many."""

SHARE = 100
"""Multiple of its cost for which a search counts: views that ask every second take 1 % of a core."""

_READS, _WRITES = 0o400, 0o200
_SOCK_DIAG = 4
_ASK = struct.Struct("=IHHII BBHIIIII")  # a header, and which Unix socket
_BY_FAMILY, _REQUEST, _ANY_STATE, _SHOW_PEER, _ANY_COOKIE = 20, 1, 0xFFFFFFFF, 4, 0xFFFFFFFF
_HEADER, _ANSWER, _PEER = 16, 16, 2


class _Wanted(NamedTuple):
    """``mode``: the permission that the link of the other end has; 0: any."""

    link: str
    mode: int = 0


class _Found(NamedTuple):
    until: float
    ends: tuple[model.OtherEnd, ...]


_found: dict[_Wanted, _Found] = {}
_peers: dict[str, tuple[float, int]] = {}
"""By the link of a socket: until when it counts, and the inode of the other end."""


def of_all(known: Iterable[model.Descriptor]) -> Job[tuple[model.Descriptor, ...]]:
    """These descriptors with their other ends, where they have one that may be on this machine."""
    pairs = [(each, _wanted(each)) for each in known]
    yield
    now = clock.monotonic()
    new = {each for _, each in pairs if each is not None and (each not in _found or _found[each].until < now)}
    if new:
        yield from _search(new)
    return tuple(_with_end(each, wanted) for each, wanted in pairs)


def _with_end(each: model.Descriptor, wanted: _Wanted | None) -> model.Descriptor:
    found = _found.get(wanted) if wanted is not None else None
    if found is None or (each.kind == "tcp" and not found.ends):
        return each  # a peer that no process here holds may be on another machine, as its address tells
    return replace(each, others=found.ends)


def _search(wanted: set[_Wanted]) -> Job[None]:
    """Looks through the descriptors of all processes for these ends."""
    began = clock.thread_time()
    ends: dict[_Wanted, list[model.OtherEnd]] = {each: [] for each in wanted}
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


def _add(pid: int, number: str, link: str, ends: dict[_Wanted, list[model.OtherEnd]]) -> None:
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


def _wanted(found: model.Descriptor) -> _Wanted | None:
    """What to look for; None if there is no other end, or it cannot be told."""
    try:
        link = link_of(found.number)
        if found.kind == "pipe" and link.startswith("pipe:"):
            reads = system.lstat(f"/proc/self/fd/{found.number}").st_mode & _READS
            return _Wanted(link, _WRITES if reads else _READS)
        peer = _peer(found, link)
        return _Wanted(f"socket:[{peer}]") if peer else None
    except (OSError, ValueError, struct.error):
        return None


def _peer(found: model.Descriptor, link: str) -> int:
    """The inode of the socket at the other end; 0: none.  Kept like a search: the kernel's tables are long.

    Raises OSError, ValueError, struct.error.
    """
    until, peer = _peers.get(link, (0.0, 0))
    if clock.monotonic() < until:
        return peer
    began, peer = clock.thread_time(), 0
    if found.kind == "unix":
        peer = _peer_of_unix(int(link.partition("[")[2].rstrip("]") or 0))
    elif found.kind == "tcp" and found.remote:
        peer = _peer_of_tcp(found.number)
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


def _peer_of_tcp(number: int) -> int:
    """The inode of the socket with the addresses exchanged, in this network namespace; 0: none."""
    sock = system.socket(-1, -1, -1, number)
    try:
        six = sock.family == _socket.AF_INET6
        here, there = (_as_in_proc(each, six=six) for each in (sock.getsockname(), sock.getpeername()))
    finally:
        sock.detach()
    table = system.contents("/proc/self/net/tcp6" if six else "/proc/self/net/tcp")
    at = table.find(f"{there} {here} ".encode())
    fields = table[at : table.find(b"\n", at)].split() if at >= 0 else []
    return int(fields[8]) if len(fields) > 8 else 0


def _as_in_proc(end: tuple[str, int], *, six: bool) -> str:
    """``0100007F:1F90``: each word of the address in the machine's byte order."""
    packed = _socket.inet_pton(_socket.AF_INET6 if six else _socket.AF_INET, end[0].partition("%")[0])
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{each:08X}" for each in words) + f":{end[1]:04X}"
