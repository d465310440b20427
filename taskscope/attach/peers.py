"""Which processes seem to run aiomonitor, and whether one answers at an address the user names.

No process is contacted unasked: a request would appear in the access log of a service we only observe.
Instead: parts of aiohttp, which aiomonitor needs, are loaded, and the process listens on aiomonitor's two
default ports.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import select
import socket
import sys
from pathlib import Path

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
_LISTENS = "0A"
"""The state of a listening socket in the kernel's tables."""


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
        with os.scandir(f"/proc/{pid}/fd") as descriptors:  # one may be closed meanwhile
            sockets = {os.readlink(each.path) for each in descriptors}  # noqa: PTH115
        rows = [line.split() for name in ("tcp", "tcp6") for line in _table(pid, name)]
    except OSError:
        return []
    found = {_address(row[1]) for row in rows if row[3] == _LISTENS and f"socket:[{row[9]}]" in sockets}
    own = {(_EVERYWHERE.get(host, host), port) for host, port in found}
    return sorted(each for each in own if each[0] == "::1" or each[0].startswith("127."))


def _table(pid: int, name: str) -> list[str]:
    """The sockets in the network of a process; none without IPv6, say.  Raises PermissionError."""
    try:
        return Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]
    except FileNotFoundError:
        return []


def _address(text: str) -> tuple[str, int]:
    """Host and port from the kernel's ``0100007F:4E85``: words of 32 bits in the machine's byte order."""
    host, _, port = text.partition(":")
    words = re.findall("." * 8, host)
    packed = b"".join(int(word, 16).to_bytes(4, sys.byteorder) for word in words)
    return str(ipaddress.ip_address(packed)), int(port, 16)


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


def maps_of(pid: int) -> str:
    """The files that a process has mapped; empty if we may not see them."""
    try:
        return Path(f"/proc/{pid}/maps").read_text(errors="replace")
    except OSError:
        return ""
