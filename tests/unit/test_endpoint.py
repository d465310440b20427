"""Where agents listen: only this user may connect, and stale sockets are removed."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

import pytest

from taskscope import endpoint
from taskscope.sources.resolve import agents_named

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "run"
    monkeypatch.setenv("TASKSCOPE_DIR", str(path))
    return path


def directory() -> str:
    return next(endpoint.directories())


def socket_path(pid: int, name: str) -> str:
    return endpoint.first_place(pid, name, lambda path: None)[0]


def listen(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    return listener


def test_the_directory_is_made_for_this_user_alone(folder: Path) -> None:
    assert directory() == str(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert directory() == str(folder)


def test_a_directory_open_to_others_is_refused(folder: Path) -> None:
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    with pytest.raises(endpoint.EndpointError, match="mode 0700"):
        directory()


def test_a_link_in_place_of_the_directory_is_refused(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.mkdir(mode=0o700)
    folder.symlink_to(target)
    with pytest.raises(endpoint.EndpointError):
        directory()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a directory of another user")
def test_another_users_directory_is_refused(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    os.chown(folder, 12345, 12345)
    with pytest.raises(endpoint.EndpointError):
        directory()


def test_listing_finds_sockets_by_pid_and_name(folder: Path) -> None:
    with listen(socket_path(41, "a b/c.d")), listen(socket_path(7, "web")):
        (folder / "notes.txt").touch()
        found = endpoint.listing()
    assert [(point.pid, point.name) for point in found] == [(7, "web"), (41, "a-b-c-d")]


def test_sweep_removes_dead_sockets_and_leaves_living_ones(folder: Path) -> None:
    with listen(socket_path(1, "alive")):
        listen(socket_path(2, "dead")).close()
        endpoint.sweep()
        assert [path.name for path in folder.iterdir()] == ["1.alive.sock"]


def test_a_path_too_long_for_a_socket_is_one_clear_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 90)
    monkeypatch.setenv("TASKSCOPE_DIR", str(deep))
    with pytest.raises(endpoint.EndpointError, match="too long for a socket; set TASKSCOPE_DIR"):
        socket_path(1, "x" * 100)


def test_a_socket_without_room_for_us_is_neither_stale_nor_nobodys(folder: Path) -> None:
    """As a stopped process: its backlog fills up, and the kernel answers EAGAIN."""
    path = socket_path(os.getpid(), "stopped")
    with listen(path) as listener:
        listener.listen(0)
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(path)
            assert endpoint.answers(path)
            endpoint.sweep()
            assert [point.path for point in endpoint.listing()] == [path]
            with pytest.raises(endpoint.BusyError):
                endpoint.peer(path)


def test_a_name_is_looked_for_in_the_standard_directories_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TASKSCOPE_DIR may be set for us and not for the process."""
    standard = tmp_path / "standard"
    standard.mkdir(0o700)
    monkeypatch.setattr(endpoint, "standard", lambda uid, root="": (str(standard),))
    with listen(f"{standard}/12.orders.sock"):
        assert [point.pid for point in agents_named("orders")] == [12]
        with listen(socket_path(34, "orders")):
            assert [point.pid for point in agents_named("orders")] == [34]


def test_where_one_directory_takes_no_socket_the_next_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk, where a directory from better times is left."""
    places = (str(tmp_path / "full"), str(tmp_path / "roomy"))
    monkeypatch.setattr(endpoint, "candidates", lambda uid: places)
    tried = []

    def listens(path: str) -> str:
        tried.append(path)
        if path.startswith(places[0]):
            raise OSError(errno.ENOSPC, "No space left on device", path)
        return "listening"

    assert endpoint.first_place(7, "web", listens) == (f"{places[1]}/7.web.sock", "listening")
    assert len(tried) == 2


def test_a_failure_that_is_the_processs_own_is_not_tried_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = (str(tmp_path / "one"), str(tmp_path / "two"))
    monkeypatch.setattr(endpoint, "candidates", lambda uid: places)

    def listens(path: str) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with pytest.raises(OSError, match="Too many open files"):
        endpoint.first_place(7, "web", listens)
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_where_no_directory_takes_a_socket_the_first_failure_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = (str(tmp_path / "one"), str(tmp_path / "two"))
    monkeypatch.setattr(endpoint, "candidates", lambda uid: places)

    def listens(path: str) -> None:
        raise OSError(errno.ENOSPC if "one" in path else errno.EROFS, "no room", path)

    with pytest.raises(OSError, match=r"/one/7\.web"):
        endpoint.first_place(7, "web", listens)
