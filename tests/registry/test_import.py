"""Sound models come in, with what they say of themselves; the dangerous ones are in tests/faults/test_bad_models.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.errors import Cancelled, ModelFileError, RegistryError
from app.registry import api, importer, trial
from app.registry.template_check import rendered_reason
from app.store import Store
from tests.registry.conftest import Exported
from tests.tiny import STARTER, tiny_llama

LLAMA3 = (
    "{{- bos_token }}{%- if tools is not none %}{{- tools | tojson(indent=4) }}{%- endif %}"
    "{%- set ns = namespace(first=true) %}{%- if messages[0]['role'] == 'system' %}"
    "{%- set system_message = messages[0]['content']|trim %}{%- set messages = messages[1:] %}{%- else %}"
    "{%- set system_message = '' %}{%- endif %}{{- 'Today: ' + strftime_now('%d %b %Y') + '\\n\\n' + system_message }}"
    "{%- for message in messages %}{%- if loop.index0 % 2 == 0 and message.role == 'tool' %}"
    "{{- raise_exception('No tools here') }}{%- endif %}"
    "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}")
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate') }}{% endif %}{% if message['role'] == 'assistant' %}{% set role = 'model' %}{% else %}"
    "{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}")
MARKED = (
    "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{% else %}"
    "{{ m.content }}{% endif %}{% if loop.last %}{% break %}{% endif %}{% endfor %}{% macro line(x) %}{{ '=' * 40 }}{{ x }}{% endmacro %}"
    "{{ line(messages|length) }}")


@pytest.mark.parametrize("template", [
    pytest.param((STARTER / "chat_template.jinja").read_text(encoding="utf-8"), id="starter"), pytest.param(LLAMA3, id="tools and dates"),
    pytest.param(GEMMA, id="refuses system messages"), pytest.param(MARKED, id="marks, breaks, macros")])
def test_ordinary_template_is_accepted(template: str) -> None:
    assert rendered_reason(template) is None


def test_template_that_is_no_jinja_is_refused_with_its_line() -> None:
    assert "line 2" in str(rendered_reason("{{ a }}\n{% for %}"))


def test_gguf_comes_in_with_what_it_says(exported: Exported, store: Store) -> None:
    source = Path(exported.model.path)
    version = api.import_model(store, source, name="From a friend")
    assert version.id == "from-a-friend@1"
    assert (version.format, version.context, version.content_hash) == ("gguf", 2048, exported.model.content_hash)
    assert Path(version.path).read_bytes() == source.read_bytes()
    assert (version.lineage["origin"], version.lineage["architecture"]) == ("import", "llama")
    assert version.proof == {"kind": "import", "passed": None}
    assert [item.name for item in store.profile.models.iterdir()] == ["from-a-friend"]


def test_imported_model_can_be_served_although_nobody_proved_it(exported: Exported, store: Store) -> None:
    version = api.import_model(store, exported.model.path, name="outside")
    assert api.promote(store, version.id).live
    assert store.row("SELECT engine FROM deployments WHERE alias = 'outside'") == {"engine": "llama.cpp"}


def test_same_file_twice_is_one_version(exported: Exported, store: Store) -> None:
    assert api.import_model(store, exported.model.path).id == api.import_model(store, exported.model.path).id


def test_folder_comes_in_and_is_served_by_transformers(store: Store, tmp_path: Path) -> None:
    folder = tiny_llama(tmp_path / "My Model")
    version = api.import_model(store, folder)
    assert (version.id, version.format, version.context) == ("my-model@1", "hf", 2048)
    assert (Path(version.path) / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()
    api.deploy(store, version.id)
    assert store.row("SELECT engine FROM deployments") == {"engine": "transformers"}


def test_imported_folder_can_be_a_base(store: Store, tmp_path: Path) -> None:
    from app.config.models import resolve_base

    version = api.import_model(store, tiny_llama(tmp_path / "mine"))
    assert resolve_base(store, version.id) == Path(version.path)


def test_source_is_left_as_it_was(exported: Exported, store: Store) -> None:
    source = Path(exported.model.path)
    before = source.stat()
    api.import_model(store, source)
    after = source.stat()
    assert (before.st_size, before.st_mtime_ns, before.st_mode) == (after.st_size, after.st_mtime_ns, after.st_mode)


def test_stop_leaves_nothing(exported: Exported, store: Store) -> None:
    def stop() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        importer.import_model(store, exported.model.path, tick=stop)
    assert list(store.profile.models.iterdir()) == []
    assert api.list_models(store) == []


def test_room_of_a_killed_import_is_cleared(exported: Exported, store: Store) -> None:
    left = store.profile.models / ".import-4194999-x"
    left.mkdir()
    api.import_model(store, exported.model.path, name="next")
    assert [item.name for item in store.profile.models.iterdir()] == ["next"]


def test_full_disk_is_said_before_copying(exported: Exported, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    usage = shutil._ntuple_diskusage(10**9, 10**9, 10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(RegistryError, match=r"5 MB; 1 MB are free"):
        api.import_model(store, exported.model.path)
    assert list(store.profile.models.iterdir()) == []


@pytest.mark.parametrize(("name", "words"), [("model.bin", "pickled"), ("model.pt", "pickled"), ("model.safetensors", "weight file alone")])
def test_other_files_are_refused_with_the_way_out(store: Store, tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_bytes(b"x" * 100)
    with pytest.raises(ModelFileError, match=words):
        api.import_model(store, tmp_path / name)


def test_file_that_is_not_there_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"nowhere\.gguf"):
        api.import_model(store, tmp_path / "nowhere.gguf")


def test_engine_that_hangs_on_a_file_is_ended(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "SECONDS", 0.05)
    with pytest.raises(ModelFileError, match="no answer"):
        trial.try_file(Path(exported.model.path))
    assert list(Path(exported.model.path).parent.glob("neuroweaver-trial-*")) == []


def test_weights_of_a_folder_are_read_for_numbers_that_are_none(store: Store, tmp_path: Path) -> None:
    folder = tiny_llama(tmp_path / "mine")
    file = folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    header: dict[str, Any] = json.loads(content[8:8 + int.from_bytes(content[:8], "little")])
    header.pop("__metadata__", None)
    name, entry = max(header.items(), key=lambda item: item[1]["data_offsets"][1])
    content[-2:] = b"\xc0\x7f"
    file.write_bytes(bytes(content))
    with pytest.raises(ModelFileError) as caught:
        api.import_model(store, folder)
    assert (caught.value.code, caught.value.where.field) == ("model.not_finite", name)
    assert entry["dtype"] == "BF16"
