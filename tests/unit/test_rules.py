"""The language of rules: what it reads, and what it says of what it cannot read."""

from __future__ import annotations

import pytest

from taskscope.analysis.rules import Action, RuleError, parse, parse_all


def test_all_words_are_read() -> None:
    rule = parse(
        "leak,hang,stall=5s,fds=90%,memory=80%,growth=5%/1h,most=2/h,disk=500MB", "report:/var/log/shop"
    )
    assert rule.levels == {"leak", "hang"}
    assert rule.stall == 5.0
    assert rule.shares == {"fds": 0.9, "rss": 0.8}
    assert rule.growth == (0.05, 3600.0)
    assert (rule.most, rule.disk) == (2, 500_000_000)
    assert rule.do == Action("report", "/var/log/shop")


def test_what_to_do_may_be_a_command() -> None:
    assert parse("leak", "curl -d @- https://example.org/hook").do.kind == "command"
    assert parse("leak", "https://example.org").do.kind == "command"
    assert parse("stall", "mail -s stall ops").stall == 0.0


def test_several_rules_are_read_from_strings() -> None:
    first, second = parse_all(["leak  snapshot:/a", " hang cat > /b"])
    assert (first.do, second.do) == (Action("snapshot", "/a"), Action("command", "cat > /b"))
    assert len(parse_all("leak record:/a")) == 1


@pytest.mark.parametrize(
    ("words", "do", "said"),
    [
        ("leek", "report:/a", "unknown word 'leek' in a rule"),
        ("", "report:/a", "unknown word '' in a rule"),
        ("leak,", "report:/a", "unknown word '' in a rule"),
        ("leak=3", "report:/a", "'leak=3': leak takes no value"),
        ("fds", "report:/a", "'fds' is not like fds=90%"),
        ("fds=900%", "report:/a", "'fds=900%' is not like fds=90%"),
        ("memory=80", "report:/a", "'memory=80' is not like memory=90%"),
        ("stall=5", "report:/a", "'stall=5' is not like stall=5s"),
        ("growth=5%", "report:/a", "'growth=5%' is not like growth=5%/1h"),
        ("leak,most=0/h", "report:/a", "'most=0/h' is not like most=6/h"),
        ("leak,disk=1TB", "report:/a", "'disk=1TB' is not like disk=500MB"),
        ("most=6/h", "report:/a", "'most=6/h' never fires"),
        ("leak", "", "'leak' does not say what to do"),
        ("leak", "report:", "'report:' names no folder"),
        ("leak", "snapshto:/a", "'snapshto:/a' is neither snapshot:DIR"),
    ],
)
def test_what_cannot_be_read_is_one_sentence_that_quotes_it(words: str, do: str, said: str) -> None:
    with pytest.raises(RuleError) as error:
        parse(words, do)
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)
