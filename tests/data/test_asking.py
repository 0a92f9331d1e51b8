"""A step asks a served model: in a shape, several at once, again when it is busy, and with words when it cannot."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from app.config.presence import STEP_HEADER
from app.data.asking import Asker, Question, Shape, Unusable
from app.errors import Cancelled, NeuroWeaverError
from app.gateway import checks
from app.store import Store, settings
from tests.context import FakeContext
from tests.data.served import Refuse, deploy, serving, slowly


class Verdict(Shape):
    score: int = Field(ge=1, le=5)
    why: str = Field(max_length=100)


GOOD = {"score": 4, "why": "short"}


def ask(text: str, **options: Any) -> Question[Verdict]:
    return Question([{"role": "user", "content": text}], Verdict, **options)


@pytest.fixture
def ctx(store: Store, tmp_path: Path) -> FakeContext:
    return FakeContext(store, tmp_path)


def test_an_answer_comes_in_its_shape_with_its_tokens(ctx: FakeContext) -> None:
    with serving(ctx.store, lambda body: GOOD) as served, Asker(ctx, "teacher") as asker:
        found = asker.ask(ask("Is it good?", temperature=0.5, seed=3))
        assert not isinstance(found, Unusable)
        assert (found.value, found.tokens_in, found.tokens_out) == (Verdict(score=4, why="short"), 7, 5)
        assert (asker.model, asker.version) == ("teacher", "teacher@1")
    body = served.asked[0]
    assert (body["model"], body["temperature"], body["seed"]) == ("teacher", 0.5, 3)
    assert served.headers[0][STEP_HEADER] == "run_test/step"
    assert checks.chat({**body, "stream": True})["response_format"]["json_schema"]["schema"]["required"] == ["score", "why"]


def test_answers_keep_the_order_of_the_questions_and_run_together(ctx: FakeContext) -> None:
    def answer(body: dict[str, Any]) -> Any:
        number = int(body["messages"][0]["content"])
        time.sleep(0.06 if number % 4 == 0 else 0.02)
        return {"score": 1 + number % 5, "why": str(number)}

    with serving(ctx.store, answer) as served, Asker(ctx, "teacher") as asker:
        found = list(asker.ask_all((number, ask(str(number))) for number in range(20)))
        assert [key for key, _ in found] == list(range(20))
        assert [one.value.why for _, one in found if not isinstance(one, Unusable)] == [str(number) for number in range(20)]
        assert served.most_at_once == asker.at_once == 4
        usage = asker.usage.as_json()
    assert (usage["questions"], usage["unusable"], usage["tokens_in"], usage["tokens_out"]) == (20, 0, 140, 100)
    assert usage["tokens_per_second"] == pytest.approx(100 / usage["seconds"])


def test_questions_are_taken_only_as_slots_get_free(ctx: FakeContext) -> None:
    taken: list[int] = []

    def questions() -> Any:
        for number in range(100):
            taken.append(number)
            yield number, ask(str(number))

    with serving(ctx.store, lambda body: GOOD), Asker(ctx, "teacher") as asker:
        next(asker.ask_all(questions()))
        assert len(taken) == 2 * asker.at_once


@pytest.mark.parametrize(("answer", "code"), [
    pytest.param({"cut": '{"score": 4, "wh'}, "ask.cut_off", id="cut off"),
    pytest.param('{"score": 4', "ask.bad_shape", id="not JSON"),
    pytest.param({"score": 9, "why": ""}, "ask.bad_shape", id="out of bounds"),
    pytest.param({"score": 3, "why": "", "more": 1}, "ask.bad_shape", id="unknown field"),
    pytest.param(Refuse(400, "engine_refused", "too long"), "ask.refused", id="refused by the engine"),
    pytest.param(Refuse(400, "string_above_max_length"), "ask.refused", id="longer than the endpoint reads"),
    pytest.param(Refuse(413), "ask.refused", id="too large"),
])
def test_one_unusable_answer_is_counted_and_the_others_go_on(ctx: FakeContext, answer: Any, code: str) -> None:
    with serving(ctx.store, lambda body: answer if body["messages"][0]["content"] == "bad" else GOOD), Asker(ctx, "teacher") as asker:
        bad, good = [one for _, one in asker.ask_all([(0, ask("bad")), (1, ask("good"))])]
        assert isinstance(bad, Unusable)
        assert bad.code == code
        assert not isinstance(good, Unusable)
        assert asker.usage.unusable == 1


@pytest.mark.parametrize("refusal", [
    pytest.param(Refuse(429, "queue_full", retry_after="0"), id="queue full"),
    pytest.param(Refuse(503, "engine_crashed", retry_after="0"), id="engine crashed"),
])
def test_a_busy_model_is_asked_again(ctx: FakeContext, refusal: Refuse) -> None:
    tries: list[int] = []

    def answer(_: dict[str, Any]) -> Any:
        tries.append(1)
        return refusal if len(tries) < 3 else GOOD

    with serving(ctx.store, answer), Asker(ctx, "teacher") as asker:
        assert not isinstance(asker.ask(ask("?")), Unusable)
    assert len(tries) == 3


def test_a_model_that_stays_busy_is_told_with_its_reason(ctx: FakeContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.data.asking.PATIENCE_SECONDS", 0.05)
    with (serving(ctx.store, lambda body: Refuse(503, "engine.resting", "It rests.", "30")), Asker(ctx, "teacher") as asker,
          pytest.raises(NeuroWeaverError, match=r"does not answer\. It rests\.") as told):
        asker.ask(ask("?"))
    assert told.value.code == "ask.no_answer"


def _stop_service(store: Store) -> None:
    store.profile.service_file.unlink()


@pytest.mark.parametrize(("prepare", "model", "code"), [
    pytest.param(_stop_service, "teacher", "ask.no_service", id="no service"),
    pytest.param(lambda store: store.db.execute("DELETE FROM deployments"), "teacher", "ask.not_served", id="not served"),
    pytest.param(lambda store: deploy(store, engine="transformers"), "teacher", "ask.engine", id="engine without a grammar"),
    pytest.param(lambda store: deploy(store, state="failed"), "teacher", "ask.not_started", id="engine failed"),
    pytest.param(lambda store: deploy(store, state="stopped"), "teacher", "ask.not_served", id="stopped"),
    pytest.param(lambda store: None, "", "ask.no_model", id="no name at all"),
])
def test_a_model_that_cannot_be_asked_is_told_with_a_remedy(ctx: FakeContext, prepare: Callable[[Store], Any], model: str,
                                                           code: str) -> None:
    with serving(ctx.store, lambda body: Refuse(404, "model.unknown")):
        prepare(ctx.store)
        with pytest.raises(NeuroWeaverError) as told:
            Asker(ctx, model)
    assert told.value.code == code
    assert told.value.remedy


def test_a_switched_off_endpoint_is_told(ctx: FakeContext) -> None:
    with serving(ctx.store, lambda body: GOOD):
        settings.put(ctx.store, "endpoint.enabled", False)
        text = ctx.store.profile.service_file.read_text().replace('"base_url": "http', '"base_url": null, "was": "http')
        ctx.store.profile.service_file.write_text(text.partition(', "was"')[0] + "}")
        with pytest.raises(NeuroWeaverError, match="switched off"):
            Asker(ctx, "teacher")


def test_the_base_model_is_served_first_where_it_is_not(ctx: FakeContext) -> None:
    ctx.base_model = "smollm2-135m-instruct"

    def answer(body: dict[str, Any]) -> Any:
        if body["path"] == "/api/v1/models/deploy":
            assert body["model"] == ctx.base_model
            deploy(ctx.store, "smollm2-135m-instruct-base", version="base:smollm2-135m-instruct")
            return {"model": "smollm2-135m-instruct-base"}
        return GOOD

    with serving(ctx.store, answer) as served:
        with Asker(ctx) as asker:
            assert asker.model == "smollm2-135m-instruct-base"
        with Asker(ctx, "SmolLM2-135M-Instruct") as asker:  # served by now
            asker.ask(ask("?"))
    assert len(served.asked) == 2


def test_a_registered_version_is_never_released_by_asking(ctx: FakeContext) -> None:
    ctx.store.db.execute("INSERT INTO models (id, name, created) VALUES ('mine', 'mine', 1)")
    ctx.store.db.execute("INSERT INTO model_versions (id, model, version, state, format, path, created) "
                         "VALUES ('mine@1', 'mine', 1, 'registered', 'gguf', '', 1)")
    with serving(ctx.store, lambda body: {"model": "mine"}) as served, pytest.raises(NeuroWeaverError, match="is not served"):
        Asker(ctx, "mine@1")
    assert not served.asked


def test_a_stop_is_noticed_while_the_model_thinks(ctx: FakeContext) -> None:
    with serving(ctx.store, slowly(2.0, GOOD)), Asker(ctx, "teacher") as asker:
        threading.Timer(0.1, lambda: setattr(ctx, "cancel", "save")).start()
        began = time.monotonic()
        with pytest.raises(Cancelled):
            asker.ask(ask("?"))
        assert time.monotonic() - began < 1.0
