"""``taskscope report`` on real processes and files; what a browser makes of it."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.integration.children import GROWING, running, says, taskscope

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BROWSER = shutil.which("chromium")


@pytest.fixture(scope="module")
def pid() -> Iterator[int]:
    with running(GROWING, "--name", "growing", "--interval", "200ms") as child:
        says(child, "growing")
        yield child.pid


def test_a_process_a_snapshot_and_a_recording_give_a_page(pid: int, tmp_path: Path) -> None:
    page, snapshot, recording = tmp_path / "a.html", tmp_path / "a.json", tmp_path / "a.rec"
    done = taskscope("report", str(pid), "-o", str(page), "--for", "12s")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "growing: 1 " in done.stderr
    text = page.read_text()
    assert text.startswith("<!doctype html>")
    assert "forgotten" in text
    assert "&lt;string&gt;:7" in text  # the line of the program
    assert taskscope("snapshot", str(pid), "-o", str(snapshot)).returncode == 0
    assert taskscope("record", str(pid), "-o", str(recording), "--for", "3s").returncode == 0
    for file in (snapshot, recording):
        told = taskscope("report", str(file), "-o", "-")
        assert told.returncode == 0, told.stderr
        assert told.stdout.startswith("# growing: ")
        assert "forgotten" in told.stdout
        assert told.stderr == ""
    redacted = taskscope("report", str(recording), "-o", "-", "--redact").stdout
    assert "forgotten" in redacted
    assert "kept.append" not in redacted  # in its argument, as it runs with -c


def test_what_cannot_be_written_is_one_sentence(pid: int, tmp_path: Path) -> None:
    notes = tmp_path / "notes.json"
    notes.write_text("{}")
    for status, words, why in (
        (2, (str(pid), "-o", str(tmp_path / "a.pdf")), "writes .html or .md"),
        (2, (str(pid),), "required: -o"),
        (3, (str(notes), "-o", "-"), "is not a TaskScope snapshot"),
        (3, ("nobody", "-o", "-"), "no agent is named"),
    ):
        done = taskscope("report", *words)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (status, "", 1), done
        assert why in done.stderr


@pytest.mark.skipif(BROWSER is None, reason="chromium is not installed")
@pytest.mark.parametrize("width", [390, 1200])
def test_a_browser_draws_it_no_wider_than_the_screen(pid: int, tmp_path: Path, width: int) -> None:
    page = tmp_path / "a.html"
    assert taskscope("report", str(pid), "-o", str(page), "--for", "1s").returncode == 0
    probe = (
        "<script>document.title = document.documentElement.scrollWidth + ' of ' + innerWidth</script></body>"
    )
    text = page.read_text().replace("default-src 'none'; ", "").replace("</body>", probe)
    (tmp_path / "probe.html").write_text(text)
    assert BROWSER is not None
    done = subprocess.run(
        [
            *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"),
            *(f"--window-size={width},900", "--dump-dom", f"file://{tmp_path}/probe.html"),
        ],
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    wide, _, screen = done.stdout.partition("<title>")[2].partition("</title>")[0].partition(" of ")
    assert 0 < int(wide) <= int(screen)
