"""How sentences and numbers read in messages."""

import pytest

from taskscope.text import sentence


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("the target has ended", "The target has ended."),
        ("Paused.", "Paused."),
        ("/tmp/x.json is damaged", "/tmp/x.json is damaged."),
        ("127.0.0.1:9 has not answered", "127.0.0.1:9 has not answered."),
        ("aiomonitor does not show stalls", "aiomonitor does not show stalls."),
        ("", ""),
    ],
)
def test_an_error_reads_as_a_sentence_and_keeps_names(said: str, shown: str) -> None:
    assert sentence(said) == shown
