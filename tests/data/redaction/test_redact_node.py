"""data.redact through the node: what it writes, what it leaves, rules, stopping, review and the reviewed version."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from app.config.artifacts import Rows
from app.data import browse, by_hand
from app.data.derive import undo
from app.data.redact_node import Redact, RedactParams
from app.data.redaction import crew, redact, rules, views
from app.data.redaction.detect import Settings
from app.data.views import open_findings
from app.errors import Cancelled, DatasetError, UsageError
from app.store import Store
from app.store.datasets import open_dataset
from app.store.records import Row
from tests.context import FakeContext, make_rows

LETTER = "Dr. Anna Müller (SSN 536-22-1234) wrote to jane.doe@example.com."
CITES = "See 18 U.S.C. § 1030 and ICD E11.9; order number 12345678 costs $1,200.50."


def chat(question: str, answer: str, **meta: Any) -> Row:
    return Row("chat", [{"role": "user", "content": question}, {"role": "assistant", "content": answer}], meta=meta, split="train")


class Bench:
    """Redacts rows through the node, without the names model unless asked."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder = store, folder
        self.ctx = FakeContext(store, folder)

    def rows(self, *rows: Row) -> Rows:
        given = make_rows(self.store, rows)
        self.store.db["dataset_versions"].insert({"dataset": given.dataset, "version": 1, "state": "ready", "rows": len(rows), "shape": rows[0].shape,
                                                  "origin": "{}", "created": 0.0})
        return given

    def redact(self, given: Rows, **params: Any) -> tuple[Rows, dict[str, Any]]:
        self.ctx.inputs = {"rows": given}
        made: dict[str, Any] = Redact(RedactParams.model_validate({"names_model": False, **params})).run(self.ctx)
        return made["rows"], made["report"].summary

    def stored(self, rows: Rows | Any) -> list[Row]:
        with open_dataset(self.store, rows.dataset) as db:
            return list(db.iter_rows(rows.version))


@pytest.fixture
def bench(store: Store, tmp_path: Path) -> Bench:
    return Bench(store, tmp_path)


def test_every_text_of_a_row_is_redacted_and_the_rest_is_as_it_was(bench: Bench) -> None:
    given = bench.rows(chat(LETTER, "MÜLLER agreed.", patient_name="Anna Müller", ssn=536221234, page=7, nested={"mails": ["jane.doe@example.com"]}), chat(CITES, "fine", page=8))
    made, report = bench.redact(given)
    first, second = bench.stored(made)
    assert first.messages[0]["content"] == "Dr. [PERSON_1] (SSN [US_SSN_1]) wrote to [EMAIL_1]."
    assert first.answer == "[PERSON_1] agreed."
    assert first.meta == {"patient_name": "[PERSON_1]", "ssn": "[US_SSN_1]", "page": 7, "nested": {"mails": ["[EMAIL_1]"]}}
    assert second == bench.stored(given)[1]
    assert report["findings"]["PERSON"] == {"found": 3, "redacted": 3, "open": 0, "kept": 0, "rows": 1}
    assert report["changed"] == {"redacted": 1}
    assert made.splits == given.splits


@pytest.mark.parametrize("meta", [
    pytest.param({"a.b": "one@example.com", "a": {"b": "two@example.com"}}, id="flat before nested"),
    pytest.param({"a": {"b": "two@example.com", "b.c": "three@example.com"}, "a.b": "one@example.com", "a.b.c": "four@example.com"}, id="nested before flat"),
    pytest.param({"a": {"b'": "one@example.com", "b": "two@example.com"}, "a.b": "three@example.com", "a.b'": "four@example.com"}, id="strokes too")])
