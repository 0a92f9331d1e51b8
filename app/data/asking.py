"""Ask a served model from inside a step: answers in a JSON shape, several at once, over this computer's own endpoint alone.

    with Asker(ctx, params.model) as asker:
        for row, answer in asker.ask_all((row, Question(messages(row), Verdict)) for row in rows):
            if isinstance(answer, Unusable): ...      # cut off, not in its shape, or refused: counted, the step goes on
            else: use(answer.value)                   # a Verdict

The node states ``network = "loopback"``.  The service runs whenever a workflow does; it queues, loads and restarts engines.
What a step asks is charged to the step: its requests carry STEP_HEADER, and the endpoint does not charge them a second time.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from app.config.node import StepContext
from app.config.presence import STEP_HEADER, find_service
from app.errors import NeuroWeaverError, Place, ServingError, UsageError, from_record
from app.store import Store, settings

if TYPE_CHECKING:
    import httpx

START_SECONDS = 30.0
"""How long the endpoint of a service that has just started may take to answer."""
LOAD_SECONDS = 1800.0
"""How long a model may take to be made ready: a large base is converted once."""
PATIENCE_SECONDS = 180.0
"""How long one question waits, in all, for a model that is busy, loading or restarting."""
SILENT_SECONDS = 200.0
"""Longer than the endpoint itself waits for an engine, so that its own words arrive."""
RETRY_SECONDS = 1.0
LOOK_SECONDS = 0.2
USUAL_SLOTS = 4
K = TypeVar("K")


class Shape(BaseModel):
    """Base of what an answer must hold.  Flat fields with bounds: the endpoint takes no patterns and no references."""

    model_config = ConfigDict(extra="forbid", frozen=True)


S = TypeVar("S", bound=Shape)


@dataclass(frozen=True, slots=True)
class Question(Generic[S]):
    """One question.  messages: {"role", "content"}; shape: what the answer must hold; max_tokens: bound of the answer."""

    messages: Sequence[Mapping[str, str]]
    shape: type[S]
    max_tokens: int = 512
    temperature: float = 0.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Answer(Generic[S]):
    """An answer in its shape, and the tokens of question and answer as the engine counted them."""

    value: S
    tokens_in: int
    tokens_out: int


class Unusable(ServingError):
    """One answer that cannot be used: ask.cut_off, ask.bad_shape or ask.refused.  Other questions may fare better."""


@dataclass(slots=True)
class Usage:
    """What was asked so far.  seconds: from the first question to the last answer; requests at once share them."""

    questions: int = 0
    unusable: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """The figures, with the written tokens a second."""
        return {**asdict(self), "tokens_per_second": self.tokens_out / self.seconds if self.seconds else 0.0}


@dataclass(frozen=True, slots=True)
class _Reply:
    text: str
    finish: str
    tokens_in: int
    tokens_out: int


class _Busy(Exception):
    """Ask again after some seconds; ``error`` is what to say when patience has ended."""

    def __init__(self, seconds: float, error: ServingError) -> None:
        super().__init__(error.what)
        self.seconds, self.error = seconds, error


class _Stopped(Exception):
    """The asker was closed."""


class Asker:
    """A served model, ready to be asked.  Use it in ``with``; leaving hangs up, which frees the engine.

    model: the name under which it is served; empty: the document's base model, which is served first where it is not yet.
    at_once: questions asked together; 0: as many as the model has slots.  Raises ServingError ask.no_service,
    ask.endpoint_off or ask.not_started, UsageError ask.no_model, ask.not_served or ask.engine, and an engine's own error.
    """

    def __init__(self, ctx: StepContext, model: str = "", *, at_once: int = 0) -> None:
        import httpx

        self._ctx, self.usage, self._halt = ctx, Usage(), threading.Event()
        self._began: float | None = None
        base_url, key = find_endpoint(ctx)
        self._client = httpx.Client(
            base_url=base_url.removesuffix("/v1"),
            headers={"authorization": f"Bearer {key}", STEP_HEADER: f"{ctx.run}/{ctx.step}"},
            timeout=httpx.Timeout(SILENT_SECONDS, connect=10),
            limits=httpx.Limits(max_connections=64),
            trust_env=False,
        )
        try:
            served = self._ready(model or ctx.base_model)
        except BaseException:
            self._client.close()
            raise
        self.model, self.version = str(served["alias"]), str(served["model_version"])
        self.at_once = at_once or int(orjson.loads(served["options"]).get("slots") or USUAL_SLOTS)
        self._threads = ThreadPoolExecutor(self.at_once, thread_name_prefix="ask")

    # -- asking --------------------------------------------------------------------------------------------------------------

    def ask(self, question: Question[S]) -> Answer[S] | Unusable:
        """Ask one question."""
        return next(answer for _, answer in self.ask_all([(0, question)]))

    def ask_all(self, questions: Iterable[tuple[K, Question[S]]]) -> Iterator[tuple[K, Answer[S] | Unusable]]:
        """Answers in the order of the questions, each with the caller's own key.  Questions are taken as slots get free.

        Raises ServingError ask.no_answer when the model says nothing for three minutes, and Cancelled.
        """
        waiting: deque[tuple[K, Question[S], Future[_Reply | Unusable]]] = deque()
        try:
            for key, question in questions:
                self._began = self._began or time.monotonic()
                waiting.append((key, question, self._threads.submit(self._reply, question)))
                if len(waiting) >= 2 * self.at_once:
                    yield self._next(waiting)
            while waiting:
                yield self._next(waiting)
        finally:
            for _, _, future in waiting:
                future.cancel()

    def _next(self, waiting: deque[tuple[K, Question[S], Future[_Reply | Unusable]]]) -> tuple[K, Answer[S] | Unusable]:
        key, question, future = waiting[0]
        answer = self._take(question, self._result(future))
        waiting.popleft()
        return key, answer

    def _result(self, future: Future[Any]) -> Any:
        """Wait with a sign of life; raises Cancelled when the user asks to stop."""
        while True:
            try:
                return future.result(LOOK_SECONDS)
            except NotYet:
                self._ctx.check_cancelled()

    def _take(self, question: Question[S], reply: _Reply | Unusable) -> Answer[S] | Unusable:
        usage = self.usage
        usage.questions += 1
        usage.seconds = time.monotonic() - (self._began or time.monotonic())
        if isinstance(reply, _Reply):
            usage.tokens_in += reply.tokens_in
            usage.tokens_out += reply.tokens_out
        found = reply if isinstance(reply, Unusable) else _in_shape(question, reply)
        usage.unusable += isinstance(found, Unusable)
        return found

    # -- one request, in a thread --------------------------------------------------------------------------------------------

    def _reply(self, question: Question[Any]) -> _Reply | Unusable:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return self._once(question)
            except _Busy as busy:
                if time.monotonic() + busy.seconds > deadline:
                    raise busy.error from busy
                if self._halt.wait(busy.seconds):
                    raise _Stopped from busy
            except Unusable as refused:
                return refused

    def _once(self, question: Question[Any]) -> _Reply:
        import httpx

        schema = {"name": question.shape.__name__, "strict": True, "schema": question.shape.model_json_schema()}
        body = {
            "model": self.model,
            "messages": list(question.messages),
            "max_tokens": question.max_tokens,
            "temperature": question.temperature,
            "seed": question.seed,
            "response_format": {"type": "json_schema", "json_schema": schema},
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        try:
            with self._client.stream("POST", "/v1/chat/completions", json=body) as response:
                if response.status_code != httpx.codes.OK:
                    response.read()
                    raise _refusal(response, self.model)
                return self._read(response)
        except httpx.TransportError as problem:
            raise _Busy(RETRY_SECONDS, _no_answer(f"{problem}.")) from problem

    def _read(self, response: httpx.Response) -> _Reply:
        texts: list[str] = []
        finish, tokens_in, tokens_out = "", 0, 0
        for line in response.iter_lines():
            if self._halt.is_set():
                raise _Stopped
            if not line.startswith("data:") or line.endswith("[DONE]"):
                continue
            event = orjson.loads(line[5:])
            if "error" in event:
                raise _Busy(RETRY_SECONDS, _no_answer(str(event["error"].get("message", ""))))
            if usage := event.get("usage"):
                tokens_in, tokens_out = int(usage["prompt_tokens"]), int(usage["completion_tokens"])
            for choice in event.get("choices", ()):
                texts.append((choice.get("delta") or {}).get("content") or "")
                finish = choice.get("finish_reason") or finish
        if not finish:
            raise _Busy(RETRY_SECONDS, _no_answer("The answer broke off."))
        return _Reply("".join(texts), finish, tokens_in, tokens_out)

    # -- getting ready -------------------------------------------------------------------------------------------------------

    def _ready(self, name: str) -> dict[str, Any]:
        """The deployment to ask, loaded; a base model that is not served yet is served."""
        if not name:
            raise UsageError("ask.no_model", "No model is named to ask.", where=Place.of(field="model"),
                             remedy="Name one that is served, or give the workflow a base_model.")
        served = find_served(self._ctx.store, name)
        if served is None:
            self._ctx.event(f"Making {name} ready to be asked")
            served = find_served(self._ctx.store, self._serve_base(name))
        if served is None:
            raise _not_served(self._ctx.store, name)
        if served["engine"] != "llama.cpp":
            raise UsageError("ask.engine", f"{name!r} cannot be held to a JSON shape.", where=Place.of(field="model"),
                             why=f"It is served by {served['engine']}.", remedy="Serve its GGUF file with llama.cpp.")
        return self._loaded(served)

    def _serve_base(self, name: str) -> str:
        """Ask the service to serve a base model; the name under which it does."""
        import httpx

        if self._ctx.store.row("SELECT 1 FROM model_versions WHERE id = ? OR model = ?", (name, name)):
            raise _not_served(self._ctx.store, name)  # to deploy is to release: that is the user's decision
        aside = ThreadPoolExecutor(1)
        try:
            answer = self._result(aside.submit(self._client.post, "/api/v1/models/deploy", json={"model": name}, timeout=LOAD_SECONDS))
        except httpx.TransportError as problem:
            raise _no_answer(f"{problem}.") from problem
        finally:
            aside.shutdown(wait=False)
        if answer.status_code == httpx.codes.OK:
            return str(answer.json()["model"])
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise _not_served(self._ctx.store, name)
        raise ServingError("ask.not_started", f"{name!r} could not be served.", why=_words(answer),
                           remedy="Deploy it, on the Models page, and resume.")

    def _loaded(self, served: dict[str, Any]) -> dict[str, Any]:
        """Wait while it is being loaded, so that its own words are told if it fails."""
        deadline = time.monotonic() + LOAD_SECONDS
        while served["state"] == "starting" and time.monotonic() < deadline:
            self._ctx.check_cancelled()
            time.sleep(LOOK_SECONDS)
            served = find_served(self._ctx.store, served["alias"]) or {**served, "state": "stopped"}
        if served["state"] in ("starting", "stopped"):
            raise _not_served(self._ctx.store, served["alias"])
        if served["state"] == "failed":
            raise _failure(served)
        return served

    def close(self) -> None:
        """Hang up; what was being answered is given up."""
        self._halt.set()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def __enter__(self) -> Asker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def find_endpoint(ctx: StepContext) -> tuple[str, str]:
    """(base URL ending in /v1, key) of the profile's own service.  Raises ServingError where there is none."""
    store, deadline = ctx.store, time.monotonic() + START_SECONDS
    while True:
        service = find_service(store.profile)
        row = store.row("SELECT key FROM api_keys WHERE revoked IS NULL ORDER BY created DESC LIMIT 1")
        if service is None:
            raise ServingError("ask.no_service", "No model can be asked: the service does not run.",
                               remedy="Start it with main.py service, or open the window; main.py run starts one by itself.")
        if service.base_url and row:
            return service.base_url, str(row["key"])
        if not settings.get(store, "endpoint.enabled"):
            raise ServingError("ask.endpoint_off", "No model can be asked: the endpoint is switched off.",
                               remedy="Switch it on, on the Endpoint page, and resume.")
        if time.monotonic() > deadline:
            raise ServingError("ask.not_started", "The endpoint did not start.", remedy="main.py doctor says what is missing.")
        ctx.check_cancelled()
        time.sleep(LOOK_SECONDS)


