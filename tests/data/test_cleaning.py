"""Cleaning mends letters, markup, blanks and boilerplate, spares code and maths, says what it did, and can be undone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.config.artifacts import Rows
from app.data import api
from app.data.clean_node import Clean, CleanParams
from app.data.cleaning import line_key, mend_letters, tidy, without_boilerplate, without_markup
from app.errors import Cancelled
from app.store import Store
from app.store.datasets import open_dataset
from app.store.records import Row
from tests.context import FakeContext, make_rows


@pytest.mark.parametrize(("text", "expected"), [
    pytest.param("caf\u00c3\u00a9", "café", id="mojibake"),
    pytest.param("a\x00b\x1b[31mc", "abc", id="control characters"),
    pytest.param("one\r\ntwo\u2028three", "one\ntwo\nthree", id="line ends"),
    pytest.param("“quoted” ﬁne ｆｕｌｌ", "“quoted” ﬁne ｆｕｌｌ", id="quotes, ligatures and width stay"),
    pytest.param("x &amp; y", "x &amp; y", id="entities are another rule's"),
])
def test_letters_are_mended(text: str, expected: str) -> None:
    assert mend_letters(text) == expected


@pytest.mark.parametrize(("text", "expected"), [
    pytest.param("<p>One &amp; two</p><p>Three</p>", "One & two\n\nThree", id="paragraphs"),
    pytest.param("a<br>b<br/>c", "a\nb\nc", id="line breaks"),
    pytest.param("<ul><li>one</li><li>two <b>bold</b></li></ul>", "- one\n- two bold", id="list"),
    pytest.param('<a href="http://x.y">link</a> text', "link text", id="attributes"),
    pytest.param("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\n\nc", id="table"),
    pytest.param("<script>alert(1 < 2)</script>Words<style>p{}</style><!-- note -->", "Words", id="script, style, comment"),
    pytest.param("<pre><code>if a &lt; b:\n    <b>go</b>()</code></pre>", "```\nif a < b:\n    go()\n```", id="code block"),
    pytest.param("use <code>x &lt; y</code> here", "use `x < y` here", id="code in a line"),
    pytest.param("5 &lt; 6 &#8211; &#x27;ok&#x27;", "5 < 6 – 'ok'", id="entities"),
    pytest.param("a &amp;lt; b", "a &lt; b", id="entities once"),
])
def test_markup_becomes_text(text: str, expected: str) -> None:
    assert without_markup(text) == expected


@pytest.mark.parametrize("text", [
    "if a < b and c > d: x", "1 < 2 > 0", "List<int> x; Map<String, Integer> y", "vector<b> v; std::set<a>",
    "```html\n<p>kept &amp; so</p>\n```", "the `<div>` element and `&amp;`", "P(x<y|z>w)", "$a<b$ and \\(x<p\\)", "AT&T & co; R&D",
    "<user@example.com> wrote", "<https://example.com/a>", "x <- 3; y << 2", "#include <stdio.h>", "<think>hm</think>", "<|im_start|>",
    "```\nunclosed <p>fence",
])
def test_signs_that_are_no_markup_stay(text: str) -> None:
    assert without_markup(text) == text


@pytest.mark.parametrize(("text", "expected"), [
    pytest.param("a  b \n\n\n\nc\u00a0d\u200b ", "a b\n\nc d", id="blanks"),
    pytest.param("    indented  text\n\tand tab", "    indented text\n\tand tab", id="indents stay"),
    pytest.param("```\nx  =  1   \n\n\n\ny\n```", "```\nx  =  1   \n\n\n\ny\n```", id="code stays"),
    pytest.param("| a  | b   |", "| a  | b   |", id="table stays"),
    pytest.param(" upon a time", " upon a time", id="blank before a completion stays"),
    pytest.param("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 👩‍🚀", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 👩‍🚀", id="joiners stay"),
])
def test_blanks_are_tidied(text: str, expected: str) -> None:
    assert tidy(text) == expected


PAGE = "Skip to content\nThe duties of a trustee\nA trustee acts in good faith.\nHe keeps accounts.\nWe use cookies to improve your visit.\nPage 3 of 12\nUnsubscribe"


def test_lines_of_web_pages_and_mails_go_at_the_ends_of_a_text() -> None:
    text, gone = without_boilerplate(PAGE, frozenset())
    assert (text, gone) == ("The duties of a trustee\nA trustee acts in good faith.\nHe keeps accounts.", 4)


@pytest.mark.parametrize("text", [
    "We use cookies to improve your visit.",
    "Unsubscribe requests must be honoured in ten days.\nThe sender pays.\nA cookie policy is a notice that the law asks for.\nThe end.",
    "\n".join([*(f"Line {number} says something." for number in range(12)), "All rights reserved", *(f"More of {number}." for number in range(12))]),
])
def test_words_that_are_the_matter_itself_stay(text: str) -> None:
    assert without_boilerplate(text, frozenset()) == (text, 0)


def test_lines_are_the_same_but_for_case_blanks_and_numbers() -> None:
    assert line_key("  ACME  Ltd, page 3 ") == line_key("Acme Ltd, page 12") != ""
    assert line_key("word") == line_key("x" * 300) == ""


# -- the node -------------------------------------------------------------------------------------------------------------------


def chat(question: str, answer: str, **meta: Any) -> Row:
    return Row("chat", messages=[{"role": "user", "content": question}, {"role": "assistant", "content": answer}], split="train", meta=meta)


class Bench:
    """Cleans rows through the node."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder = store, folder

    def given(self, rows: list[Row]) -> Rows:
        self.source = make_rows(self.store, rows)
        self.store.db["dataset_versions"].insert({"dataset": self.source.dataset, "version": 1, "state": "ready", "rows": len(rows),
                                                  "shape": rows[0].shape, "origin": "{}", "created": 0.0})
        return self.source

    def clean(self, **params: Any) -> Rows:
        self.ctx = FakeContext(self.store, self.folder, inputs={"rows": self.source})
        made: Any = Clean(CleanParams.model_validate(params)).run(self.ctx)
        self.report: dict[str, Any] = made["report"].summary
        return made["rows"]  # type: ignore[no-any-return]

    def rows(self, version: int) -> dict[int, Row]:
        with open_dataset(self.store, self.source.dataset) as db:
            return {row.position: row for row in db.iter_rows(version)}

    def said(self, version: int) -> dict[int, tuple[str, str, str]]:
        with open_dataset(self.store, self.source.dataset) as db:
            return {position: tuple(rest) for position, *rest in db.conn.execute(
                "SELECT position, state, reason, detail FROM version_rows WHERE version = ? AND reason IS NOT NULL", (version,))}


