"""The table of methods: its contents, what is refused and how, and that the agent offers exactly these."""

from __future__ import annotations

import json
import sys
from dataclasses import fields
from typing import TYPE_CHECKING, Any, get_type_hints

import pytest

from taskscope.agent.agent import Agent
from taskscope.analysis.cohorts import Cohorts
from taskscope.model import requests
from taskscope.model.requests import MAX_CUTS, MAX_SITES, METHODS, BadParamsError
from taskscope.sources.aiomonitor.source import AiomonitorSource
from taskscope.sources.rpc import result_of
from taskscope.sources.saved import SavedSource
from tests.tui.fake_source import FakeSource

if TYPE_CHECKING:
    from taskscope.sources.base import Answering

OF_THE_DESK = (requests.Hello, requests.Abandon, requests.Subscribe)
"""Not answered by the agent's own functions."""


def test_the_agent_answers_each_request_of_the_table() -> None:
    actions = Agent("unstarted", interval=1.0, control=False, version="0")._actions(lambda _: None)
    assert {*actions, *OF_THE_DESK} == set(METHODS.values())


def test_what_is_left_out_has_its_default_and_what_is_twice_in_a_list_is_taken_once() -> None:
    tasks = requests.read(requests.Tasks, {"sites": [3, 1, 3]})
    assert requests.params(tasks) == {
        "sites": (3, 1),
        "parent": None,
        "parked": None,
        "order": "oldest",
        "after": None,
        "limit": 200,
    }
    assert requests.read(requests.History, {"seconds": 60}) == requests.History(60.0)
    assert requests.read(requests.Threads, {}) == requests.Threads()


@pytest.mark.parametrize("source", [SavedSource, AiomonitorSource, FakeSource])
def test_a_source_answers_requests_with_what_they_declare(source: type[Answering]) -> None:
    answered = {method: getattr(source, method) for method in METHODS if hasattr(source, method)}
    assert {"tasks", "task", "site", "history", "snapshot"} <= answered.keys()
    for method, answer in answered.items():
        types = list(get_type_hints(answer, vars(sys.modules[source.__module__]) | {"Any": Any}).values())
        assert types == [METHODS[method], result_of(METHODS[method])]


@pytest.mark.parametrize(
    ("method", "params", "said"),
    [
        ("task", '{"serial": true}', "task: serial is True, must be an integer from 0 to"),
        ("task", '{"serial": 1.0}', "serial is 1.0"),
        ("task", '{"serial": -1}', "serial is -1"),
        ("task", '{"serial": 1' + "0" * 400 + "}", "serial is 1000"),
        ("task", "{}", "task needs serial: an integer"),
        ("task", '{"serial": 1, "colour": "red"}', "task does not take 'colour'; it takes serial"),
        ("threads", '{"all": 1}', "threads does not take 'all'; it takes nothing"),
        ("history", '{"seconds": NaN}', "seconds is nan, must be a number from 0 to 1e+10"),
        ("history", '{"seconds": Infinity}', "seconds is inf"),
        ("history", '{"seconds": 1' + "0" * 400 + "}", "seconds is 1000"),
        ("set_interval", '{"seconds": "1"}', "seconds is '1'"),
        ("tasks", '{"order": "random"}', "order is 'random', must be 'oldest' or 'newest'"),
        ("tasks", '{"order": ["oldest"]}', "order is ['oldest']"),
        ("tasks", '{"sites": [1, null]}', "sites is [1, None], must be null or a list of at most"),
        ("tasks", '{"sites": {"1": 1}}', "sites is {'1': 1}"),
        ("tasks", json.dumps({"sites": [1] * (MAX_SITES + 1)}), "at most 10000, each an integer"),
        ("facts", json.dumps({"site": 1, "cuts": [1.0] * (MAX_CUTS + 1)}), "list of at most 32"),
        ("facts", '{"site": 1, "before": "x"}', "before is 'x'"),
        ("source", '{"file": 7, "line": 1}', "file is 7, must be text"),
        ("snapshot", '{"stacks": 1}', "stacks is 1, must be true or false"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_in_one_sentence(method: str, params: str, said: str) -> None:
    with pytest.raises(BadParamsError) as caught:
        requests.read(METHODS[method], json.loads(params))
    assert said in str(caught.value)
    assert len(str(caught.value)) < 200


def test_the_judge_asks_for_no_more_cuts_than_are_allowed() -> None:
    """Inside the process it asks without the agent's door, where the bounds are checked."""
    cohorts = Cohorts()
    assert max(len(cohorts.ask(float(now))) for now in range(10_000)) <= MAX_CUTS


def test_every_parameter_has_bounds() -> None:
    for kind in METHODS.values():
        for field in fields(kind):
            allowed: Any = field.metadata["allowed"]
            wrongs: tuple[Any, ...] = (float("nan"), 1 << 70, "x" * 10_000, {"a": 1}, [[]])
            for wrong in wrongs:
                with pytest.raises(ValueError):
                    allowed.take(wrong)
