"""Which processes seem to run aiomonitor, and whether one answers at an address the user names.

No process is contacted unasked: a request would appear in the access log of a service we only observe.
Instead: parts of aiohttp, which aiomonitor needs, are loaded, and the process listens on aiomonitor's two
default ports.
"""

from __future__ import annotations

import json
import os
import select
import socket
from pathlib import Path

import psutil

PATIENCE = 0.2
"""Timeout per port in seconds."""

GREETING = 0.03
"""Seconds within which a telnet server sends its greeting."""

LEAVING = 2.0
"""Seconds to wait for a console to say goodbye."""

MAX_ANSWER = 4096

TELNET, WEB = 20101, 20102
"""aiomonitor's default ports."""

_PARTS = ("/aiohttp/", "/multidict/", "/yarl/", "/frozenlist/")
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (addresses that others listen on)
_QUESTION = b"GET /api/version HTTP/1.0\r\n\r\n"
_TELNET = b"\xff"
_MY_TERMINAL = b"\xff\xfa\x18\x00dumb\xff\xf0"
_END_OF_INPUT = b"\x04"


def may_run_monitor(maps: str) -> bool:
    """Whether a process that maps these files (one per line) has loaded aiomonitor's dependencies."""
    return any(part in maps for part in _PARTS)


def monitor_of(pid: int) -> str:
    """``aiomonitor://HOST:PORT`` of the monitor that process ``pid`` seems to run; empty if none."""
    listens = {port: host for host, port in listening(pid)}
    return target(listens[WEB], WEB) if TELNET in listens and WEB in listens else ""


def target(host: str, port: int) -> str:
    """The TARGET to attach to."""
    return f"aiomonitor://[{host}]:{port}" if ":" in host else f"aiomonitor://{host}:{port}"


def listening(pid: int) -> list[tuple[str, int]]:
    """Where on this machine's loopback process ``pid`` listens."""
    try:
        if os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net"):  # noqa: PTH115
            return []  # a container: here the same number is another process's port
        connections = psutil.Process(pid).net_connections("tcp")
    except (psutil.Error, OSError):
        return []
    found = {
        (_EVERYWHERE.get(each.laddr.ip, each.laddr.ip), each.laddr.port)
        for each in connections
        if each.status == psutil.CONN_LISTEN
    }
    return sorted(each for each in found if each[0] == "::1" or each[0].startswith("127."))


def is_monitor(host: str, port: int) -> bool:
    """Whether aiomonitor's web API answers there."""
    head, _, body = _asked(host, port, _QUESTION).partition(b"\r\n\r\n")
    try:
        value = json.loads(body) if b" 200 " in head.partition(b"\r\n")[0] else None
    except ValueError:
        return False
    return isinstance(value, dict) and set(value) == {"value"} and isinstance(value["value"], str)


def is_console(host: str, port: int) -> bool:
    """Whether the listener sends a telnet greeting, as aiomonitor's console does; then ends the session."""
    try:
        with socket.create_connection((host, port), PATIENCE) as connection:
            spoken = select.select([connection], [], [], 5 * GREETING)[0]
            if not spoken or connection.recv(4096)[:1] != _TELNET:
                return False
            _take_leave(connection)
            return True
    except OSError:
        return False


def _asked(host: str, port: int, question: bytes) -> bytes:
    """The answer to ``question``; empty if there is none, or if the listener speaks first."""
    said = bytearray()
    try:
        with socket.create_connection((host, port), PATIENCE) as connection:
            if not select.select([connection], [], [], GREETING)[0]:
                connection.sendall(question)
            while len(said) < MAX_ANSWER and (data := connection.recv(4096)):
                said += data
                if said.startswith(_TELNET):
                    _take_leave(connection)
                    return b""
    except OSError:
        return b""
    return bytes(said)


def _take_leave(connection: socket.socket) -> None:
    """Ends the console session that our web request opened.

    Merely hanging up would leave a task in the program that waits for the terminal type forever.
    """
    connection.sendall(_MY_TERMINAL + _END_OF_INPUT)
    connection.settimeout(LEAVING)
    while connection.recv(4096):
        pass


def listeners(port: int) -> list[int]:
    """Visible processes of this machine that listen on TCP ``port``."""
    every = psutil.net_connections("tcp")
    found = {each.pid for each in every if each.status == psutil.CONN_LISTEN and _port(each.laddr) == port}
    return sorted(pid for pid in found if pid is not None)


def peer(port: int) -> int | None:
    """The process on this machine at the other end of our connection to ``port``."""
    own = {_port(each.laddr) for each in psutil.Process().net_connections("tcp") if _port(each.raddr) == port}
    for each in psutil.net_connections("tcp"):
        if _port(each.laddr) == port and _port(each.raddr) in own and each.pid is not None:
            return int(each.pid)
    return None


def _port(address: tuple[object, ...]) -> object:
    return address[1] if address else None


def maps_of(pid: int) -> str:
    """The files that a process has mapped; empty if we may not see them."""
    try:
        return Path(f"/proc/{pid}/maps").read_text(errors="replace")
    except OSError:
        return ""
