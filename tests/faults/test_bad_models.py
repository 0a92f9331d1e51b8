"""Every damaged or dangerous model ends in a typed error that names the place: quickly, in bounded memory, keeping nothing.

The checks run in a process of their own, whose memory (with that of its children) is watched from here.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from app.store.profile import project_dir
from tests.registry.gguf_maker import (
    ARRAY,
    FLOAT32,
    STRING,
    UINT32,
    changed,
    integers,
    key,
    tensor,
    text,
)
from tests.tiny import STARTER, TOKENIZER_FILES

MOST_SECONDS = 10
MOST_MEMORY = 500e6
_SERVER = """
import json, sys
from pathlib import Path
from app.config.model_files import check_model_folder
from app.errors import NeuroWeaverError
from app.registry import api
from app.registry.adapter_check import check_adapter
from app.store import Store, Profile
print("ready", flush=True)
for line in sys.stdin:
    job = json.loads(line)
    with Store.open(Profile(Path(job["home"]))) as store:
        try:
            if job["base"]:
                said = {"rank": check_adapter(Path(job["path"]), check_model_folder(job["base"]))}
            else:
                done = api.import_model(store, job["path"])
                said = {"id": done.id, "path": done.path, "left_out": done.lineage.get("left_out")}
        except NeuroWeaverError as problem:
            said = {"error": problem.as_json(), "bad_input": problem.bad_input}
        said["versions"] = len(store.rows("SELECT id FROM model_versions"))
    print(json.dumps(said), flush=True)
