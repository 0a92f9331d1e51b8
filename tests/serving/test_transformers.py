"""The transformers engine through the endpoint, asked by the official client, strict about every field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from app.store import Store
from tests.serving.harness import Endpoint, deploy, endpoint
from tests.tiny import tiny_llama

ASK = [{"role": "user", "content": "What is a lease?"}]


@pytest.fixture(scope="module")
def serving(shared_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    deploy(shared_store, path=tiny_llama(tmp_path_factory.mktemp("tiny")), engine="transformers", context=512)
    with endpoint(shared_store) as running:
        yield running


@pytest.fixture(scope="module")
def client(serving: Endpoint) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{serving.root}/v1", api_key=serving.key, _strict_response_validation=True, max_retries=0, timeout=60)


def ask(client: openai.OpenAI, **options: Any) -> Any:
    return client.chat.completions.create(**{"model": "m", "messages": ASK, "max_tokens": 12, "temperature": 0, **options})


def words(client: openai.OpenAI, **options: Any) -> str:
    return str(ask(client, **options).choices[0].message.content)


def test_the_stream_says_the_same_as_the_whole_and_counts(client: openai.OpenAI) -> None:
    whole = ask(client)
    events = list(ask(client, stream=True, stream_options={"include_usage": True}))
    assert "".join(event.choices[0].delta.content or "" for event in events if event.choices) == whole.choices[0].message.content
    assert events[-1].usage == whole.usage
    assert (whole.usage.completion_tokens, whole.choices[0].finish_reason) == (12, "length")
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + 12


def test_a_stop_word_that_spans_tokens_never_leaks(client: openai.OpenAI) -> None:
    pieces = [event.choices[0].delta.content or "" for event in ask(client, stream=True) if event.choices]
    pieces = [piece for piece in pieces if piece]
    stop = pieces[2][-2:] + pieces[3][:2]
    whole = "".join(pieces)
    parts = list(ask(client, stream=True, stop=[stop]))
    cut = "".join(event.choices[0].delta.content or "" for event in parts if event.choices)
    assert cut == whole[: whole.index(stop)]
    assert parts[-1].choices[0].finish_reason == "stop"


def test_a_seed_repeats_an_answer_and_without_one_it_varies(client: openai.OpenAI) -> None:
    assert words(client, temperature=1, seed=5) == words(client, temperature=1, seed=5)
    assert len({words(client, temperature=1) for _ in range(3)}) > 1


def test_sampling_options_are_obeyed(client: openai.OpenAI) -> None:
    assert words(client, temperature=1.5, top_p=1e-6) == words(client)
    assert words(client, max_tokens=3, logit_bias={"1000": 100}) == words(client, max_tokens=1, logit_bias={"1000": 100}) * 3
    assert words(client, max_tokens=3, logit_bias={"1000": 50, "1001": 49.5}, frequency_penalty=2) != \
        words(client, max_tokens=3, logit_bias={"1000": 50, "1001": 49.5})


def test_logprobs_have_their_alternatives(client: openai.OpenAI) -> None:
    content = ask(client, logprobs=True, top_logprobs=3).choices[0].logprobs.content
    assert len(content) == 12
    for token in content:
        assert len(token.top_logprobs) == 3
        assert token.logprob == pytest.approx(token.top_logprobs[0].logprob)  # greedy takes the most likely
        assert bytes(token.bytes).decode() == token.token
    assert ask(client).choices[0].logprobs is None


def test_completions_continue_a_text_with_logprobs(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="m", prompt="Once upon a", max_tokens=4, temperature=0, logprobs=2)
    found = answer.choices[0].logprobs
    assert found is not None
    assert found.tokens is not None
    assert found.top_logprobs is not None
    assert (len(found.tokens), found.text_offset) == (4, [sum(len(one) for one in found.tokens[:at]) for at in range(4)])
    assert all(len(one) == 2 for one in found.top_logprobs)


@pytest.mark.parametrize(("options", "words_"), [
    pytest.param({"response_format": {"type": "json_object"}}, "llama.cpp", id="JSON mode"),
    pytest.param({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}}, "llama.cpp",
                 id="JSON schema"),
    pytest.param({"logit_bias": {"1000000": 1}}, "no token 1000000", id="token that is none"),
    pytest.param({"messages": [{"role": "user", "content": "word " * 600}]}, "prompt has 631 tokens; the context holds 512", id="prompt too long"),
])
def test_what_the_engine_cannot_do_is_an_honest_400(client: openai.OpenAI, options: dict[str, Any], words_: str) -> None:
    with pytest.raises(openai.BadRequestError, match=words_):
        ask(client, **options)
    assert words(client)


def test_embeddings_have_length_one(client: openai.OpenAI) -> None:
    vector = client.embeddings.create(model="m", input="A contract.", encoding_format="float").data[0].embedding
    assert sum(value * value for value in vector) == pytest.approx(1, abs=1e-3)
