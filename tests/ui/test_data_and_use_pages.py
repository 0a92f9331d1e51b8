"""Datasets, Models, Playground, Endpoint, Costs, Settings and Help, over a store with rows in it."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtWidgets import QApplication, QLabel, QPushButton

from app.errors import ServingError
from app.registry.views import FileLine, compare, recommended
from app.store import Store, settings
from app.store.datasets import create_dataset, open_dataset
from app.store.records import Row
from app.workflow.views import rail_marks
from tests.ui.conftest import shut
from ui import language
from ui.main import open_window
from ui.pages.models import comparison_rows
from ui.window import Window


def chat(number: int, split: str) -> Row:
    """One row of a licence dataset."""
    return Row("chat", [{"role": "user", "content": f"Notice {number}"}, {"role": "assistant", "content": "MIT"}], split=split)


def fill(store: Store) -> str:
    """A dataset of 250 rows, a run, a model with a proof, a served pair and some requests."""
    now = time.time()
    dataset = create_dataset(store, "licence-notices")
    with open_dataset(store, dataset) as db:
        db.add_rows(1, [chat(number, "test" if number % 5 == 0 else "train") for number in range(250)])
        db.conn.execute("UPDATE version_rows SET state = 'removed', reason = 'near_duplicate', detail = 'row 3' WHERE position = 7")
        db.conn.execute("INSERT INTO rejects VALUES (1, 12, 'not valid JSON', '{bad')")
    tables: dict[str, dict[str, Any]] = {
        "dataset_versions": {"dataset": dataset, "version": 1, "state": "ready", "rows": 249, "rejected": 1, "removed": 1,
                             "splits": '{"train": 200, "test": 50}', "report": '{"removed": {"near_duplicate": 1}}', "created": now},
        "runs": {"id": "r1", "number": 1, "name": "Licence notices", "document": "", "document_hash": "abcdef123456",
                 "resolved": "{}", "state": "done", "seed": 0, "created": now - 900, "started": now - 900, "ended": now},
        "usage": {"at": now, "scope": "step", "run": "r1", "step": "train", "tokens_in": 48_000, "seconds": 400, "energy_wh": 3.1,
                  "energy_source": "estimate", "energy_cost": 0.001, "wear_cost": 0.03, "currency": "EUR"},
        "models": {"id": "licence-notices", "name": "licence-notices", "created": now, "live": "licence-notices@1"},
        "model_versions": {
            "id": "licence-notices@1", "model": "licence-notices", "version": 1, "state": "released", "format": "gguf", "path": "/x/q8.gguf",
            "files": json.dumps([{"quantization": "q8_0", "path": "/x/q8.gguf", "size": 145_000_000}]),
            "proof": json.dumps({"passed": True, "files": [{"quantization": "q8_0", "same_answers": 0.99, "quality_lost": 0.001,
                                                            "template_identical": True}]}),
            "lineage": json.dumps({"dataset": dataset, "dataset_version": 1}), "run": "r1", "created": now},
        "evaluations": {"run": "r1", "step": "evaluate", "metric": "score", "items": 100, "base": 0.1, "tuned": 0.6,
                        "difference": 0.5, "low": 0.42, "high": 0.58, "verdict": "better", "report": "{}", "created": now},
        "api_keys": {"id": "k", "name": "first", "key": "nw-secret", "created": now},
        "requests": {"id": "1", "at": now, "route": "/v1/chat/completions", "model": "licence-notices", "status": 429,
                     "seconds": 1.2, "error": "The queue is full."},
    }
    for table, row in tables.items():
        store.db[table].insert(row)
    for alias, version in (("licence-notices", "licence-notices@1"), ("smollm2-base", "base:smollm2")):
        store.db["deployments"].insert({"alias": alias, "model_version": version, "engine": "llama.cpp", "path": "/x",
                                        "state": "ready", "created": now, "updated": now})
    return dataset


@pytest.fixture
def window(store: Store, qtbot: Any) -> Iterator[Window]:
    """A window over a filled store, without the service."""
    fill(store)
    opened = open_window(store.profile, start_service=False)
    qtbot.waitUntil(lambda: opened.background.store is not None, timeout=10_000)
    yield opened
    shut(qtbot, opened)


def show(window: Window, qtbot: Any, name: str) -> Any:
    """Go to a page and wait until it was filled."""
    window.go(name)
    page = window.page()
    qtbot.waitUntil(lambda: not page._stale, timeout=10_000)
    return page


def test_models_page_answers_the_three_questions(window: Window, qtbot: Any) -> None:
    page = show(window, qtbot, "models")
    qtbot.waitUntil(lambda: page.answers.words()[0] == "Better", timeout=10_000)
    assert page.answers.words() == ["Better", "Export proof passed", "€0.03 to make"]
    assert not page._release.isEnabled()
    assert page._try.isEnabled()


def test_costs_page_shows_the_sum_and_its_source(window: Window, qtbot: Any) -> None:
    page = show(window, qtbot, "costs")
    qtbot.waitUntil(lambda: page._sums.words() == ["€0.03", "€0.03", "Not measured yet"], timeout=10_000)
    assert "estimated" in page._sums._cells[0][1].words()


def test_settings_are_kept_at_once(window: Window, qtbot: Any, store: Store) -> None:
    page = show(window, qtbot, "settings")
    field = page._fields["tariff_per_kwh"]
    qtbot.waitUntil(lambda: field.value() == pytest.approx(0.31), timeout=10_000)
    field.setValue(0.5)
    field.editingFinished.emit()
    qtbot.waitUntil(lambda: settings.get(store, "tariff_per_kwh") == 0.5, timeout=10_000)


def test_endpoint_page_hides_the_key_and_copies_it(window: Window, qtbot: Any) -> None:
    page = show(window, qtbot, "endpoint")
    qtbot.waitUntil(lambda: page._model.count() == 2, timeout=10_000)
    assert "nw-secret" not in page._key.words()
    page._show_key()
    assert page._key.words() == "nw-secret"
    page._copy_key()
    assert QApplication.clipboard().text() == "nw-secret"
    assert page._figures._cells[0][1].words() == "1 refused"
    assert page._figures.words()[1] == "Not measured yet"  # the one request was refused: nothing to measure


def test_an_alias_that_is_a_word_of_ours_is_not_translated(window: Window, qtbot: Any, request: pytest.FixtureRequest) -> None:
    request.addfinalizer(lambda: language.use("en"))
    language.use("de")
    window.background.store.db.execute("UPDATE deployments SET alias = 'base' WHERE alias = 'licence-notices'")
    page = show(window, qtbot, "endpoint")
    qtbot.waitUntil(lambda: page._view is not None, timeout=10_000)
    shown = [label.text() for label in page._models.findChildren(QLabel)]
    assert "base" in shown
    assert "Basis" not in shown


def test_the_status_line_follows_the_offline_switch_at_once(window: Window, qtbot: Any) -> None:
    page = show(window, qtbot, "settings")
    qtbot.waitUntil(lambda: page._fields["offline"].isChecked(), timeout=10_000)
    window.status._timer.stop()  # what it measures every few seconds is not waited for
    page._fields["offline"].click()
    qtbot.waitUntil(lambda: window.status._network.words().startswith("Offline mode off"), timeout=10_000)
    page._fields["offline"].click()
    qtbot.waitUntil(lambda: window.status._network.words().startswith("Offline mode on"), timeout=10_000)


def test_what_is_not_there_cannot_be_copied(store: Store, qtbot: Any) -> None:
    opened = open_window(store.profile, start_service=False)
    qtbot.waitUntil(lambda: opened.background.store is not None, timeout=10_000)
    page = show(opened, qtbot, "endpoint")
    qtbot.waitUntil(lambda: page._view is not None, timeout=10_000)
    assert [(one.isEnabled(), one.toolTip()) for one in page._copies] == [
        (False, "There is no address yet"), (False, "There is no key yet"), (False, "There is no model's name yet")]
    page = show(opened, qtbot, "playground")
    qtbot.waitUntil(page._empty.isVisible, timeout=10_000)
    assert not any(part.isVisible() for part in (page._question, page._button, page._tuned_choice, page._base_choice))
    shut(qtbot, opened)


def test_the_endpoint_page_offers_the_tuned_model_first(window: Window, qtbot: Any) -> None:
    page = show(window, qtbot, "endpoint")
    qtbot.waitUntil(lambda: page._model.count() == 2, timeout=10_000)
    assert page._model.currentText() == "licence-notices"


def test_keep_serving_is_kept_in_the_settings(window: Window, qtbot: Any, store: Store) -> None:
    page = show(window, qtbot, "endpoint")
    page._keep.click()
    qtbot.waitUntil(lambda: settings.get(store, "keep_serving_after_close") is True, timeout=10_000)


@pytest.mark.parametrize(("page", "button", "reason"), [
    ("endpoint", "_copy_all", "Copy snippet: the endpoint has to be on and a model served"),
    ("playground", "_button", "Ask: the service has to run and the endpoint to be on"),
    ("models", "_release", "Approve and release: this version is live already")])
def test_a_disabled_button_says_why(window: Window, qtbot: Any, page: str, button: str, reason: str) -> None:
    found = getattr(show(window, qtbot, page), button)
    qtbot.waitUntil(lambda: not found.isEnabled() and found.toolTip() == reason, timeout=10_000)
    assert found.accessibleDescription() == reason


@pytest.mark.parametrize("name", ["home", "kits", "datasets", "runs", "models", "playground", "endpoint", "costs"])
def test_a_page_has_one_filled_button(window: Window, qtbot: Any, name: str) -> None:
    page = show(window, qtbot, name)

    def filled() -> list[str]:
        return [button.text() for button in page.findChildren(QPushButton) if button.isVisible() and button.property("kind") == "filled"]

    qtbot.waitUntil(lambda: len(filled()) == 1, timeout=5_000)
    qtbot.wait(150)
    assert len(filled()) == 1, filled()


def test_costs_are_shown_by_kind_of_work(window: Window, qtbot: Any, store: Store) -> None:
    from ui.pages.costs import Part, parts_of_month

    store.db["usage"].insert({"at": time.time(), "scope": "request", "model": "licence-notices", "seconds": 2, "energy_wh": 0.1,
                              "energy_source": "estimate", "energy_cost": 0.0001, "wear_cost": 0.0002, "currency": "EUR"})
    assert Part("Answer", "1 request", 0.0001, 0.0002) in parts_of_month(store)
    page = show(window, qtbot, "costs")
    qtbot.waitUntil(lambda: page._parts._room.count() == 2, timeout=10_000)


def test_help_shows_every_text_and_the_parts(window: Window, qtbot: Any) -> None:
    page = show(window, qtbot, "help")
    titles = [line.title for line in page.list.lines()]
    assert titles[0] == "The first five minutes"
    assert "Changes" in titles
    page.open("About NeuroWeaver")
    qtbot.waitUntil(lambda: "PySide6" in page._text.toPlainText(), timeout=20_000)
    assert "Apache-2.0" in page._text.toPlainText()


class _Upstream(http.server.BaseHTTPRequestHandler):
    """Speaks just enough of the protocol to stream one answer."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if asked["model"] == "refused":
            self._reply(429, b'{"error": {"message": "The queue is full.", "code": "queue_full"}}')
            return
        words = [{"choices": [{"delta": {"content": word}, "finish_reason": None}]} for word in ("MIT", " licence")]
        last = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
        usage = {"choices": [], "usage": {"completion_tokens": 2}}
        body = "".join(f"data: {json.dumps(event)}\n\n" for event in [*words, last, usage]) + "data: [DONE]\n\n"
        self._reply(200, body.encode())

    def _reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def upstream() -> Iterator[str]:
    """A loopback server with the endpoint's manners."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Upstream)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()
    thread.join()


def test_playground_streams_both_answers_side_by_side(window: Window, qtbot: Any, upstream: str) -> None:
    page = show(window, qtbot, "playground")
    qtbot.waitUntil(lambda: page.tuned.model == "licence-notices", timeout=10_000)
    assert page.base.model == "smollm2-base"
    assert not page._button.isEnabled()  # no service answers, and the reason is in the tooltip
    page._view = type(page._view)(**{**{name: getattr(page._view, name) for name in page._view.__dataclass_fields__},
                                     "base_url": upstream})
    page._question.setPlainText("Which licence?")
    page._ask()
    qtbot.waitUntil(lambda: page.base.text.toPlainText() == "MIT licence" == page.tuned.text.toPlainText(), timeout=10_000)
    qtbot.waitUntil(lambda: "to first word" in page.tuned._figures.words(), timeout=10_000)
    qtbot.waitUntil(lambda: not page.tuned.busy and not page.base.busy, timeout=10_000)


def test_playground_says_why_an_answer_was_refused(window: Window, qtbot: Any, upstream: str) -> None:
    page = show(window, qtbot, "playground")
    answer = page.tuned
    answer.serve("refused")
    answer.ask(upstream, "key", "Which?", {})
    qtbot.waitUntil(lambda: "The queue is full." in answer._figures.words(), timeout=10_000)
    qtbot.waitUntil(lambda: not answer.busy, timeout=10_000)
    answer._failed(ServingError("engine.load", "The model could not be loaded.", why="It is of another kind. " * 8))
    qtbot.waitUntil(lambda: answer._figures.height() >= answer._figures.heightForWidth(answer._figures.width()) > 30, timeout=5_000)
    assert abs(page.base.width() - page.tuned.width()) <= 1  # the longer words take no room from the other answer


def test_rail_says_that_the_endpoint_serves(store: Store) -> None:
    fill(store)
    assert rail_marks(store)["endpoint"][0] == "on"


# ---- models side by side, and base models -----------------------------------------------------------------------------------


def second_version(store: Store, dataset_version: int) -> None:
    first = store.row("SELECT * FROM model_versions WHERE id = 'licence-notices@1'")
    lineage = json.dumps({**json.loads(first["lineage"]), "dataset_version": dataset_version, "seed": 4})
    store.db["model_versions"].insert({**first, "id": "licence-notices@2", "version": 2, "state": "registered", "lineage": lineage, "run": ""})


@pytest.mark.parametrize(("dataset_version", "words"), [(1, "same held-back questions"), (2, "do not compare")])
def test_two_versions_are_laid_side_by_side(window: Window, qtbot: Any, dataset_version: int, words: str) -> None:
    second_version(window.background.store, dataset_version)
    page = show(window, qtbot, "models")
    page.open("licence-notices@1")
    qtbot.waitUntil(lambda: len(page._lines) == 2 and page._view is not None and page._view.line.version == 1, timeout=5000)
    assert page._beside.isVisible()
    page.compare_with("licence-notices@2")
    qtbot.waitUntil(page._beside_panel.isVisible, timeout=5000)
    assert words in page._beside_note.words()
    page._choose("licence-notices@2")
    qtbot.waitUntil(lambda: page._beside_panel.isHidden(), timeout=5000)


def test_a_version_is_released_and_taken_back_and_the_page_shows_what_is_live(window: Window, qtbot: Any, tmp_path: Path) -> None:
    store, file = window.background.store, tmp_path / "q8.gguf"
    file.write_bytes(b"GGUF")
    second_version(store, 1)
    store.db.execute("UPDATE model_versions SET path = ?", (str(file),))
    page = show(window, qtbot, "models")
    page.open("licence-notices@1")
    qtbot.waitUntil(lambda: page._view is not None and page._view.line.live, timeout=5000)
    assert (page._back.isEnabled(), page._back.toolTip()) == (False, "No version was released before this one")
    page.open("licence-notices@2")
    qtbot.waitUntil(lambda: page._view is not None and page._view.line.version == 2, timeout=5000)
    page._release.click()
    qtbot.waitUntil(lambda: page._view.line.live and page._back.isEnabled(), timeout=10_000)
    qtbot.waitUntil(  # details and list are asked for apart
        lambda: [line.mark for line in page.list.lines() if line.title.startswith("Version")] == ["Live", "Retired"], timeout=10_000)
    page._back.click()
    qtbot.waitUntil(lambda: page._view.line.version == 1 and page._view.line.live, timeout=10_000)
    qtbot.waitUntil(lambda: page.list.key() == "licence-notices@1", timeout=10_000)
    qtbot.waitUntil(lambda: window._toast._label.words() == "licence-notices@1 is served again.", timeout=10_000)
    served = store.row("SELECT model_version FROM deployments WHERE alias = 'licence-notices'")
    assert served == {"model_version": "licence-notices@1"}


def test_a_comparison_is_headed_by_the_versions_and_has_its_money_in_a_currency(window: Window, qtbot: Any) -> None:
    store = window.background.store
    second_version(store, 1)
    found = compare(store, "licence-notices@1", "licence-notices@2")
    assert found is not None
    rows = dict(comparison_rows(found))
    assert rows["Cost to make"] == ("€0.03", "not measured")
    assert "Name" not in rows


def test_an_earlier_version_and_the_run_are_one_click_away(window: Window, qtbot: Any) -> None:
    second_version(window.background.store, 1)
    page = show(window, qtbot, "models")
    qtbot.waitUntil(lambda: "licence-notices@1" in page.lineage.boxes, timeout=5000)
    page.lineage.boxes["licence-notices@1"].click()
    qtbot.waitUntil(lambda: "run" in page.lineage.boxes and page._view.line.version == 1, timeout=5000)
    page.lineage.boxes["run"].click()
    assert window.page() is window._pages["runs"]


def test_bases_that_are_known_before_the_versions_do_not_change_what_was_opened(window: Window, qtbot: Any) -> None:
    second_version(window.background.store, 1)
    window.go("models", "licence-notices@1")
    page: Any = window.page()
    page._know_bases([])
    qtbot.waitUntil(lambda: page._view is not None, timeout=5000)
    assert page._view.line.version == 1


def test_base_models_are_listed_with_size_and_fit(window: Window, qtbot: Any) -> None:
    page = show(window, qtbot, "models")
    qtbot.waitUntil(lambda: bool(page._fits), timeout=20_000)
    assert any("SmolLM2" in line.title and "fits" in line.note for line in page.list.lines())


def _file(name: str, size: int, lost: float | None, *, passed: bool | None = True) -> FileLine:
    return FileLine(name, "", size, 0.99, lost, True, passed, in_use=False)


@pytest.mark.parametrize(("files", "expected"), [
    pytest.param([_file("f16", 270, 0.0), _file("q8_0", 145, 0.001), _file("q4_k_m", 105, 0.004)], "q4_k_m", id="smallest with little lost"),
    pytest.param([_file("f16", 270, 0.0), _file("q4_k_m", 105, 0.05)], "f16", id="the small one lost too much"),
    pytest.param([_file("f16", 270, 0.0), _file("q8_0", 145, 0.0, passed=False)], "f16", id="a failed proof is not taken"),
    pytest.param([_file("q8_0", 145, None), _file("q4_0", 92, None)], "q8_0", id="not measured: the largest that passed"),
    pytest.param([_file("q8_0", 145, 0.0, passed=None)], "", id="nothing proved")])
def test_the_file_to_take_is_the_smallest_that_lost_little(files: list[FileLine], expected: str) -> None:
    assert recommended(files) == expected
