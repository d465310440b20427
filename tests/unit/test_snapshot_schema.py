"""The published JSON Schema matches the model, and files of older versions conform to it."""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonschema
import pytest

from taskscope import wire
from taskscope.export.check import check
from taskscope.export.schema import PATH, schema, text
from taskscope.model.snapshot import NAMES, SECTIONS
from tests.unit.test_saved_source import snapshot, task

WHOLE = check(snapshot([task(1)]))


def test_the_published_schema_is_current() -> None:
    assert PATH.read_text() == text(), "run python -m taskscope.export.schema"
    assert json.loads(text()) == schema()


def test_sections_have_one_order() -> None:
    assert tuple(WHOLE) == NAMES


@pytest.mark.parametrize("section", [each.name for each in SECTIONS if not each.needed])
def test_what_older_files_lack_may_be_missing(section: str) -> None:
    older = {name: value for name, value in WHOLE.items() if name != section}
    jsonschema.Draft202012Validator(schema()).validate(older)
    assert tuple(check(older)) == NAMES


@pytest.mark.parametrize("section", [each.name for each in SECTIONS if each.needed])
def test_what_every_file_has_must_be_there(section: str) -> None:
    partial = {name: value for name, value in WHOLE.items() if name != section}
    assert not jsonschema.Draft202012Validator(schema()).is_valid(partial)
    with pytest.raises(wire.WireError):
        check(partial)


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        ("tasks", "state", "asleep"),
        ("tasks", "stack", -1),
        ("sites", "kind", "process"),
        ("sites", "frame", None),
    ],
)
def test_both_refuse_the_same(section: str, field: str, value: Any) -> None:
    wrong = copy.deepcopy(WHOLE)
    wrong[section][0][field] = value
    assert not jsonschema.Draft202012Validator(schema()).is_valid(wrong)
    with pytest.raises(wire.WireError, match=section):
        check(wrong)
