"""A base model's tokenizer and chat template without transformers, which takes seconds and 400 MB to import.

It answers what app/training/examples.py asks of a tokenizer, from the same files and with the same packages beneath
(tokenizers, jinja2), and gives the same tokens (tests/training/test_preview.py).
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from app.errors import ModelFileError, Place


class LightTokenizer:
    """The tokenizer in a model's folder.  Raises ModelFileError where its files cannot be used."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            self._config: dict[str, Any] = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        except Exception as problem:  # tokenizers raises plain Exception
            raise ModelFileError("model.unusable", "The model's tokenizer cannot be read.", where=Place.of(folder),
                                 why=f"{type(problem).__name__}: {problem}"[:400],
                                 remedy="Choose another base model, for example the starter model.") from problem
        self.eos_token, self.bos_token = self._special("eos_token"), self._special("bos_token")
        self.bos_token_id = self._tokenizer.token_to_id(self.bos_token) if self.bos_token else None
        self.chat_template = self._template(folder)

    def _special(self, name: str) -> str:
        found = self._config.get(name) or ""
        return str(found["content"] if isinstance(found, dict) else found)

    def _template(self, folder: Path) -> str:
        file = folder / "chat_template.jinja"
        found = file.read_text(encoding="utf-8") if file.is_file() else self._config.get("chat_template") or ""
        if isinstance(found, list):  # several by name
            named = {one["name"]: one["template"] for one in found}
            found = named.get("default", "")
        return str(found)

    def apply_chat_template(self, messages: list[dict[str, str]], *, tokenize: bool = False, add_generation_prompt: bool = False) -> str:
        """The text of a conversation, as the model's own template writes it."""
        special = {name: value for name in ("bos_token", "eos_token", "unk_token", "pad_token") if (value := self._special(name))}
        return str(_compiled(self.chat_template).render(
            messages=messages, tools=None, documents=None, add_generation_prompt=add_generation_prompt, **special))

    def __call__(self, texts: str | list[str], *, add_special_tokens: bool = True) -> Any:
        """Token ids, in ``input_ids``."""
        if isinstance(texts, str):
            return SimpleNamespace(input_ids=self._tokenizer.encode(texts, add_special_tokens=add_special_tokens).ids)
        found = self._tokenizer.encode_batch(texts, add_special_tokens=add_special_tokens)
        return SimpleNamespace(input_ids=[one.ids for one in found])


def _compiled(template: str) -> Any:
    """As transformers compiles it: sandboxed, with its filters and functions."""
    import jinja2
    import jinja2.ext
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def raise_exception(message: str) -> None:
        raise jinja2.exceptions.TemplateError(message)

    def tojson(value: Any, ensure_ascii: bool = False, indent: int | None = None, separators: Any = None, sort_keys: bool = False) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    class Generation(jinja2.ext.Extension):
        """{% generation %} marks answers for a mask that is not used here: what stands inside is written as it is."""

        tags = {"generation"}

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    environment.filters["tojson"] = tojson
    environment.globals |= {"raise_exception": raise_exception, "strftime_now": lambda form: datetime.now().strftime(form)}
    return environment.from_string(template)