"""


class Checker:
    """Checks models in another process and measures it."""

    def __init__(self) -> None:
        self._child = subprocess.Popen([sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True, cwd=project_dir())
        assert self._child.stdout is not None
        assert self._child.stdout.readline() == "ready\n", self._child.communicate()[1]
        self.peak, self.seconds = 0.0, 0.0

    def __call__(self, path: Path, home: Path, base: Path | None = None) -> dict[str, Any]:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        done = threading.Event()
        self.peak = 0.0
        watch = threading.Thread(target=self._watch, args=(done,))
        watch.start()
        began = time.monotonic()
        self._child.stdin.write(json.dumps({"path": str(path), "home": str(home), "base": str(base) if base else ""}) + "\n")
        self._child.stdin.flush()
        answer = self._child.stdout.readline()
        self.seconds = time.monotonic() - began
        done.set()
        watch.join()
        assert answer, self._child.communicate()[1]
        return dict(json.loads(answer))

    def _watch(self, done: threading.Event) -> None:
        process = psutil.Process(self._child.pid)
        while not done.wait(0.01):
            total = 0.0
            for one in (process, *process.children(recursive=True)):
                try:
                    total += one.memory_info().rss
                except psutil.Error:
                    continue
            self.peak = max(self.peak, total)

    def close(self) -> None:
        self._child.kill()
        self._child.communicate()


@pytest.fixture(scope="module")
def checker() -> Iterator[Checker]:
    made = Checker()
    yield made
    made.close()


def refused(checker: Checker, path: Path, home: Path, base: Path | None = None) -> dict[str, Any]:
    """The error, after checking what holds for all of them."""
    said = checker(path, home, base)
    assert "error" in said, said
    assert said["bad_input"], said
    assert said["versions"] == 0
    assert "Traceback" not in json.dumps(said)
    assert said["error"]["message"]
    assert said["error"]["file"]
    assert checker.seconds <= MOST_SECONDS
    assert checker.peak <= MOST_MEMORY, f"{checker.peak / 1e6:.0f} MB"
    assert [item.name for item in (home / "models").iterdir()] == [], "something of the refused model was kept"
    return dict(said["error"])


# -- GGUF -------------------------------------------------------------------------------------------------------------
GGUF_CASES: dict[str, tuple[bytes, str, str]] = {
    # name: (content, part of the field, part of the message)
    "0 bytes": (b"", "byte 0", "empty"),
    "magic only": (b"GGUF", "version, byte 4", "ends too early"),
    "not GGUF": (b"PK\x03\x04" + b"\0" * 100, "byte 4", "letters GGUF"),
    "version 0": (changed(version=0), "version, byte 8", "version 0"),
    "version 999": (changed(version=999), "version, byte 8", "version 999"),
    "n_tensors 2^63": (changed(n_tensors=2**63), "n_tensors, byte 16", "tensors"),
    "n_kv 2^63": (changed(n_kv=2**63), "n_kv, byte 24", "keys"),
    "n_kv one too many": (changed(n_kv=5), "byte", ""),
    "string longer than the file": (changed(extra=[key("general.name", STRING, struct.pack("<Q", 2**40) + b"x")]),
                                    "general.name, byte", "bytes of text"),
    "array of 2^60": (changed(extra=[key("x.y", ARRAY, struct.pack("<IQ", UINT32, 2**60))]), "x.y, byte", "elements"),
    "array of a million texts in a small file": (changed(extra=[key("x.y", ARRAY, struct.pack("<IQ", STRING, 10**6))]),
                                                 "x.y, byte", "cannot hold"),
    "array of arrays": (changed(extra=[key("x.y", ARRAY, struct.pack("<IQ", ARRAY, 1))]), "x.y, byte", "array again"),
    "dims 0": (changed(tensors=[tensor(shape=(8, 0))]), "token_embd.weight", "dimension is 0"),
    "no dims": (changed(tensors=[tensor(shape=())]), "token_embd.weight", "0 dimensions"),
    "five dims": (changed(tensors=[tensor(shape=(1, 1, 1, 1, 1))]), "token_embd.weight", "5 dimensions"),
    "dims overflow": (changed(tensors=[tensor(shape=(2**40, 2**40))]), "token_embd.weight", "2^63"),
    "unknown tensor type": (changed(tensors=[tensor(kind=99)]), "token_embd.weight", "type is 99"),
    "removed tensor type": (changed(tensors=[tensor(kind=4)]), "token_embd.weight", "type is 4"),
    "negative tensor type": (changed(tensors=[tensor(kind=-1)]), "token_embd.weight", "type is -1"),
    "unknown key type": (changed(extra=[key("x.y", 77, b"")]), "x.y, byte", "type is 77"),
    "offset past the end": (changed(tensors=[tensor(offset=2**40)]), "token_embd.weight", "begins at"),
    "data cut off": (changed(data=b"\0" * 100), "token_embd.weight", "the file has"),
    "overlapping tensors": (changed(tensors=[tensor(), tensor("output.weight")], data=b"\0" * 320), "output.weight", "begins at 0"),
    "alignment 0": (changed(extra=[key("general.alignment", UINT32, struct.pack("<I", 0))]), "general.alignment", "alignment is 0"),
    "alignment 3": (changed(extra=[key("general.alignment", UINT32, struct.pack("<I", 3))]), "general.alignment", "alignment is 3"),
    "byte token <0x-1>": (changed(tokens=[b"<unk>", b"<s>", b"</s>", b"<0x-1>", b"hello"]), "tokenizer.ggml.tokens", "<0x-1>"),
    "byte token of another form": (changed(extra=[integers("tokenizer.ggml.token_type", [2, 3, 3, 6, 6])]),
                                   "tokenizer.ggml.token_type", "Token 4"),
    "fewer scores than tokens": (changed(extra=[key("tokenizer.ggml.scores", ARRAY, struct.pack("<IQf", FLOAT32, 1, 0.0))]),
                                 "tokenizer.ggml.scores", "1 entries"),
    "end token outside": (changed(extra=[key("tokenizer.ggml.eos_token_id", UINT32, struct.pack("<I", 5))]),
                          "tokenizer.ggml.eos_token_id", "token 5"),
    "vocabulary and weights differ": (changed(tensors=[tensor(shape=(8, 4))], data=b"\0" * 128), "token_embd.weight", "4 tokens"),
    "key twice": (changed(extra=[key("llama.context_length", UINT32, struct.pack("<I", 1))]), "llama.context_length", "twice"),
    "tensor twice": (changed(tensors=[tensor(), tensor(offset=160)], data=b"\0" * 320), "tensors", "same name"),
    "bytes behind": (changed(tail=b"PK\x05\x06" + b"\0" * 18), "end of file", "follow the last tensor"),
    "no vocabulary": (changed(tokens=[]), "tokenizer.ggml.tokens", "no vocabulary"),
    "text not UTF-8": (changed(extra=[key("general.name", STRING, text(b"\xff\xfe"))]), "general.name", "UTF-8"),
    "chat template SSTI": (changed(template="{{ ''.__class__.__mro__[1].__subclasses__() }}"), "chat_template", "'__"),
    "chat template SSTI in a branch not taken": (
        changed(template="{% if messages|length > 900 %}{{ self['__init__']['__globals__'] }}{% endif %}"), "chat_template", "'__"),
    "chat template SSTI by a joined name": (changed(template="{{ (''|attr('_'*2 ~ 'class' ~ '_'*2)).mro() }}"),
                                            "chat_template", "sandbox"),
    "chat template of 10 MB": (changed(template="x" * 10_000_000), "chat_template", "10,000,000 bytes"),
    "chat template with a huge range": (changed(template="{% for i in range(10**12) %}x{% endfor %}"), "chat_template", "sandbox"),
    "chat template with loops in loops": (
        changed(template="{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"), "chat_template", "seconds"),
    "chat template that writes without end": (
        changed(template="{% for i in range(99999) %}{{ 'x' * 9999 }}{% endfor %}"), "chat_template", "characters"),
    "chat template that takes all memory": (changed(template="{{ 'x'|center(2000000000) }}"), "chat_template", ""),
    "chat template that reads a file": (changed(template="{% include '/etc/passwd' %}"), "chat_template", "another template"),
}


@pytest.mark.parametrize("name", GGUF_CASES)
def test_bad_gguf_is_refused_with_its_place(name: str, checker: Checker, tmp_path: Path, profile: Any) -> None:
    content, field, words = GGUF_CASES[name]
    file = tmp_path / "model.gguf"
    file.write_bytes(content)
    error = refused(checker, file, profile.home)
    assert error["file"] == str(file)
    assert field in error["field"]
    assert words in error["message"]


def test_file_whose_header_is_right_but_which_no_engine_can_load_is_refused(checker: Checker, tmp_path: Path, profile: Any) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(changed())
    error = refused(checker, file, profile.home)
    assert error["type"] == "model.not_loadable"


def test_linked_gguf_is_refused(checker: Checker, tmp_path: Path, profile: Any) -> None:
    (tmp_path / "real.gguf").write_bytes(changed())
    (tmp_path / "link.gguf").symlink_to(tmp_path / "real.gguf")
    assert refused(checker, tmp_path / "link.gguf", profile.home)["type"] == "model.link"


@pytest.mark.parametrize("name", ["model.gguf", "model/config.json", "model/tokenizer_config.json"])
def test_a_pipe_is_refused_not_waited_for(name: str, checker: Checker, tmp_path: Path, profile: Any) -> None:
    if "/" in name:
        folder(tmp_path / "model")
    pipe = tmp_path / name
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    error = refused(checker, tmp_path / name.partition("/")[0], profile.home)
    assert "not a plain file" in error["message"]


# -- folders and adapters -----------------------------------------------------------------------------------------------
def safetensors(tensors: dict[str, np.ndarray[Any, Any]], dtype: str = "F32") -> bytes:
    header, data = {}, b""
    for name, values in tensors.items():
        raw = values.tobytes()
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    head = json.dumps(header).encode()
    return struct.pack("<Q", len(head)) + head + data


WEIGHTS = {"model.embed_tokens.weight": np.ones((4, 8), np.float32), "model.layers.0.self_attn.q_proj.weight": np.ones((8, 8), np.float32)}
CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8, "vocab_size": 4, "num_hidden_layers": 1,
          "num_attention_heads": 1}


def folder(path: Path, weights: bytes | None = None, **config: Any) -> Path:
    path.mkdir()
    (path / "config.json").write_text(json.dumps(CONFIG | config))
    for name in TOKENIZER_FILES:
        shutil.copy(STARTER / name, path / name)
    (path / "model.safetensors").write_bytes(safetensors(WEIGHTS) if weights is None else weights)
    return path


def adapter(path: Path, rank: int = 2, width: int = 8, **config: Any) -> Path:
    path.mkdir()
    stem = "base_model.model.model.layers.0.self_attn.q_proj"
    weights = {f"{stem}.lora_A.weight": np.ones((rank, width), np.float32), f"{stem}.lora_B.weight": np.ones((8, rank), np.float32)}
    (path / "adapter_model.safetensors").write_bytes(safetensors(weights))
    (path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 4} | config))
    return path


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"a": 1}))
    return buffer.getvalue()


def _polyglot() -> bytes:
    """A right safetensors file whose last tensor holds a zip archive."""
    return safetensors({"a": np.ones(4, np.float32), "b": np.frombuffer(_zip() + b"\0" * (-len(_zip()) % 4), np.float32)})


def _overlap() -> bytes:
    header = {"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}, "b": {"dtype": "F32", "shape": [4], "data_offsets": [8, 24]}}
    head = json.dumps(header).encode()
    return struct.pack("<Q", len(head)) + head + b"\0" * 24


def _not_a_number(bits: int) -> bytes:
    return safetensors({"a": np.array([0x3F80, bits], np.uint16)}, "BF16")


WEIGHT_CASES = {
    "pickle named safetensors": (pickle.dumps({"weights": list(range(100))}), "model.damaged"),
    "zip named safetensors": (_zip(), "model.damaged"),
    "zip inside the last tensor": (_polyglot(), "model.polyglot"),
    "header length 2^63": (struct.pack("<Q", 2**63) + b"{}", "model.damaged"),
    "overlapping tensors": (_overlap(), "model.damaged"),
    "deep header": (struct.pack("<Q", 200_000) + b"[" * 200_000, "model.damaged"),
    "NaN": (_not_a_number(0x7FC0), "model.not_finite"),
    "infinity": (_not_a_number(0xFF80), "model.not_finite"),
}


@pytest.mark.parametrize("name", WEIGHT_CASES)
def test_bad_weights_are_refused(name: str, checker: Checker, tmp_path: Path, profile: Any) -> None:
    content, code = WEIGHT_CASES[name]
    error = refused(checker, folder(tmp_path / "model", content), profile.home)
    assert error["type"] == code
    assert error["file"].endswith("model.safetensors")


FOLDER_CASES: dict[str, tuple[Callable[[Path], Path], str, str]] = {
    "auto_map": (lambda path: folder(path, auto_map={"AutoModel": "evil.Model"}), "model.remote_code", "auto_map"),
    "_attn_implementation_internal": (lambda path: folder(path, _attn_implementation_internal="evil/kernel"), "model.remote_code",
                                      "_attn_implementation_internal"),
    "auto_map in a nested section": (lambda path: folder(path, text_config={"auto_map": {"A": "b.C"}}), "model.remote_code", "auto_map"),
}


@pytest.mark.parametrize("name", FOLDER_CASES)
def test_folder_that_asks_for_code_is_refused(name: str, checker: Checker, tmp_path: Path, profile: Any) -> None:
    make, code, field = FOLDER_CASES[name]
    error = refused(checker, make(tmp_path / "model"), profile.home)
    assert (error["type"], error["field"]) == (code, field)


def test_folder_without_the_weights_of_a_layer_is_refused(checker: Checker, tmp_path: Path, profile: Any) -> None:
    error = refused(checker, folder(tmp_path / "model", num_hidden_layers=3), profile.home)
    assert (error["type"], error["field"]) == ("model.damaged", "num_hidden_layers")
    assert "no weights for layer 1" in error["message"]


def test_linked_shard_is_refused(checker: Checker, tmp_path: Path, profile: Any) -> None:
    made = folder(tmp_path / "model")
    (made / "model.safetensors").rename(tmp_path / "secret.safetensors")
    (made / "model.safetensors").symlink_to(tmp_path / "secret.safetensors")
    assert refused(checker, made, profile.home)["type"] == "model.link"


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "..\\secret.safetensors"])
def test_index_that_leads_outside_is_refused(name: str, checker: Checker, tmp_path: Path, profile: Any) -> None:
    made = folder(tmp_path / "model")
    shutil.copy(made / "model.safetensors", tmp_path / "secret.safetensors")
    (made / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    assert refused(checker, made, profile.home)["type"] == "model.outside"


def test_folder_with_a_harmful_template_is_refused(checker: Checker, tmp_path: Path, profile: Any) -> None:
    made = folder(tmp_path / "model")
    (made / "chat_template.jinja").write_text("{{ cycler.__init__.__globals__.os.popen('id').read() }}")
    error = refused(checker, made, profile.home)
    assert error["type"] == "model.template"
    assert error["file"].endswith("chat_template.jinja")


def test_pickled_leftovers_are_neither_opened_nor_copied(checker: Checker, tmp_path: Path, profile: Any) -> None:
    made = folder(tmp_path / "model")
    for name in ("rng_state.pth", "training_args.bin", "optimizer.pt", "modeling_evil.py"):
        (made / name).write_bytes(pickle.dumps({"a": 1}))
    said = checker(made, profile.home)
    assert said["left_out"] == ["modeling_evil.py", "optimizer.pt", "rng_state.pth", "training_args.bin"]
    kept = {item.name for item in Path(said["path"]).iterdir()}
    assert kept == {"config.json", "model.safetensors", *TOKENIZER_FILES}


ADAPTER_CASES: dict[str, tuple[Callable[[Path], Path], str, str]] = {
    "rank differs": (lambda path: adapter(path, rank=3), "model.adapter_mismatch", "lora_A"),
    "base differs": (lambda path: adapter(path, width=16), "model.adapter_mismatch", "lora_A"),
    "rank 0": (lambda path: adapter(path, r=0), "model.damaged", "r"),
    "rank is a text": (lambda path: adapter(path, r="2"), "model.damaged", "r"),
    "another method": (lambda path: adapter(path, peft_type="IA3"), "model.adapter_kind", "peft_type"),
    "asks for code": (lambda path: adapter(path, auto_mapping={"parent_library": "evil"}), "model.remote_code", "auto_mapping"),
}


@pytest.mark.parametrize("name", ADAPTER_CASES)
def test_adapter_that_does_not_fit_is_refused(name: str, checker: Checker, tmp_path: Path, profile: Any) -> None:
    make, code, field = ADAPTER_CASES[name]
    error = refused(checker, make(tmp_path / "adapter"), profile.home, folder(tmp_path / "base"))
    assert error["type"] == code
    assert field in error["field"]


def test_adapter_without_its_config_is_refused(checker: Checker, tmp_path: Path, profile: Any) -> None:
    made = adapter(tmp_path / "adapter")
    (made / "adapter_config.json").unlink()
    assert refused(checker, made, profile.home, folder(tmp_path / "base"))["type"] == "model.no_adapter_config"


def test_pickled_adapter_is_refused(checker: Checker, tmp_path: Path, profile: Any) -> None:
    made = adapter(tmp_path / "adapter")
    (made / "adapter_model.safetensors").rename(made / "adapter_model.bin")
    assert refused(checker, made, profile.home, folder(tmp_path / "base"))["type"] == "model.pickle"


def test_adapter_with_nan_is_refused(checker: Checker, tmp_path: Path, profile: Any) -> None:
    made = adapter(tmp_path / "adapter")
    file = made / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-4] + struct.pack("<f", float("nan")))
    assert refused(checker, made, profile.home, folder(tmp_path / "base"))["type"] == "model.not_finite"


def test_adapter_that_fits_is_accepted(checker: Checker, tmp_path: Path, profile: Any) -> None:
    assert checker(adapter(tmp_path / "adapter"), profile.home, folder(tmp_path / "base"))["rank"] == 2


def test_adapter_alone_is_not_imported(checker: Checker, tmp_path: Path, profile: Any) -> None:
    assert refused(checker, adapter(tmp_path / "adapter"), profile.home)["type"] == "model.adapter_alone"


def test_the_list_of_bad_inputs_is_covered() -> None:
    gguf = ("0 bytes", "magic only", "version 0", "version 999", "n_tensors 2^63", "n_kv 2^63", "string longer than the file",
            "array of 2^60", "dims 0", "dims overflow", "unknown tensor type", "negative tensor type", "offset past the end",
            "alignment 0", "alignment 3", "byte token <0x-1>", "chat template SSTI", "chat template of 10 MB",
            "chat template with a huge range")
    assert set(gguf) <= set(GGUF_CASES)
    weights = {"pickle named safetensors", "zip inside the last tensor", "header length 2^63", "overlapping tensors", "NaN"}
    assert weights <= set(WEIGHT_CASES)