def test_no_text_hides_behind_another_whose_column_has_dots_in_its_name(bench: Bench, meta: dict[str, Any]) -> None:
    made, report = bench.redact(bench.rows(chat("Who?", "Nobody.", **meta)))
    said = json.dumps(bench.stored(made)[0].meta)
    assert (said.count("@example.com"), report["redacted"]) == (0, json.dumps(meta).count("@example.com"))
    page = views.review_page(bench.store, made.dataset, made.version, only_open=False)
    views.decide(bench.store, made.dataset, [one.id for one in page[0].findings], "rejected")
    back = views.apply_decisions(bench.store, made.dataset, made.version)
    assert bench.stored(back)[0].meta == meta, "each comes back to its own place"


def test_keys_inside_a_column_and_numbers_of_a_column_with_gaps_are_redacted_too(bench: Bench) -> None:
    meta = {"ssn": 536221234.0, "share": 1234567.5, "seen": {"jane.doe@example.com": {"visits": 2}, "Dr. Anna Müller": 1, "year_2024": 3, "Dr. Anna Mueller": 4},
            "list": [{"536-22-1234": True}]}
    made, _ = bench.redact(bench.rows(chat("Who?", "Nobody.", **meta)))
    assert bench.stored(made)[0].meta == {"ssn": "[US_SSN_1]", "share": 1234567.5, "list": [{"[US_SSN_1]": True}],
                                          "seen": {"[EMAIL_1]": {"visits": 2}, "Dr. [PERSON_1]": 4, "year_2024": 3, "Dr. [PERSON_1]'": 1}}
    page = views.review_page(bench.store, made.dataset, made.version, only_open=False)
    views.decide(bench.store, made.dataset, [one.id for one in page[0].findings], "rejected")
    back = bench.stored(views.apply_decisions(bench.store, made.dataset, made.version))[0].meta
    assert back == meta


@pytest.mark.parametrize("meta", [{"Anna Müller": 1, "ANNA MUELLER": 2}, {"Anna Müller": 1, "[PERSON_1]": 2}])
def test_no_value_is_lost_where_two_keys_become_one(bench: Bench, meta: dict[str, int]) -> None:
    made, _ = bench.redact(bench.rows(chat("Dr. Anna Müller.", "ok", seen=meta)))
    kept = bench.stored(made)[0].meta["seen"]
    assert (sorted(kept.values()), [key for key in kept if "ller" in key.casefold()]) == ([1, 2], [])


def test_the_report_says_how_well_it_was_measured_and_never_that_all_is_gone(bench: Bench) -> None:
    _, report = bench.redact(bench.rows(chat(LETTER, "ok")))
    assert report["statement"].startswith("Measured on 12,000 synthetic sentences: finds 9")
    assert "can be missed" in report["statement"]
    assert "all" not in report["statement"].split()
    assert report["measured"]["IBAN"]["recall"]["of"] > 100
    assert bench.ctx.said("wait for review")


def test_the_earlier_text_comes_back_by_undo(bench: Bench) -> None:
    given = bench.rows(chat(LETTER, "ok"))
    made, _ = bench.redact(given)
    assert bench.stored(undo(bench.store, made.dataset, made.version, [1]))[0].hash == bench.stored(given)[0].hash


def test_a_row_that_comes_back_unredacted_is_counted_and_flagged(bench: Bench) -> None:
    """It had been removed when private data was looked for, or its redaction is what is undone."""
    given = bench.rows(chat(LETTER, "ok"), chat(f"Also: {LETTER}", "ok"), chat("Nothing private.", "ok"))
    removed = by_hand.take_out(bench.store, given.dataset, 1, [1, 3])
    made, _ = bench.redact(Rows(content_hash=removed.content_hash, dataset=given.dataset, version=removed.version, rows=1))
    back = by_hand.take_back(bench.store, given.dataset, made.version, [1, 2, 3])
    assert back.report["not_redacted"] == 3
    found = browse.read_rows(bench.store, given.dataset, back.version, [1, 2, 3], browse.RowFilter())
    assert [(one.state, one.reason) for one in found] == [("back", "not_redacted"), ("changed", "not_redacted"), ("back", "not_redacted")]
    again, _ = bench.redact(Rows(content_hash=back.content_hash, dataset=given.dataset, version=back.version, rows=3))
    assert "Müller" not in str(bench.stored(again))
    out = by_hand.take_out(bench.store, given.dataset, again.version, [1])
    assert by_hand.take_back(bench.store, given.dataset, out.version, [1]).report["not_redacted"] == 0


