"""Answers are encoded a slice at a time, and say what the values do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from taskscope import model, wire
from taskscope.agent import reply

if TYPE_CHECKING:
    import pytest

SITES = 500


def test_the_sample_of_a_snapshot_is_sent_in_one_part_that_takes_many_slices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts = tuple(model.SiteCounts(site, model.Counts(live=2, born=2)) for site in range(SITES))
    sample = model.Sample(
        1, 2.0, 3.0, 1.0, model.Counts(), 1, None, None, None, None, None, None, True, sites=counts
    )
    sent: list[bytes] = []
    monkeypatch.setattr(reply, "spent", lambda: True)
    slices = sum(1 for _ in reply.part_senders(sent.append)[1]("sample", sample))
    (part,) = [json.loads(each) for each in sent]
    assert slices >= SITES
    assert part["method"] == "part"
    assert part["params"] == {"section": "sample", "value": json.loads(json.dumps(wire.pack(sample)))}
