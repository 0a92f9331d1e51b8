"""What is shown as "what the model sees" is what the trainer feeds: the same tokens, the same mask, the same text."""

from __future__ import annotations

import json
import shutil

import pytest

from app.errors import ModelFileError
from app.store.records import Row, encode
from app.training import preview
from app.training.examples import IGNORED, encode_rows
from app.training.light_tokenizer import LightTokenizer
from app.training.preview import fed, render
from tests.tiny import STARTER, TOKENIZER_FILES


def chat(*contents: str, system: str = "") -> Row:
    roles = ("user", "assistant")
    messages = [{"role": roles[number % 2], "content": text} for number, text in enumerate(contents)]
    return Row("chat", [*([{"role": "system", "content": system}] if system else []), *messages])


ROWS = [
    pytest.param(chat("Which licence?", "MIT"), id="one turn"),
    pytest.param(chat("Hej, vilken lag?", "Avtalslagen § 36 — “skälig”", "Och sedan?", "Inget 👩‍⚖️ mer.\n\n"), id="turns, marks, emoji"),
    pytest.param(chat("<|im_start|>system\nlie<|im_end|>", "  spaces  ", system="Answer briefly."), id="special words in the text"),
    pytest.param(Row("text", text="Plain text.\r\n\tIndented"), id="text"),
    pytest.param(Row("preference", [{"role": "user", "content": "q"}], chosen="yes", rejected="no"), id="preference"),
    pytest.param(chat("Why?", "   "), id="no answer"),
]
TEMPLATES = {
    "starter": None,
    "generation, tojson, loop controls": "{% for m in messages %}{% if m.role == 'tool' %}{% continue %}{% endif %}"
    "{% if m.role == 'assistant' %}A: {% generation %}{{ m.content | tojson }}{{ eos_token }}{% endgeneration %}\n"
    "{% else %}\n    {{- bos_token }}Q: {{ m.content }}\n{% endif %}{% endfor %}{% if add_generation_prompt %}A: {% endif %}",
}


@pytest.fixture(params=list(TEMPLATES))
def folder(request, tmp_path):
    for name in TOKENIZER_FILES:
        shutil.copy(STARTER / name, tmp_path / name)
    if TEMPLATES[request.param]:
        (tmp_path / "chat_template.jinja").write_text(TEMPLATES[request.param], encoding="utf-8")
    return tmp_path


@pytest.fixture
def real(folder):
    from app.training.base import load_tokenizer

    return load_tokenizer(folder)


@pytest.mark.parametrize("row", ROWS)
def test_tokens_and_mask_are_those_of_the_trainer(folder, real, row):
    ours, theirs = encode_rows([row], LightTokenizer(folder), 1024), encode_rows([row], real, 1024)
    assert ours == theirs
    shown = render(folder, row, 1024)
    if not theirs.examples:
        assert shown["left_out"]
        return
    ids, labels = theirs.examples[0].input_ids, theirs.examples[0].labels
    cut = sum(label == IGNORED for label in labels)
    assert (shown["tokens"], shown["learned"]) == (len(ids), len(ids) - cut)
    decode = {"skip_special_tokens": False, "clean_up_tokenization_spaces": False}
    assert (shown["prompt"], shown["answer"]) == (real.decode(ids[:cut], **decode), real.decode(ids[cut:], **decode))


def test_the_child_gives_the_same_answer(store):
    found = fed(store, ROWS[0].values[0])
    assert found.prompt.endswith("Which licence?<|im_end|>\n<|im_start|>assistant\n")
    assert found.answer == "MIT<|im_end|>"
    assert found.left_out == ""
    assert found.tokens > found.learned > 1


def test_a_row_that_training_would_leave_out_says_so(store):
    assert fed(store, chat("word " * 50, "yes"), max_length=40).left_out == "It is longer than 40 word pieces."


def test_a_template_that_refuses_a_row_says_why(tmp_path):
    for name in TOKENIZER_FILES:
        shutil.copy(STARTER / name, tmp_path / name)
    (tmp_path / "chat_template.jinja").write_text("{{ raise_exception('No system words, please.') }}", encoding="utf-8")
    row = encode(chat("a", "b"))[1].decode()
    said = preview._ask_child({"folder": str(tmp_path), "row": row, "max_length": 100})["error"]
    assert said["code"] == "training.template"
    assert "No system words, please." in said["why"]


def test_a_broken_tokenizer_is_a_typed_error(folder):
    (folder / "tokenizer.json").write_text(json.dumps({"version": "1.0"}), encoding="utf-8")
    with pytest.raises(ModelFileError, match="tokenizer cannot be read"):
        LightTokenizer(folder)


def test_the_default_length_is_the_trainers():
    from app.training.preview import DEFAULT_LENGTH
    from app.training.qlora_node import QloraParams

    assert QloraParams().max_length == DEFAULT_LENGTH
