"""The official client, strict about every field, against the real endpoint and a real model."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import openai
import pydantic
import pytest

from tests.gateway.conftest import Running

ASK = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]


@pytest.fixture
def client(endpoint: Running) -> openai.OpenAI:
    return openai.OpenAI(base_url=endpoint.base_url, api_key=endpoint.key, _strict_response_validation=True, max_retries=0,
                         timeout=120)


def ask(client: openai.OpenAI, **options: Any) -> Any:
    return client.chat.completions.create(**{"model": "starter", "messages": ASK, "max_tokens": 8, "temperature": 0, **options})


def test_models_are_listed_and_found(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list().data] == ["starter"]
    assert client.models.retrieve("starter").owned_by == "neuroweaver"


def test_a_chat_answer_counts_its_tokens(client: openai.OpenAI) -> None:
    answer = ask(client)
    assert answer.choices[0].message.content
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert 1 <= answer.usage.completion_tokens <= 8
    assert answer.model == "starter"


def test_the_stream_says_the_same_as_the_whole(client: openai.OpenAI) -> None:
    events = list(ask(client, stream=True, stream_options={"include_usage": True}))
    text = "".join(event.choices[0].delta.content or "" for event in events if event.choices)
    assert text == ask(client).choices[0].message.content
    assert events[-1].usage.completion_tokens >= 1
    assert events[-2].choices[0].finish_reason in ("stop", "length")


def test_a_seed_repeats_an_answer(client: openai.OpenAI) -> None:
    first, second = (ask(client, temperature=1.5, seed=11, max_tokens=16).choices[0].message.content for _ in range(2))
    assert first == second


def test_a_stop_word_ends_the_answer(client: openai.OpenAI) -> None:
    whole = ask(client, max_tokens=24).choices[0].message.content
    stop = whole[2:6]
    cut = ask(client, max_tokens=24, stop=[stop])
    assert stop not in cut.choices[0].message.content
    assert cut.choices[0].finish_reason == "stop"


def test_logprobs_have_their_alternatives(client: openai.OpenAI) -> None:
    content = ask(client, logprobs=True, top_logprobs=3).choices[0].logprobs.content
    assert all(len(token.top_logprobs) == 3 and token.logprob <= 0 for token in content)


def test_logprobs_alone_have_none(client: openai.OpenAI) -> None:
    content = ask(client, logprobs=True).choices[0].logprobs.content
    assert content
    assert all(token.top_logprobs == [] and token.logprob <= 0 for token in content)
    given = client.completions.create(model="starter", prompt="Once upon a", max_tokens=4, temperature=0, logprobs=0).choices[0].logprobs
    assert len(given.token_logprobs) == 4
    assert given.top_logprobs == [{}] * 4


def test_json_mode_and_schema_give_json(client: openai.OpenAI) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 12}}, "required": ["city"],
              "additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "city", "schema": schema}}
    answer = ask(client, response_format=form, max_tokens=64).choices[0].message.content
    assert set(json.loads(answer)) == {"city"}


class City(pydantic.BaseModel):
    name: Literal["Rome", "Oslo"]


class Journey(pydantic.BaseModel):
    start: City
    end: City


def test_a_model_within_a_model_is_parsed(client: openai.OpenAI) -> None:
    answer = client.chat.completions.parse(model="starter", messages=ASK, response_format=Journey, max_tokens=128, temperature=0)
    assert isinstance(answer.choices[0].message.parsed, Journey)


def test_completions_continue_a_text(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="starter", prompt="Once upon a", max_tokens=4, temperature=0, logprobs=1)
    assert answer.choices[0].text
    assert len(answer.choices[0].logprobs.tokens) == answer.usage.completion_tokens
    lenient = openai.OpenAI(base_url=client.base_url, api_key=client.api_key)  # its type forbids the null that is streamed
    parts = list(lenient.completions.create(model="starter", prompt="Once upon a", max_tokens=4, temperature=0, stream=True))
    assert "".join(part.choices[0].text for part in parts) == answer.choices[0].text


def test_several_embeddings_equal_single_ones(client: openai.OpenAI) -> None:
    texts = ["A contract.", "The tenant pays rent.", "Blue."]
    together = client.embeddings.create(model="starter", input=texts, encoding_format="float").data
    for text, found in zip(texts, together, strict=True):
        alone = client.embeddings.create(model="starter", input=text, encoding_format="float").data[0]
        assert found.embedding == pytest.approx(alone.embedding, abs=1e-4)


@pytest.mark.parametrize(("options", "kind", "param"), [
    pytest.param({"model": "nobody"}, openai.NotFoundError, "model", id="unknown model"),
    pytest.param({"temperature": 9}, openai.BadRequestError, "temperature", id="temperature"),
    pytest.param({"max_tokens": 0}, openai.BadRequestError, "max_tokens", id="no tokens"),
    pytest.param({"max_tokens": 2**63}, openai.BadRequestError, "max_tokens", id="too many tokens"),
    pytest.param({"n": 1_000_000}, openai.BadRequestError, "n", id="many answers"),
    pytest.param({"stop": ""}, openai.BadRequestError, "stop", id="empty stop"),
    pytest.param({"messages": []}, openai.BadRequestError, "messages", id="no messages"),
    pytest.param({"extra_body": {"chat_template": "{{ x }}"}}, openai.BadRequestError, "chat_template", id="chat template"),
    pytest.param({"extra_body": {"n_discard": -1}}, openai.BadRequestError, "n_discard", id="engine parameter"),
    pytest.param({"logit_bias": {str(2**31): 1}}, openai.BadRequestError, "logit_bias", id="token that is none"),
    pytest.param({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}]},
                 openai.BadRequestError, "messages[0].content[0]", id="file url"),
    pytest.param({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "string", "pattern": "(a+)+$"}}}},
                 openai.BadRequestError, "response_format.json_schema.schema", id="regular expression"),
    pytest.param({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"enum": ["a"] * 300}}}},
                 openai.BadRequestError, "response_format.json_schema.schema", id="huge enum"),
])
def test_bad_requests_name_the_field(client: openai.OpenAI, options: dict[str, Any], kind: type[openai.APIStatusError], param: str) -> None:
    with pytest.raises(kind) as caught:
        ask(client, **options)
    assert caught.value.param == param


def test_a_wrong_key_is_refused(endpoint: Running) -> None:
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=endpoint.base_url, api_key="nw-wrong", max_retries=0).models.list()


def test_four_clients_are_answered_together(client: openai.OpenAI) -> None:
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda number: ask(client, max_tokens=12, seed=number), range(4)))
    assert len({answer.id for answer in answers}) == 4
    assert all(answer.choices[0].message.content for answer in answers)
