"""The table of methods: what is in it, what is refused and how, and that the agent offers just that."""

from __future__ import annotations

import inspect
import json
from dataclasses import fields
from typing import Any

import pytest

from taskscope.agent.agent import Agent
from taskscope.model.requests import MAX_CUTS, MAX_SITES, METHODS, BadParamsError

OF_THE_DESK = {"hello", "abandon", "subscribe", "snapshot"}
"""Not answered by the agent's own functions."""


def test_the_agent_answers_just_the_methods_of_the_table_and_takes_just_their_parameters() -> None:
    actions = Agent("unstarted", interval=1.0, control=False, version="0")._actions()
    assert set(actions) | OF_THE_DESK == set(METHODS)
    for name, action in actions.items():
        names = {each.name for each in fields(METHODS[name].takes)}
        assert set(inspect.signature(action).parameters) == names


def test_what_is_left_out_has_its_default_and_what_is_twice_in_a_list_is_taken_once() -> None:
    assert METHODS["tasks"].checked({"sites": [3, 1, 3]}) == {
        "sites": (3, 1),
        "parent": None,
        "parked": None,
        "order": "oldest",
        "after": None,
        "limit": 200,
    }
    assert METHODS["history"].checked({"seconds": 60}) == {"seconds": 60.0}
    assert METHODS["threads"].checked({}) == {}


@pytest.mark.parametrize(
    ("method", "params", "said"),
    [
        ("task", '{"serial": true}', "task: serial is True, allowed is a whole number from 0 to"),
        ("task", '{"serial": 1.0}', "serial is 1.0"),
        ("task", '{"serial": -1}', "serial is -1"),
        ("task", '{"serial": 1' + "0" * 400 + "}", "serial is 1000"),
        ("task", "{}", "task needs serial: a whole number"),
        ("task", '{"serial": 1, "colour": "red"}', "task does not take 'colour'; it takes serial"),
        ("threads", '{"all": 1}', "threads does not take 'all'; it takes nothing"),
        ("history", '{"seconds": NaN}', "seconds is nan, allowed is a number from 0 to 1e+10"),
        ("history", '{"seconds": Infinity}', "seconds is inf"),
        ("history", '{"seconds": 1' + "0" * 400 + "}", "seconds is 1000"),
        ("set_interval", '{"seconds": "1"}', "seconds is '1'"),
        ("tasks", '{"order": "random"}', "order is 'random', allowed is 'oldest' or 'newest'"),
        ("tasks", '{"order": ["oldest"]}', "order is ['oldest']"),
        ("tasks", '{"sites": [1, null]}', "sites is [1, None], allowed is null or a list of at most"),
        ("tasks", '{"sites": {"1": 1}}', "sites is {'1': 1}"),
        ("tasks", json.dumps({"sites": [1] * (MAX_SITES + 1)}), "at most 10000, each a whole number"),
        ("facts", json.dumps({"site": 1, "cuts": [1.0] * (MAX_CUTS + 1)}), "list of at most 32"),
        ("facts", '{"site": 1, "before": "x"}', "before is 'x'"),
        ("source", '{"file": 7, "line": 1}', "file is 7, allowed is text"),
        ("snapshot", '{"stacks": 1}', "stacks is 1, allowed is true or false"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(method: str, params: str, said: str) -> None:
    with pytest.raises(BadParamsError) as caught:
        METHODS[method].checked(json.loads(params))
    assert said in str(caught.value)
    assert len(str(caught.value)) < 200


def test_every_parameter_has_bounds() -> None:
    for method in METHODS.values():
        for field in fields(method.takes):
            allowed: Any = field.metadata["allowed"]
            wrongs: tuple[Any, ...] = (float("nan"), 1 << 70, "x" * 10_000, {"a": 1}, [[]])
            for wrong in wrongs:
                with pytest.raises(ValueError):
                    allowed.take(wrong)