def find_served(store: Store, name: str) -> dict[str, Any] | None:
    """The deployment with this name, else that of the base model of this name; None where it is not served."""
    return store.row(
        "SELECT alias, model_version, engine, options, state, why FROM deployments "
        "WHERE state != 'stopped' AND (alias = :name OR model_version = :base) ORDER BY alias = :name DESC",
        {"name": name, "base": f"base:{Path(name).name.lower()}"},
    )


def cost_so_far(store: Store, run: str) -> tuple[float, str] | None:
    """(money, currency) that a run has cost until some two seconds ago, all its steps together; None while unknown."""
    row = store.row("SELECT value, unit FROM metrics WHERE run = ? AND name = 'cost.total' ORDER BY id DESC LIMIT 1", (run,))
    return (float(row["value"]), str(row["unit"])) if row else None


def _in_shape(question: Question[S], reply: _Reply) -> Answer[S] | Unusable:
    if reply.finish == "length":
        return Unusable("ask.cut_off", "The answer was cut off.", why=f"It reached {question.max_tokens} tokens.",
                        remedy="Allow longer answers.")
    try:
        return Answer(question.shape.model_validate_json(reply.text), reply.tokens_in, reply.tokens_out)
    except ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(map(str, first["loc"]))
        return Unusable("ask.bad_shape", "The answer does not have its shape.", why=f"{place}: {first['msg']}.".lstrip(": "),
                        remedy="Use a larger model.")


