"""Starts the companion of a program: a second process that watches it by rules, and serves its metrics.

Judging, writing files and serving cost CPU, memory and descriptors, which the program would pay for at the
worst moment.  So they happen elsewhere, in the code of ``watch --on`` and ``metrics``, which also still runs
if the program has no descriptor left.  The companion is no child of the program, which might wait for it; it
ends with the agent.  Standard library only.
"""

from __future__ import annotations

import json
import os
import posix
import re
import socket
import sys
from pathlib import Path

_BEGIN = "import sys; sys.path.insert(0, {!r}); from taskscope.companion import run; run()"

HANDOVER = "TASKSCOPE_COMPANION"
"""Environment variable that carries the settings: others could read them in the arguments."""

LISTENING = 3
"""The descriptor of the listening socket in the companion."""

_ADDRESS = re.compile(r"(?:(?P<host>[^:\[\]]*|\[[0-9a-fA-F:.]+\]):)?(?P<port>\d{1,5})")


class AddressError(OSError):
    """Nobody can listen there, or it is no address; the message says why."""


class TakenError(AddressError):
    """It is an address, but nobody can listen there now."""


def listening(address: str) -> socket.socket:
    """A socket that listens at ``HOST:PORT`` (without HOST: on the loopback) or ``unix:PATH``.

    Raises AddressError, and TakenError if it is an address.
    """
    try:
        if address.startswith("unix:"):
            found, path = socket.socket(socket.AF_UNIX), Path(address.removeprefix("unix:"))
            try:
                if path.is_socket():  # nobody else has this name: it was left behind
                    path.unlink()
                found.bind(str(path))
                found.listen()
            except BaseException:
                found.close()
                raise
            return found
        match = _ADDRESS.fullmatch(address)
        if match is None or int(match["port"]) > 65_535:
            raise AddressError(f"{address!r} is not an address like 127.0.0.1:9464")
        host = (match["host"] or "127.0.0.1").strip("[]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, int(match["port"])), family=family)
    except AddressError:
        raise
    except (OSError, UnicodeError) as error:
        why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise TakenError(f"cannot listen at {address}: {why}") from None


def start(path: str, on: tuple[str, ...], listener: socket.socket | None) -> None:
    """Starts the companion of the agent at ``path``.  Raises OSError."""
    executable = sys.executable or ""
    if not Path(executable).name.startswith(("python", "pypy")):
        raise OSError(f"{executable or 'this program'} is no python that could run a companion")
    house = str(Path(__file__).resolve().parents[1])
    settings = json.dumps({"path": path, "on": on, "listens": listener is not None})
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
        (posix.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    ]
    if _is_open(2):
        actions.append((posix.POSIX_SPAWN_DUP2, 2, 1))
    else:
        actions += [(posix.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
    if listener is not None:
        actions.append((posix.POSIX_SPAWN_DUP2, listener.fileno(), LISTENING))
    environment = {**os.environ, HANDOVER: settings}
    launcher = posix.posix_spawn(
        executable,
        [executable, "-I", "-c", _BEGIN.format(house)],
        environment,
        file_actions=actions,
        setsid=True,
    )
    try:
        posix.waitpid(launcher, 0)
    except ChildProcessError:  # a handler of the program has waited for it
        pass


def run() -> None:
    """Runs in the companion, which leaves its parent first, and what that left open for its children."""
    if os.fork():
        os._exit(0)
    settings = json.loads(os.environ.pop(HANDOVER))
    os.closerange(LISTENING + settings["listens"], 1 << 20)
    from taskscope.commands.companion import main

    main(settings["path"], settings["on"], socket.socket(fileno=LISTENING) if settings["listens"] else None)


def _is_open(number: int) -> bool:
    try:
        posix.fstat(number)
    except OSError:
        return False
    return True
