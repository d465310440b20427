"""A Linux of its own, under full emulation: another processor, or a kernel with what this one lacks.

    python -m tests.machine.linux --architecture arm64 --suite sid --package python3.14 --folder . -- COMMAND

boots Debian's kernel with these packages of its archive in memory, runs a shell command there as root, shows
the console and exits with its status.  There is no network in it, but real ptrace, threads, signals, users,
security modules and control groups (version 2).  It boots in about 4 s; code runs 10 to 15 times slower than
here, so what is right can be judged there, and never what is fast.

Needs root and a Debian on x86-64; installs the emulator.  What is built from packages is kept in the cache.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tests import pythons

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Show = Callable[[str], object]

Architecture = Literal["amd64", "arm64"]

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "taskscope-machines"
_SOURCES = Path("/etc/apt/sources.list.d/debian.sources")

_EMULATORS = {
    "amd64": ("qemu-system-x86", "qemu-system-x86_64 -machine q35 -cpu max", "ttyS0"),
    "arm64": ("qemu-system-arm", "qemu-system-aarch64 -machine virt -cpu cortex-a72", "ttyAMA0"),
}
"""By architecture: Debian's package, the command, the console."""

_PACKAGES = ("python3.11",)

_PATIENCE = 300
"""Seconds for the package archive."""

_BEGINS, _ENDS = "--- the command begins", "--- the command has ended with status"

_APT = """
APT::Architecture "{architecture}"; APT::Architectures {{"{architecture}";}}; APT::Install-Recommends "false";
APT::Sandbox::User "root"; Acquire::Languages "none"; Acquire::Check-Valid-Until "false";
Acquire::http::Timeout "30"; Acquire::Retries "1";
Dir::State::Lists "{base}/lists"; Dir::State::status "{base}/status"; Dir::Cache::Archives "{base}/packages";
Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache ""; Dir::Etc::sourcelist "{base}/sources.list";
Dir::Etc::sourceparts "-"; Debug::NoLocking "true";
"""

_UNPACK = """
for each in *.deb; do
  dpkg-deb --fsys-tarfile $each | tar -x -C ../root --keep-directory-symlink || exit
done
"""

_INIT = f"""#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc; $b mount -t sysfs sys /sys; $b mount -t devtmpfs dev /dev
$b mkdir -p /dev/pts /dev/shm /usr/local/bin; $b mount -t devpts pts /dev/pts
for each in tmp run dev/shm; do $b mount -t tmpfs -o mode=1777 tmpfs /$each; done
$b mount -t cgroup2 cgroup /sys/fs/cgroup; $b ip link set lo up; $b --install -s /usr/local/bin
[ -e /bin/sh ] || $b ln -s /bin/busybox /bin/sh
export PATH=/usr/bin:/usr/sbin:/bin:/sbin:/usr/local/bin HOME=/root PYTHONDONTWRITEBYTECODE=1 TERM=dumb
cd /in; echo "{_BEGINS}"; sh /in/command; echo "{_ENDS} $?"; $b poweroff -f
"""


def _nobody(line: str) -> None:
    """Shows it to nobody."""


class MachineError(Exception):
    """The machine has not done what it should; the message says why."""


class NoMachineError(MachineError):
    """There can be no such machine here."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a command in a machine printed, and its status."""

    output: str
    status: int