@pytest.fixture
def bench(store: Store, tmp_path: Path) -> Bench:
    return Bench(store, tmp_path)


ROTTEN = [
    chat("What is <b>equity</b>?", "<p>Fairness &amp; conscience.</p>", source="a", id=1),
    chat("Say it again.", "caf\u00c3\u00a9  au lait.", source="b", id=2),
    chat("A whole one?", "Yes, it is whole.", source="c", id=3),
    chat("And this?", "The list has (one, two", source="d", id=4),
    chat("Write HTML for a paragraph.", "<p>Hello</p>", source="e", id=5),
    chat("Empty?", "<br><p></p>", source="f", id=6),
]


def test_each_row_says_what_was_done_to_it(bench: Bench) -> None:
    bench.given(ROTTEN)
    made = bench.clean()
    assert bench.said(made.version) == {
        1: ("kept", "markup_removed", "markup turned into text"),
        2: ("kept", "letters_mended", "letters mended; blanks tidied"),
        4: ("kept", "truncated", "the answer leaves a bracket, a quote or code open, or ends within a sentence"),
        6: ("removed", "empty", "nothing is left: markup turned into text"),
    }
    rows = bench.rows(made.version)
    assert [message["content"] for message in rows[1].messages] == ["What is equity?", "Fairness & conscience."]
    assert rows[2].answer == "café au lait."
    assert rows[5].answer == "<p>Hello</p>", "the row is about markup"
    assert [row.meta for row in rows.values()] == [row.meta for row in ROTTEN[:5]]
    assert (bench.report["changed"], bench.report["removed"], bench.report["flagged"]) == (
        {"letters_mended": 1, "markup_removed": 1}, {"empty": 1}, {"truncated": 1})
    assert bench.ctx.said("2 of 6 rows changed, 1 removed, 1 answers seem to break off")


