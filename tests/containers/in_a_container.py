"""A real container, by runc: attached to from outside, and from inside by a bundle; cut in mid-stream.

Run as root where runc is, with nothing installed: ``python3.11 -m tests.containers.in_a_container [TIMES]``.
It prints what it has seen, and fails if the process is not left as it was.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskscope.export.bundle import bundle

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "taskscope-test"
REPO = Path(__file__).parents[2]
PATIENCE = 120.0
PROGRAM = """
import asyncio, os
async def wait(): await asyncio.Event().wait()
async def main():
    waiting = [asyncio.create_task(wait()) for _ in range(50)]
    print("ready", flush=True)
    await asyncio.gather(*waiting)
asyncio.run(main())
"""


class Container:
    """A running one that shares the machine's files, read only: ``pid`` is its process, seen from here.

    ``change`` gets the specification that runc reads.
    """

    def __init__(self, folder: Path, change: Callable[[dict[str, Any]], None] = lambda spec: None) -> None:
        root = self._root = folder / "rootfs"
        root.mkdir()
        subprocess.run(["mount", "--bind", "/", root], check=True)
        subprocess.run(["runc", "spec"], cwd=folder, check=True)
        spec = json.loads((folder / "config.json").read_text())
        spec["process"] |= {"terminal": False, "args": [sys.executable, "-c", PROGRAM]}
        share = {"destination": "/mnt", "type": "bind", "source": str(folder), "options": ["bind", "ro"]}
        spec["mounts"].append(share)
        change(spec)
        (folder / "config.json").write_text(json.dumps(spec))
        self.child = subprocess.Popen(
            ["runc", "run", "--no-pivot", NAME], cwd=folder, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        assert self.child.stdout is not None
        said = self.child.stdout.readline()
        if said != b"ready\n":
            self.end()
            raise AssertionError(said)
        state = subprocess.run(["runc", "state", NAME], capture_output=True, check=True).stdout
        self.pid: int = json.loads(state)["pid"]

    def state(self) -> tuple[int, int]:
        """Threads and descriptors."""
        return len(os.listdir(f"/proc/{self.pid}/task")), len(os.listdir(f"/proc/{self.pid}/fd"))

    def end(self) -> None:
        subprocess.run(["runc", "kill", NAME, "KILL"], check=False)
        self.child.wait()
        subprocess.run(["runc", "delete", "-f", NAME], check=False, stderr=subprocess.DEVNULL)
        subprocess.run(["umount", self._root], check=True)


def taskscope(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "taskscope", *words], cwd=REPO, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


def tasks(*words: str) -> int:
    return len(json.loads(taskscope("snapshot", *words))["tasks"])


def settled(value: Callable[[], object], wanted: object) -> None:
    deadline = time.monotonic() + PATIENCE
    while (found := value()) != wanted:
        assert time.monotonic() < deadline, f"{found} instead of {wanted}"
        time.sleep(0.2)


def with_words(words: str) -> list[int]:
    """The processes whose command line begins so."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if text.startswith(words):
            found.append(int(path.parent.name))
    return found


def cut(via: str, who: Callable[[int], list[int]]) -> None:
    """Kills in mid-stream: once a watch has seen a sample."""
    command = [sys.executable, "-m", "taskscope", "watch", "--for", "300s", "--via", via, "1"]
    watch = subprocess.Popen(command, cwd=REPO, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert watch.stderr is not None
    while " tasks  " not in (line := watch.stderr.readline()):
        assert line, "the watch has ended"
    victims = who(watch.pid)
    assert victims
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    said = watch.communicate()[1]
    assert watch.pid in victims or "connection lost" in said, said


def main() -> None:
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "there.pyz").write_bytes(bundle())
        container = Container(folder)
        try:
            look(container, times)
        finally:
            container.end()


def look(container: Container, times: int) -> None:
    before = container.state()
    inside = f"{sys.executable} /mnt/there.pyz"
    via = f"runc exec {NAME} {inside}"
    for target in (str(container.pid), f"cgroup:/{NAME}"):
        print(f"from outside, {target}: {tasks(target)} tasks", flush=True)
        taskscope("detach", target)
        settled(container.state, before)
    print(f"from inside, 1: {tasks('--via', via, '1')} tasks", flush=True)
    print(taskscope("doctor", "--via", via, "1"), flush=True)
    victims: dict[str, Callable[[int], list[int]]] = {
        "runc": lambda _: with_words(f"runc exec {NAME}"),
        "the relay": lambda _: with_words(inside),
        "the watch": lambda watch: [watch],
    }
    for who, found in victims.items():
        for _ in range(times):
            cut(via, found)
        print(f"{who} killed {times} times in mid-stream", flush=True)
    settled(lambda: with_words(inside), [])
    settled(container.state, before)
    print("the process is as it was; no relay is left", flush=True)


if __name__ == "__main__":
    main()
