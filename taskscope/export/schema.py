"""The JSON Schema of a snapshot, made of the model: ``python -m taskscope.export.schema`` writes it anew."""

from __future__ import annotations

import dataclasses
import json
import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from taskscope.model.snapshot import FORMAT, SCHEMA, SECTIONS, Section

PATH = Path(__file__).with_name("snapshot.schema.json")

WIDTH = 110
"""Characters of a line, where it can be divided."""

_PLAIN: dict[Any, str] = {int: "integer", float: "number", str: "string", bool: "boolean", type(None): "null"}
_STACK = {"description": "Position in stacks.", "type": ["integer", "null"], "minimum": 0}


def schema() -> dict[str, Any]:
    """The whole of it."""
    kinds: dict[str, Any] = {}
    sections = {each.name: _section(each, kinds) for each in SECTIONS}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:taskscope:snapshot:{SCHEMA}",
        "title": "TaskScope snapshot",
        "description": "The whole state of one Python process as TaskScope saw it.",
        "type": "object",
        "properties": sections,
        "required": [each.name for each in SECTIONS if each.needed],
        "additionalProperties": False,
        "$defs": dict(sorted(kinds.items())),
    }


def text() -> str:
    """What the file holds."""
    return _written(schema()) + "\n"


def _written(value: Any, indent: str = "") -> str:
    """JSON with what fits on one line on one line."""
    short = json.dumps(value)
    if len(indent) + len(short) <= WIDTH or not isinstance(value, dict):
        return short
    inner = f"{indent}  "
    lines = (f"{inner}{json.dumps(name)}: {_written(each, inner)}" for name, each in value.items())
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def _section(section: Section, kinds: dict[str, Any]) -> dict[str, Any]:
    if section.of in (FORMAT, SCHEMA):
        return {"const": section.of}
    value = _value(section.of, kinds)
    if section.stacks or section.without:
        kind = kinds[section.of.__name__]
        kind["properties"] = {
            name: each for name, each in kind["properties"].items() if name not in section.without
        } | dict.fromkeys(section.stacks, _STACK)
        kind["required"] = [name for name in kind["required"] if name not in section.without]
    return {"type": "array", "items": value} if section.rows else value


def _value(kind: Any, kinds: dict[str, Any]) -> dict[str, Any]:
    """The schema of a type; those of dataclasses are put into ``kinds``, by name."""
    if kind in _PLAIN:
        return {"type": _PLAIN[kind]}
    if kind is Any:
        return {}
    if dataclasses.is_dataclass(kind):
        return _reference(kind, kinds)
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return {"enum": list(inner)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _value(inner[1], kinds)}
    if origin in (Union, types.UnionType):
        if all(each in _PLAIN for each in inner):
            return {"type": [_PLAIN[each] for each in inner]}
        return {"anyOf": [_value(each, kinds) for each in inner]}
    if origin is tuple and inner[1:] == (...,):
        return {"type": "array", "items": _value(inner[0], kinds)}
    if origin is tuple:
        values = [_value(each, kinds) for each in inner]
        return {"type": "array", "prefixItems": values, "items": False, "minItems": len(values) - 1}
    raise TypeError(f"no JSON value is a {kind}")


def _reference(kind: Any, kinds: dict[str, Any]) -> dict[str, Any]:
    name = kind.__name__
    if name not in kinds:
        kinds[name] = {}  # it may refer to itself
        hints = get_type_hints(kind)
        fields = dataclasses.fields(kind)
        kinds[name] = {
            "description": " ".join((kind.__doc__ or "").split()).replace("``", ""),
            "type": "object",
            "properties": {each.name: _value(hints[each.name], kinds) for each in fields},
            "required": [each.name for each in fields if _is_needed(each)],
            "additionalProperties": False,
        }
    return {"$ref": f"#/$defs/{name}"}


def _is_needed(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


if __name__ == "__main__":
    PATH.write_text(text())