@dataclass(frozen=True, slots=True)
class Machine:
    """``packages`` are Debian's, in ``suite``; what they depend on comes with them."""

    architecture: Architecture = "amd64"
    suite: str = "bookworm"
    packages: tuple[str, ...] = _PACKAGES
    megabytes: int = 2048

    def run(
        self, command: str, folders: Iterable[Path] = (), seconds: float = 600, show: Show = _nobody
    ) -> Done:
        """Runs a command of the shell in ``/in``, where each folder is copied to under its own name.

        Of a git checkout comes what is not ignored.  ``show`` gets each line of the console at once.
        Raises MachineError, also if it takes too long.
        """
        base = self._base()
        with tempfile.TemporaryDirectory() as name:
            over = Path(name) / "over"
            (over / "in").mkdir(parents=True)
            (over / "in/command").write_text(f"{command}\n")
            for folder in folders:
                _copied(folder, over / "in" / folder.resolve().name)
            initrd = Path(name) / "initrd"
            shutil.copyfile(base / "base.gz", initrd)
            with initrd.open("ab") as file:
                file.write(_packed(over))
            return self._booted(base / "kernel", initrd, seconds, show)

    def _booted(self, kernel: Path, initrd: Path, seconds: float, show: Show) -> Done:
        _, emulator, console = _EMULATORS[self.architecture]
        words = [*emulator.split(), "-smp", "2", "-m", str(self.megabytes), "-nographic", "-no-reboot"]
        words += ["-net", "none", "-kernel", str(kernel), "-initrd", str(initrd), "-append"]
        words += [f"console={console} panic=-1 quiet loglevel=1 no_timer_check"]  # it fails on a busy machine
        with subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as emulated:
            assert emulated.stdout is not None
            over = threading.Timer(seconds, emulated.kill)
            over.start()
            said = [_line(each, show) for each in emulated.stdout]
            over.cancel()
        output, ended, rest = "".join(said).partition(_BEGINS)[2].partition(_ENDS)
        if not ended:
            raise MachineError(
                f"the machine has not come to its end (within {seconds:g} s):\n{''.join(said)}"
            )
        return Done(output.lstrip("\n"), int(rest.split()[0]))

    def _base(self) -> Path:
        """A directory with the kernel and the packed packages; made if there is none."""
        if os.geteuid() != 0 or not _SOURCES.exists():
            raise NoMachineError("a machine takes root, on Debian")
        package, emulator, _ = _EMULATORS[self.architecture]
        if not all(map(shutil.which, (emulator.split()[0], "cpio"))):
            _quietly("apt-get", "-qq", "update")
            _quietly("apt-get", "-qq", "install", "-y", "--no-install-recommends", package, "cpio")
        key = hashlib.sha256(f"{self.architecture} {self.suite} {self.packages} {_INIT} compiled".encode())
        base = _CACHE / key.hexdigest()[:12]
        if not base.exists():
            _CACHE.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=_CACHE) as name:
                self._build(Path(name) / "made")
                with contextlib.suppress(OSError):  # another process was faster
                    (Path(name) / "made").rename(base)
        return base

    def _build(self, base: Path) -> None:
        packages, root = base / "packages", base / "root"
        for folder in (base / "lists/partial", packages / "partial", root):
            folder.mkdir(parents=True)
        (base / "status").touch()
        (base / "apt.conf").write_text(_APT.format(architecture=self.architecture, base=base))
        found = re.search(r"^URIs: *(\S+)", _SOURCES.read_text(), re.MULTILINE)
        assert found is not None
        key = "/usr/share/keyrings/debian-archive-keyring.gpg"
        (base / "sources.list").write_text(f"deb [signed-by={key}] {found[1]} {self.suite} main\n")
        with_ours = {**os.environ, "APT_CONFIG": str(base / "apt.conf")}
        _quietly("apt-get", "-qq", "update", env=with_ours)
        wanted = ("busybox-static", f"linux-image-cloud-{self.architecture}", *self.packages)
        _quietly("apt-get", "-qq", "-y", "--download-only", "install", *wanted, env=with_ours)
        for each in ("bin", "sbin", "lib", "lib64"):
            (root / "usr" / each).mkdir(parents=True)
            (root / each).symlink_to(f"usr/{each}")
        subprocess.run(["sh", "-c", _UNPACK], cwd=packages, check=True)
        _compile(root)
        next(each for each in root.rglob("vmlinuz*") if each.is_file()).rename(base / "kernel")
        for each in ("boot", "usr/lib/modules", "usr/share/doc", "usr/share/man", "usr/share/locale"):
            shutil.rmtree(root / each, ignore_errors=True)
        for each in ("proc", "sys", "dev", "tmp", "run", "root", "in"):
            (root / each).mkdir(exist_ok=True)
        (root / "init").write_text(_INIT)
        (root / "init").chmod(0o755)
        (base / "base.gz").write_bytes(_packed(root))
        for place in (packages, base / "lists", root):
            shutil.rmtree(place)


def _compile(root: Path) -> None:
    """Compiles the Pythons there with ours of the same version, which takes minutes in the machine."""
    for version, python in pythons.installed().items():
        own = root / f"usr/lib/python{version}"
        if own.exists():
            options = "-I -m compileall -q --invalidation-mode unchecked-hash -p / -s"
            words = [str(python), *options.split(), str(root), "-x", "/(tests?|idlelib|lib2to3|ensurepip)/"]
            subprocess.run([*words, own, root / "usr/lib/python3"], capture_output=True, check=False)


def _quietly(*words: str, env: dict[str, str] | None = None) -> None:
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=env, timeout=_PATIENCE)
    except subprocess.TimeoutExpired as late:
        raise NoMachineError(str(late)) from None
    if done.returncode:
        raise NoMachineError(f"{' '.join(words)}: {done.stderr.strip()}")


def _line(line: bytes, show: Show) -> str:
    text = line.decode(errors="replace").replace("\r", "")
    show(text)
    return text


def _copied(folder: Path, place: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-zco", "--exclude-standard"], cwd=folder, capture_output=True, check=False
    )
    if listed.returncode or not listed.stdout:  # no checkout, or all of it is ignored
        shutil.copytree(folder, place, symlinks=True)
        return
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (folder / name).exists():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / name, place / name)


def _packed(folder: Path) -> bytes:
    """As the kernel unpacks it at boot; several such archives may follow each other."""
    pack = "find . -print0 | cpio -0 -o -H newc --quiet | gzip -1"
    return subprocess.run(["sh", "-c", pack], cwd=folder, capture_output=True, check=True).stdout


def main(arguments: Sequence[str]) -> int:
    """Runs a command in a machine; its status, or 125 if there is none."""
    parser = argparse.ArgumentParser(prog="python -m tests.machine.linux", description=__doc__)
    parser.add_argument("--architecture", choices=("amd64", "arm64"), default="amd64")
    parser.add_argument("--suite", default="bookworm")
    parser.add_argument("--package", action="append", default=[], metavar="NAME")
    parser.add_argument("--folder", action="append", default=[], type=Path, metavar="DIR")
    parser.add_argument("--megabytes", type=int, default=2048)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("command", nargs="+", metavar="COMMAND")
    options = parser.parse_args(arguments)
    packages = tuple(options.package) or _PACKAGES
    machine = Machine(options.architecture, options.suite, packages, options.megabytes)
    try:
        done = machine.run(" ".join(options.command), options.folder, options.seconds, sys.stderr.write)
    except MachineError as problem:
        print(problem, file=sys.stderr)
        return 125
    return done.status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
