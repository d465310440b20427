"""What the operating system knows about a process that runs aiomonitor on this machine.

aiomonitor's web API does not even report its process id; a loopback connection reveals it.
"""

from __future__ import annotations

import getpass
import ipaddress
import os
import resource
import socket
import time

import psutil

from taskscope import model, wire
from taskscope.attach import builds, discover, peers
from taskscope.values import dataclass

DEFAULT_CONSOLE = 20101


@dataclass(frozen=True, slots=True)
class Use:
    """Resources in use by the process; None: unknown."""

    threads: int = 0
    fds: int | None = None
    rss: int | None = None
    cpu: float | None = None


class HostProcess:
    """The process behind our connection to ``host`` and ``port``, and any others that share the port."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._where = f"{host}:{port}"
        self._process: psutil.Process | None = None
        self.others: tuple[int, ...] = ()
        if not _is_here(host):
            return
        try:
            pid = _peer(port)
            pids = _listeners(port)
            if pid is not None:
                self._process = psutil.Process(pid)
                self._process.cpu_percent()
                self.others = tuple(each for each in pids if each != pid)
        except (psutil.Error, OSError):
            self._process = None

    @property
    def pid(self) -> int:
        """0: unknown."""
        return self._process.pid if self._process is not None else 0

    @property
    def uid(self) -> int | None:
        """None: unknown."""
        try:
            return int(self._process.uids().effective) if self._process is not None else None
        except (psutil.Error, OSError):
            return None

    def use(self) -> Use:
        """Resources in use now; CPU since the last call."""
        process = self._process
        if process is None:
            return Use()
        try:
            with process.oneshot():
                return Use(
                    process.num_threads(),
                    process.num_fds(),
                    process.memory_info().rss,
                    process.cpu_percent() / 100,
                )
        except (psutil.Error, OSError):
            return Use()

    def console(self) -> tuple[str, int] | None:
        """Where its telnet console listens: by default one port below the web API.

        It is not contacted: each connection opens a session in the program.
        """
        ports = (self._port - 1, DEFAULT_CONSOLE)
        if self._process is None:
            return self._host, ports[0]
        listening = {port: host for host, port in peers.listening(self.pid)}
        return next(((listening[port], port) for port in ports if port in listening), None)

    def describe(self) -> model.Process:
        """The process; for a remote one, only its address."""
        unknown = model.Process(
            pid=0,
            name=self._where,
            python="",
            implementation="",
            executable="",
            argv=(),
            host=self._where.rpartition(":")[0],
            user="",
            cwd="",
            started_wall=time.time(),
        )
        if self._process is None:
            return unknown
        try:
            return self._described(self._process)
        except (psutil.Error, OSError):
            return unknown

    @staticmethod
    def _described(process: psutil.Process) -> model.Process:
        argv = [wire.clean_text(word) for word in process.cmdline()]
        executable = process.exe()
        return model.Process(
            pid=process.pid,
            name=(discover.readable(argv) or process.name())[:40],
            python=builds.version_in(executable) or builds.version_in(peers.maps_of(process.pid)),
            implementation="",
            executable=wire.clean_text(executable),
            argv=tuple(argv),
            host=socket.gethostname(),
            user=process.username() if process.uids().real != os.getuid() else getpass.getuser(),
            cwd=wire.clean_text(process.cwd()),
            started_wall=process.create_time(),
            fd_limit=_fd_limit(process.pid),
        )


def _listeners(port: int) -> list[int]:
    """Visible processes of this machine that listen on TCP ``port``."""
    every = psutil.net_connections("tcp")
    found = {each.pid for each in every if each.status == psutil.CONN_LISTEN and _port(each.laddr) == port}
    return sorted(pid for pid in found if pid is not None)


def _peer(port: int) -> int | None:
    """The process on this machine at the other end of our connection to ``port``."""
    own = {_port(each.laddr) for each in psutil.Process().net_connections("tcp") if _port(each.raddr) == port}
    for each in psutil.net_connections("tcp"):
        if _port(each.laddr) == port and _port(each.raddr) in own and each.pid is not None:
            return int(each.pid)
    return None


def _port(address: tuple[object, ...]) -> object:
    return address[1] if address else None


def _fd_limit(pid: int) -> int | None:
    if not hasattr(resource, "prlimit"):
        return None  # only Linux tells that of another process
    soft, _ = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