def test_scores_and_ratings_of_a_row_hold_for_it_once_it_is_redacted(bench: Bench) -> None:
    given = bench.rows(chat(LETTER, "ok"), chat("Nothing private.", "ok"))
    by_hand.rate(bench.store, given.dataset, 1, [1], 1, "well put")
    with open_dataset(bench.store, given.dataset) as db:
        db.put_scores([(next(db.iter_rows(1)).hash, "quality", 0.25)])
    made, _ = bench.redact(given)
    row = browse.whole_row(bench.store, given.dataset, made.version, 1, browse.RowFilter())
    assert row
    assert (row.state, row.rating, row.note, row.scores) == ("changed", 1, "well put", {"quality": 0.25})
    finding = views.review_page(bench.store, made.dataset, made.version, only_open=False)[0].findings[0]
    views.edit(bench.store, made.dataset, finding.id, "[SOMEBODY]")
    reviewed = views.apply_decisions(bench.store, made.dataset, made.version)
    row = browse.whole_row(bench.store, given.dataset, reviewed.version, 1, browse.RowFilter())
    assert row
    assert (row.rating, row.note, row.scores) == (1, "well put", {"quality": 0.25}), "and once it is reviewed"
    assert "[SOMEBODY]" in bench.stored(reviewed)[0].messages[0]["content"]


@pytest.mark.parametrize(("params", "left"), [
    pytest.param({"entities": ["EMAIL"]}, "Dr. Anna Müller (SSN 536-22-1234) wrote to [EMAIL_1].", id="some entities"),
    pytest.param({"mode": "label"}, "Dr. [PERSON] (SSN [US_SSN]) wrote to [EMAIL].", id="labels"),
    pytest.param({"languages": ["de"]}, "Dr. [PERSON_1] (SSN 536-22-1234) wrote to [EMAIL_1].", id="some languages"),
    pytest.param({"threshold": 0.98}, "Dr. Anna Müller (SSN 536-22-1234) wrote to [EMAIL_1].", id="only what is certain")])
def test_parameters_are_followed(bench: Bench, params: dict[str, Any], left: str) -> None:
    made, _ = bench.redact(bench.rows(chat(LETTER, "ok")), **params)
    assert bench.stored(made)[0].messages[0]["content"] == left


@pytest.mark.parametrize("params", [{"entities": ["EMIAL"]}, {"languages": ["fr"]}, {"mode": "black"}, {"threshold": 0}, {"colums": ["a"]}])
def test_misspelt_parameters_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RedactParams.model_validate(params)


def test_only_the_named_columns_are_looked_at(bench: Bench) -> None:
    made, _ = bench.redact(bench.rows(chat("Hello", "ok", author="Dr. Anna Müller", mail="a@example.com")), columns=["mail"])
    assert bench.stored(made)[0].meta == {"author": "Dr. Anna Müller", "mail": "[EMAIL_1]"}


def test_the_same_person_is_the_same_over_rows_and_in_a_rerun(bench: Bench) -> None:
    given = bench.rows(chat("Dr. Anna Müller called.", "ok"), chat("Signed by Müller, Anna", "ok"), chat("Herr Bernd Koch called.", "ok"), chat("ANNA MÜLLER called.", "ok"))
    made, _ = bench.redact(given)
    again, _ = bench.redact(given, review_below=0.8)
    texts = [row.messages[0]["content"] for row in bench.stored(made)]
    assert texts == ["Dr. [PERSON_1] called.", "Signed by [PERSON_1]", "Herr [PERSON_2] called.", "[PERSON_1] called."]
    assert again.content_hash == made.content_hash