def test_every_change_is_undone(bench: Bench) -> None:
    bench.given(ROTTEN)
    made = bench.clean()
    back = api.undo(bench.store, made.dataset, made.version, [1, 2, 6])
    assert [(row.position, row.hash) for row in bench.rows(back.version).values()] == [
        (row.position, row.hash) for row in bench.rows(1).values()]


@pytest.mark.parametrize(("off", "position", "field"), [
    pytest.param({"markup": False}, 1, "<p>Fairness &amp; conscience.</p>", id="markup"),
    pytest.param({"letters": False}, 2, "caf\u00c3\u00a9 au lait.", id="letters"),
    pytest.param({"blanks": False}, 2, "café  au lait.", id="blanks"),
])
def test_each_rule_can_be_switched_off(bench: Bench, off: dict[str, Any], position: int, field: str) -> None:
    bench.given(ROTTEN)
    assert bench.rows(bench.clean(**off).version)[position].answer == field


@pytest.mark.parametrize(("truncated", "gone"), [("remove", {4, 6}), ("flag", {6}), ("ignore", {6})])
def test_answers_that_break_off_are_handled_as_asked(bench: Bench, truncated: str, gone: set[int]) -> None:
    bench.given(ROTTEN)
    made = bench.clean(truncated=truncated)
    assert {1, 2, 3, 4, 5, 6} - set(bench.rows(made.version)) == gone
    assert (4 in bench.said(made.version)) == (truncated != "ignore")


def test_bare_end_is_broken_off_only_where_others_end_closed(bench: Bench) -> None:
    bare = chat("And?", "this one goes on for more than eight words and stops")
    bench.given([*(chat("Q?", f"Answer number {number} ends.") for number in range(20)), bare, chat("Label?", "Permissive")])
    assert set(bench.said(bench.clean().version)) == {21}
    bench.given([*(chat("Q?", f"answer number {number} without an end and some more words") for number in range(20)), bare])
    assert bench.said(bench.clean().version) == {}


def test_lines_that_many_documents_repeat_go_from_documents_alone(bench: Bench) -> None:
    pages = [Row("text", text=f"ACME Ltd, handbook page {number}\nThis page is about {number}.\nIt has its own words {number * 7}x.\nInternal use only")
             for number in range(30)]
    pages = [Row("text", text=page.text.replace("own words", f"own words {chr(97 + place)}{'b' * place}")) for place, page in enumerate(pages)]
    bench.given(pages)
    made = bench.clean()
    lines = {line for row in bench.rows(made.version).values() for line in row.text.split("\n")}
    assert not any("ACME" in line or "Internal" in line for line in lines)
    assert len(bench.rows(made.version)) == 30
    asked = [chat("Classify the notice:\nline one is here\nline two is here\nmore", "{\n  a b\n}\nx y") for _ in range(30)]
    bench.given(asked)
    assert bench.said(bench.clean(truncated="ignore").version) == {}, "the form of a question is no boilerplate"


def test_stopped_cleaning_goes_on_and_does_the_same(bench: Bench) -> None:
    bench.given([chat(f"Q{number}?", f"<p>Answer {number}.</p>") for number in range(3000)])
    ctx = FakeContext(bench.store, bench.folder, inputs={"rows": bench.source})
    ctx.cancel = lambda: "pause" if ctx.fraction > 0.5 else None
    with pytest.raises(Cancelled):
        Clean(CleanParams()).run(ctx)
    made = bench.clean()
    assert made.version == 2
    assert bench.report["changed"] == {"markup_removed": 3000}
    assert {row.answer.startswith("Answer") for row in bench.rows(2).values()} == {True}
