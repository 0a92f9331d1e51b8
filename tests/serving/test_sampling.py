"""Text on its way out."""

from __future__ import annotations

import pytest

from app.serving.sampling import Outlet


@pytest.mark.parametrize(("stops", "tokens", "sent", "stopped"), [
    pytest.param([], ["a", "b"], ["a", "b", ""], False, id="no stop word"),
    pytest.param(["end"], ["the e", "nd is"], ["the ", "", ""], True, id="over two tokens"),
    pytest.param(["end"], ["the e", "ast"], ["the ", "east", ""], False, id="only looked like it"),
    pytest.param(["end"], ["the e"], ["the ", "e"], False, id="withheld until the end"),
    pytest.param("\n", ["a\nb"], ["a", ""], True, id="a text alone"),
    pytest.param(["xx", "b"], ["axxb"], ["a", ""], True, id="the first of several"),
    pytest.param([], ["caf\ufffd", None], ["caf", "é", ""], False, id="half a character"),
])
def test_nothing_of_a_stop_word_leaves(stops: list[str], tokens: list[str | None], sent: list[str], stopped: bool) -> None:
    outlet, text, found = Outlet(stops), "", []
    for token in tokens:
        text = text[:-1] + "é" if token is None else text + token
        found.append(outlet.push(text))
    assert [*found, outlet.finish(text)] == sent
    assert outlet.stopped is stopped