def _refusal(response: httpx.Response, model: str) -> Exception:
    """What a reply other than 200 means for the question (Unusable), for now (_Busy), or for the step (ServingError)."""
    status, why, code = response.status_code, _words(response), _code(response)
    if status == 413 or (status == 400 and code in ("engine_refused", "context_length_exceeded", "string_above_max_length")):
        return Unusable("ask.refused", "The model did not take the question.", why=why, remedy="Ask with less text.")
    if status in (408, 429) or status >= 500:
        return _Busy(_retry_after(response), _no_answer(why))
    if status == 404:
        return ServingError("ask.not_served", f"{model!r} is no longer served.", why=why, remedy="Deploy it again and resume.")
    if status == 401:
        return ServingError("ask.key", "The endpoint's key was renewed.", remedy="Resume the run; it takes the new key.")
    return ServingError("ask.refused", "The endpoint did not take the question.", why=why, remedy="See the Endpoint page.")


def _retry_after(response: httpx.Response) -> float:
    given = response.headers.get("retry-after", "")
    return float(given) if given.isdigit() else RETRY_SECONDS


def _error(response: httpx.Response) -> dict[str, Any]:
    try:
        found = response.json()["error"]
    except (ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def _words(response: httpx.Response) -> str:
    return str(_error(response).get("message") or f"It replied with status {response.status_code}.")


def _code(response: httpx.Response) -> str:
    return str(_error(response).get("code") or "")


def _no_answer(why: str) -> ServingError:
    return ServingError("ask.no_answer", "The model does not answer.", why=why,
                        remedy="See the Endpoint page and logs/engines.log; then resume: what was made is kept.")


def _not_served(store: Store, name: str) -> UsageError:
    rows = store.rows("SELECT alias FROM deployments WHERE state != 'stopped' ORDER BY alias")
    served = ", ".join(str(row["alias"]) for row in rows)
    return UsageError("ask.not_served", f"The model {name!r} is not served.", where=Place.of(field="model"),
                      remedy=f"Deploy it, or name one that is served: {served}." if served else "Deploy it first.")


def _failure(served: Mapping[str, Any]) -> NeuroWeaverError:
    try:
        return from_record(orjson.loads(served["why"] or ""))
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ServingError("ask.not_started", f"The engine could not serve {served['alias']!r}.", why=str(served["why"] or ""),
                            remedy="Deploy it again.")