def test_a_stop_does_not_wait_for_children_that_load_their_model() -> None:
    def stop() -> None:
        raise Cancelled(save=True)

    with pytest.raises(Cancelled), crew.Crew(Settings(), 1, stop) as children:
        next(children.map([[{"text": "Anna Schmidt called."}]]))


def test_a_stop_does_not_wait_for_children_that_read_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch is more than a pipe holds."""
    def stop() -> None:
        raise Cancelled(save=True)

    start, asleep = crew.start_child, [sys.executable, "-c", "import time; time.sleep(30)"]
    monkeypatch.setattr(crew, "start_child", lambda _command, **options: start(asleep, **options))
    with pytest.raises(Cancelled), crew.Crew(Settings(), 1, stop) as children:
        next(children.map([[{"text": "Anna Schmidt called. " * 20_000}]]))


def test_children_find_the_same_as_this_process(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    given = bench.rows(*(chat(f"{LETTER} Mail m{number}@example.com", CITES) for number in range(150)))
    alone, _ = bench.redact(given, processes=1)
    monkeypatch.setattr(redact, "WORTH_CHILDREN", 1)
    both, _ = bench.redact(given, processes=2)
    assert both.content_hash == alone.content_hash


def test_a_dead_child_is_an_error_and_the_work_goes_on_from_there(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    given = bench.rows(*(chat(f"Mail m{number}@example.com", "ok") for number in range(900)))
    monkeypatch.setattr(redact, "WORTH_CHILDREN", 1)
    receive, calls = crew.Crew._receive, []

    def once(self: crew.Crew, turn: int) -> Any:
        calls.append(turn)
        if len(calls) == 3:
            for child in self._children:
                child.kill()
                child.wait()
        return receive(self, turn)

    monkeypatch.setattr(crew.Crew, "_receive", once)
    with pytest.raises(Exception, match="ended early"):
        bench.redact(given, processes=2)
    made, report = bench.redact(given, processes=2)
    assert report["findings"]["EMAIL"]["found"] == 900
    assert {row.messages[0]["content"][:12] for row in bench.stored(made)} == {"Mail [EMAIL_"}


def test_stopping_keeps_what_was_done_and_resuming_makes_the_same_version(bench: Bench) -> None:
    given = bench.rows(*(chat(f"Dr. Anna Person{number} mails m{number}@example.com", "ok") for number in range(600)))
    whole, _ = bench.redact(given)
    asked = iter([None] * 6 + ["save"] * 9999)
    bench.ctx.cancel = lambda: next(asked)
    with pytest.raises(Cancelled):
        bench.redact(given, review_below=0.7)
    bench.ctx.cancel = None
    made, report = bench.redact(given, review_below=0.7)
    assert made.content_hash == whole.content_hash
    assert report["findings"]["EMAIL"]["found"] == 600
    with open_dataset(bench.store, made.dataset) as db:
        assert db.conn.execute("SELECT count(*) FROM findings WHERE version = ?", (made.version,)).fetchone()[0] == sum(line["found"] for line in report["findings"].values())


def test_a_stopped_redaction_begins_anew_when_a_rule_says_otherwise(bench: Bench) -> None:
    given = bench.rows(*(chat(f"Mail m{number}@example.com about Falcon", "ok") for number in range(300)))
    asked = iter([None] * 6 + ["save"] * 9999)
    bench.ctx.cancel = lambda: next(asked)
    with pytest.raises(Cancelled):
        bench.redact(given)
    assert bench.store.row("SELECT version FROM dataset_versions WHERE state = 'paused'") == {"version": 2}
    with open_dataset(bench.store, given.dataset) as db, db.write() as conn:
        rules.store(conn, rules.Rule("*", "falcon", "redact"))
    bench.ctx.cancel = None
    made, _ = bench.redact(given)
    assert [row.position for row in bench.stored(made) if "Falcon" in row.prompt[-1]["content"]] == []


def test_a_row_that_cannot_be_read_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    given = bench.rows(chat("fine", "ok"), chat("cannot", "ok"), chat("fine", "ok"))

    def look(_: Any, batch: Any) -> Any:
        return ["ValueError: no" if "cannot" in row["messages.0"] else {} for row in batch]

    monkeypatch.setattr(redact, "look", look)
    with pytest.raises(DatasetError) as caught:
        bench.redact(given)
    assert (caught.value.code, str(caught.value.where)) == ("redaction.row_failed", "row 2")


# ---- rules and review --------------------------------------------------------------------------------------------------------


UNSURE = "A. Castellano called about ticket 12."


def test_what_is_uncertain_waits_but_is_hidden_meanwhile(bench: Bench) -> None:
    made, report = bench.redact(bench.rows(chat(UNSURE, "ok"), chat(LETTER, "ok")))
    assert report["open"] == 1
    assert bench.stored(made)[0].messages[0]["content"] == "[PERSON_1] called about ticket 12."
    assert open_findings(bench.store, made.dataset, made.version) == 1
    assert open_findings(bench.store, made.dataset, 1) is None
    (row,) = views.review_page(bench.store, made.dataset, made.version)
    (one,) = row.findings
    assert (row.position, one.text, one.replacement, one.score, one.why) == (1, "A. Castellano", "[PERSON_1]", 0.6, "An initial and a name.")
    assert row.texts[0].text[one.start : one.end] == one.text
    assert [row.position for row in views.review_page(bench.store, made.dataset, made.version, only_open=False)] == [1, 2]


def test_a_kept_finding_comes_back_and_an_edited_one_changes(bench: Bench) -> None:
    made, _ = bench.redact(bench.rows(chat(UNSURE, "ok", mail="a@example.com"), chat(LETTER, "ok")))
    dataset, version = made.dataset, made.version
    first, second = views.review_page(bench.store, dataset, version, only_open=False)
    assert views.decide(bench.store, dataset, [one.id for one in first.findings if one.entity == "PERSON"], "rejected") == 1
    views.edit(bench.store, dataset, next(one.id for one in second.findings if one.entity == "PERSON"), "[THE DOCTOR]")
    state = views.summary(bench.store, dataset, version)
    assert (state.open, state.changed) == (0, 2)
    reviewed = views.apply_decisions(bench.store, dataset, version)
    rows = bench.stored(reviewed)
    assert rows[0].messages[0]["content"] == UNSURE
    assert rows[0].meta == {"mail": "[EMAIL_1]"}
    assert rows[1].messages[0]["content"] == "Dr. [THE DOCTOR] (SSN [US_SSN_1]) wrote to [EMAIL_2]."
    assert reviewed.report["findings"]["PERSON"]["kept"] == 1
    views.decide(bench.store, dataset, [views.review_page(bench.store, dataset, reviewed.version, only_open=False)[0].findings[0].id], "accepted")
    assert "[" in bench.stored(views.apply_decisions(bench.store, dataset, reviewed.version))[0].messages[0]["content"], "a review goes on from the reviewed version"


def test_a_decision_can_be_taken_back(bench: Bench) -> None:
    made, _ = bench.redact(bench.rows(chat(UNSURE, "ok")))
    one = views.review_page(bench.store, made.dataset, made.version)[0].findings[0].id
    views.decide(bench.store, made.dataset, [one], "rejected")
    assert open_findings(bench.store, made.dataset, made.version) == 0
    views.decide(bench.store, made.dataset, [one], "open")
    assert open_findings(bench.store, made.dataset, made.version) == 1


def test_an_always_rule_decides_all_findings_of_that_text_here_and_later(bench: Bench) -> None:
    given = bench.rows(chat(UNSURE, "ok"), chat("a. CASTELLANO".upper() + " and A.  Castellano", "A. Castellano, A. Other"), chat("nothing", "ok"))
    made, _ = bench.redact(given)
    one = views.review_page(bench.store, made.dataset, made.version)[0].findings[0]
    decided = views.add_rule(bench.store, made.dataset, one.id, "keep")
    assert decided >= 2
    assert views.rules_of(bench.store, made.dataset) == [rules.Rule("PERSON", "a. castellano", "keep")]
    again, report = bench.redact(given, review_below=0.7)
    assert bench.stored(again)[0].messages[0]["content"] == UNSURE
    assert report["findings"]["PERSON"]["kept"] >= 2
    assert bench.stored(again)[1].answer.startswith("A. Castellano, [PERSON_")


def test_a_rule_finds_a_text_that_no_recogniser_knows(bench: Bench) -> None:
    given = bench.rows(chat("Project Blue\u200bbird and bluebird.", "BLUEBIRDS stay"))
    with open_dataset(bench.store, given.dataset) as db, db.write() as conn:
        rules.store(conn, rules.Rule("*", "bluebird", "redact"))
    made, _ = bench.redact(given)
    row = bench.stored(made)[0]
    assert (row.messages[0]["content"], row.answer) == ("Project [PRIVATE_1] and [PRIVATE_1].", "BLUEBIRDS stay")


def test_a_rule_for_a_longer_text_takes_in_what_is_found_in_it(bench: Bench) -> None:
    given = bench.rows(chat("Operation 536-22-1234 Falcon; SSN 536-22-1234.", "ok"))
    with open_dataset(bench.store, given.dataset) as db, db.write() as conn:
        rules.store(conn, rules.Rule("*", "operation 536-22-1234 falcon", "redact"))
    made, _ = bench.redact(given)
    assert bench.stored(made)[0].messages[0]["content"] == "[PRIVATE_1]; SSN [US_SSN_1]."


def test_a_rule_for_a_whole_entity_leaves_it_alone(bench: Bench) -> None:
    given = bench.rows(chat(LETTER, "ok"))
    made, _ = bench.redact(given)
    mail = next(one for one in views.review_page(bench.store, made.dataset, made.version, only_open=False)[0].findings if one.entity == "EMAIL")
    assert views.add_rule(bench.store, made.dataset, mail.id, "keep", whole_entity=True) == 1
    again, _ = bench.redact(given, review_below=0.7)
    assert "jane.doe@example.com" in bench.stored(again)[0].messages[0]["content"]


@pytest.mark.parametrize(("call", "code"), [
    pytest.param(lambda store, rows: views.apply_decisions(store, rows.dataset, rows.version), "redaction.undecided", id="nothing decided"),
    pytest.param(lambda store, rows: views.apply_decisions(store, rows.dataset, 1), "redaction.none", id="never redacted"),
    pytest.param(lambda store, rows: views.edit(store, rows.dataset, 1, "  "), "redaction.empty", id="an empty stand-in"),
    pytest.param(lambda store, rows: views.add_rule(store, rows.dataset, 999, "keep"), "redaction.no_finding", id="a finding that is gone")])
def test_what_cannot_be_done_says_why(bench: Bench, call: Any, code: str) -> None:
    made, _ = bench.redact(bench.rows(chat(LETTER, "ok")))
    with pytest.raises(UsageError) as caught:
        call(bench.store, made)
    assert caught.value.code == code


def test_pages_go_by_the_key(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "PAGE_ROWS", 3)
    made, _ = bench.redact(bench.rows(*(chat(f"A. {name} called.", "ok") for name in ("Birkwood", "Calder", "Dalton", "Fenwick", "Garland", "Hollis", "Jarrow", "Norland"))))
    pages, after = [], 0
    while page := views.review_page(bench.store, made.dataset, made.version, after):
        pages.append([row.position for row in page])
        after = page[-1].position
    assert pages == [[1, 2, 3], [4, 5, 6], [7, 8]]
