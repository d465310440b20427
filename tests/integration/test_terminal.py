"""The app in a real terminal (a pseudo-terminal of 80x24), started from the command line."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.integration.children import STANDING, running, says, taskscope

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 30.0
_ESCAPE = re.compile(rb"\x1b(?:\[[0-9;?=<>]*[a-zA-Z~$]|[\]P][^\x07\x1b]*(?:\x07|\x1b\\)|[()=>78].?)")


class Terminal:
    """What a command wrote to its terminal, without the escape sequences."""

    def __init__(self, master: int, child: subprocess.Popen[bytes]) -> None:
        self.master, self.child = master, child
        self._seen = b""

    def shows(self, text: str) -> None:
        """Reads until ``text`` has been written since the last time."""
        give_up = time.monotonic() + PATIENCE
        while text not in (plain := _ESCAPE.sub(b"", self._seen).decode(errors="replace")):
            assert time.monotonic() < give_up, f"{text!r} did not come in {plain[-2000:]!r}"
            if select.select([self.master], [], [], 0.5)[0]:
                try:
                    self._seen += os.read(self.master, 65536)
                except OSError:
                    raise AssertionError(f"it ended without {text!r}: {plain[-2000:]!r}") from None
        self._seen = b""

    def types(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def closes(self) -> None:
        """As when its window is closed, or the connection to it is lost."""
        os.close(self.master)
        self.master = -1

    def ends(self) -> int:
        """The exit status, once the rest of the output has been read."""
        give_up = time.monotonic() + PATIENCE
        while self.child.poll() is None:
            assert time.monotonic() < give_up, "it does not end"
            if select.select([self.master], [], [], 0.1)[0]:
                try:
                    self._seen += os.read(self.master, 65536)
                except OSError:
                    break
        return self.child.wait(PATIENCE)


@contextmanager
def terminal(*words: str) -> Iterator[Terminal]:
    """``taskscope WORDS`` in a terminal of its own."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "TEXTUAL_ANIMATIONS": "none"}
    environment.pop("COLUMNS", None)
    environment.pop("LINES", None)
    command = [sys.executable, "-m", "taskscope", *words]
    with subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
    ) as child:
        os.close(slave)
        shown = Terminal(master, child)
        try:
            yield shown
        finally:
            child.kill()
            if shown.master >= 0:
                shown.closes()


def test_attach_shows_the_sites_and_leaves_the_target_as_it_was() -> None:
    with running(STANDING, "--name", "standing") as target:
        says(target, "standing")
        with terminal("attach", str(target.pid)) as app:
            app.shows("creation sites")
            app.types("q")
            assert app.ends() == 0
        assert target.poll() is None
        assert taskscope("snapshot", str(target.pid)).returncode == 0


def test_the_app_ends_with_its_terminal_where_hang_ups_are_ignored() -> None:
    """As under `su -c` and `nohup`; SIGHUP would end it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with running(STANDING, "--name", "standing") as target, terminal("attach", str(target.pid)) as app:
            app.shows("creation sites")
            app.closes()
            app.child.wait(PATIENCE)
            assert target.poll() is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_open_shows_a_saved_snapshot(tmp_path: Path) -> None:
    path = str(tmp_path / "standing.json")
    with running(STANDING) as target:
        says(target, "standing")
        taskscope("snapshot", str(target.pid), "-o", path)
    with terminal("open", path) as app:
        app.shows("creation sites")
        app.types("q")
        assert app.ends() == 0


def test_without_a_verb_the_processes_are_listed() -> None:
    with running(STANDING, "--name", "picked") as target:
        says(target, "standing")
        with terminal() as app:
            app.shows(str(target.pid))
            app.types("q")
            assert app.ends() == 0


def test_the_demo_ends_its_service_when_the_app_is_left() -> None:
    with terminal("demo", "orders", "--speed", "50") as app:
        app.shows("orders")
        app.shows("executor.py")
        app.types("q")
        assert app.ends() == 0
    listed = subprocess.run(["ps", "-eo", "ppid,args"], capture_output=True, text=True, check=True).stdout
    assert f"{app.child.pid} " not in [line.strip().split(" ")[0] + " " for line in listed.splitlines()]


def test_errors_are_reported_before_the_app_takes_the_screen() -> None:
    with terminal("attach", "4194999") as app:
        app.shows("no such process: 4194999")
        assert app.ends() == 3
