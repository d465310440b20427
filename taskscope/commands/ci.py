"""Output for build servers: a JUnit file and GitHub annotations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as Xml

from taskscope.commands.common import written
from taskscope.export.whole import write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskscope.commands.gate import Check


def write_junit(path: str, target: str, seconds: float, found: Sequence[Check]) -> None:
    """Writes one test case per check.  Raises CommandError if the file cannot be written."""
    failures = sum(1 for each in found if each.failure)
    suite = Xml.Element(
        "testsuite",
        name=f"taskscope watch {target}",
        tests=str(len(found)),
        failures=str(failures),
        errors="0",
        time=f"{seconds:.3f}",
    )
    for each in found:
        case = Xml.SubElement(suite, "testcase", classname="taskscope.watch", name=each.name)
        if each.place is not None:
            case.set("file", each.place.file)
            case.set("line", str(each.place.line))
        if each.failure:
            Xml.SubElement(case, "failure", message=each.failure).text = _where(each)
    with written(path):
        write_whole(Path(path), Xml.tostring(suite, encoding="utf-8", xml_declaration=True))


def annotation(check: Check) -> str:
    """The GitHub annotation for a failed check, attached to its line of code if it has one."""
    place = ""
    if check.place is not None:
        place = f"file={_property(_relative(check.place.file))},line={check.place.line},"
    return f"::error {place}title={_property(f'TaskScope: {check.name}')}::{_data(check.failure)}"


def _where(check: Check) -> str:
    if check.place is None:
        return check.failure
    return f"{check.place.file}:{check.place.line} in {check.place.function}: {check.failure}"


def _relative(file: str) -> str:
    """``file`` relative to the working directory if it is below it, as GitHub expects."""
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
