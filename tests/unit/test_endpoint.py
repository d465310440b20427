"""Where agents listen: only this user gets in, and what is stale goes."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from taskscope import endpoint

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "run"
    monkeypatch.setenv("TASKSCOPE_DIR", str(path))
    return path


def listen(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    return listener


def test_the_directory_is_made_for_this_user_alone(folder: Path) -> None:
    assert endpoint.directory() == str(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert endpoint.directory() == str(folder)


def test_a_directory_open_to_others_is_refused(folder: Path) -> None:
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    with pytest.raises(endpoint.EndpointError, match="mode 0700"):
        endpoint.directory()


def test_a_link_in_place_of_the_directory_is_refused(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.mkdir(mode=0o700)
    folder.symlink_to(target)
    with pytest.raises(endpoint.EndpointError):
        endpoint.directory()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a directory of another user")
def test_another_users_directory_is_refused(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    os.chown(folder, 12345, 12345)
    with pytest.raises(endpoint.EndpointError):
        endpoint.directory()


def test_listing_finds_sockets_by_pid_and_name(folder: Path) -> None:
    with listen(endpoint.socket_path(41, "a b/c.d")), listen(endpoint.socket_path(7, "web")):
        (folder / "notes.txt").touch()
        found = endpoint.listing()
    assert [(point.pid, point.name) for point in found] == [(7, "web"), (41, "a-b-c-d")]


def test_sweep_removes_dead_sockets_and_leaves_living_ones(folder: Path) -> None:
    with listen(endpoint.socket_path(1, "alive")):
        listen(endpoint.socket_path(2, "dead")).close()
        endpoint.sweep()
        assert [path.name for path in folder.iterdir()] == ["1.alive.sock"]


def test_a_path_too_long_for_a_socket_is_one_clear_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 90)
    monkeypatch.setenv("TASKSCOPE_DIR", str(deep))
    with pytest.raises(endpoint.EndpointError, match="too long for a socket; set TASKSCOPE_DIR"):
        endpoint.socket_path(1, "x" * 100)


def test_a_socket_without_room_for_us_is_neither_stale_nor_nobodys(folder: Path) -> None:
    """As a stopped process: its backlog fills up, and the kernel answers EAGAIN."""
    path = endpoint.socket_path(os.getpid(), "stopped")
    with listen(path) as listener:
        listener.listen(0)
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(path)
            assert endpoint.answers(path)
            endpoint.sweep()
            assert [point.path for point in endpoint.listing()] == [path]
            with pytest.raises(endpoint.BusyError):
                endpoint.peer(path)
