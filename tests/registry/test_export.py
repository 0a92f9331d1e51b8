"""An exported file answers like the model it was made from, and one that does not is told apart."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from app.config.artifacts import Model
from app.errors import Cancelled, ConfigError, EnvironmentFault, RegistryError
from app.registry import convert, export, original, proof
from app.registry.export_node import Export, ExportParams
from app.registry.gguf_check import check_gguf
from app.registry.pass_mark import PassMark
from app.registry.prompts import packaged_questions
from tests.context import FakeContext
from tests.registry.conftest import Exported, make_adapter


@pytest.fixture(scope="session")
def case(exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> proof.Case:
    """What base and adapter say, unmerged."""
    return case_of(exported.adapter, exported.base, tmp_path_factory.mktemp("original"))


def case_of(adapter: Path, base: Path, folder: Path) -> proof.Case:
    loaded = original.load_original(adapter, base, 3_000_000)
    answered = original.answer_all(loaded, packaged_questions(2), folder, new_tokens=8, tick=lambda part: None)
    return proof.Case(original.conversations(loaded.tokenizer), original.texts(loaded.tokenizer, []), answered,
                      loaded.tokenizer.bos_token or "", 8, 1, chat=True)


def entry(exported: Exported, kind: str) -> dict[str, Any]:
    return next(one for one in exported.proof.summary["files"] if one["quantization"] == kind)


@pytest.mark.parametrize(("kind", "top1", "kl"), [("f16", 0.97, 1e-6), ("q8_0", 0.9, 1e-3), ("q4_k_m", 0.75, 1e-2)])
def test_file_agrees_with_base_and_adapter(exported: Exported, kind: str, top1: float, kl: float) -> None:
    found = entry(exported, kind)
    assert found["passed"], found["reasons"]
    assert found["top1"] >= top1
    assert 0 <= found["kl"] <= kl
    assert found["template_identical"] is True
    assert found["tokens_identical"] is True


def test_milder_quantisation_stays_closer(exported: Exported) -> None:
    divergences = [entry(exported, kind)["kl"] for kind in ("f16", "q8_0", "q4_k_m")]
    assert divergences == sorted(divergences)


def test_size_told_before_is_the_size_after(exported: Exported) -> None:
    for found in exported.proof.summary["files"]:
        assert found["estimated_size"] == pytest.approx(found["size"], rel=0.01)
    assert exported.context.said("f16 about 8 MB, q8_0 about 5 MB")


def test_smallest_file_that_passed_is_served(exported: Exported) -> None:
    smallest = min(exported.proof.summary["files"], key=lambda one: one["size"])
    assert exported.model.path == smallest["path"]
    assert exported.model.content_hash == smallest["sha256"]
    assert exported.model.details["context"] == 2048
    assert len(exported.model.details["files"]) == 3


def test_nothing_temporary_stays(exported: Exported) -> None:
    kept = {item.name for item in exported.context.outputs_dir.iterdir()}
    assert kept == {"tiny-tuned-f16.gguf", "tiny-tuned-q8_0.gguf", "tiny-tuned-q4_k_m.gguf", "proof.json"}
    assert list(exported.context.workdir.iterdir()) == []


def test_base_without_the_adapter_does_not_pass(exported: Exported, tmp_path: Path) -> None:
    """The proof would see a merge that lost the adapter: a strong one, because the tiny model's tokens hardly differ."""
    file = tmp_path / "base.gguf"
    convert.convert(exported.base, file, "f16")
    adapter = make_adapter(exported.base, tmp_path / "adapter", strength=2.0)
    found = proof.prove(file, case_of(adapter, exported.base, tmp_path / "original"), PassMark(), tmp_path / "proof")
    assert found["passed"] is False
    assert found["top1"] < 0.5
    assert any("next token" in reason for reason in found["reasons"])


def test_changed_chat_template_does_not_pass(exported: Exported, case: proof.Case, tmp_path: Path) -> None:
    file = tmp_path / "changed.gguf"
    content = Path(entry(exported, "q8_0")["path"]).read_bytes()
    assert content.count(b"You are a helpful AI assistant") == 1
    file.write_bytes(content.replace(b"You are a helpful AI assistant", b"You are a hateful AI assistant"))
    found = proof.prove(file, case, PassMark(), tmp_path / "proof")
    assert (found["template_identical"], found["passed"]) == (False, False)
    assert proof.prove(file, case, PassMark(template=False, tokens=False), tmp_path / "proof")["passed"] is True


def test_changed_vocabulary_does_not_pass(exported: Exported, case: proof.Case, tmp_path: Path) -> None:
    file = tmp_path / "changed.gguf"
    content = Path(entry(exported, "q8_0")["path"]).read_bytes()
    word, other = ((7).to_bytes(8, "little") + token.encode() for token in ("Ġquick", "Ġquxck"))
    assert content.count(word) == 1
    file.write_bytes(content.replace(word, other))
    found = proof.prove(file, case, PassMark(), tmp_path / "proof")
    assert (found["tokens_identical"], found["passed"]) == (False, False)
    assert any("tokeniser" in reason for reason in found["reasons"])


def test_file_that_crashes_the_engine_is_a_failed_proof_not_an_error(case: proof.Case, tmp_path: Path) -> None:
    file = tmp_path / "broken.gguf"
    file.write_bytes(b"GGUF" + b"\xff" * 1000)
    found = proof.prove(file, case, PassMark(), tmp_path / "proof")
    assert found["passed"] is False
    assert "did not answer with this file" in found["reasons"][0]


def test_without_llama_cpp_python_the_serving_engine_gives_nearly_the_same_figures(
    exported: Exported, case: proof.Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Path(entry(exported, "q8_0")["path"])
    exact = proof.prove(file, case, PassMark(), tmp_path / "exact")
    monkeypatch.setattr(proof, "can_quantise", lambda: False)
    coarse = proof.prove(file, case, PassMark(), tmp_path / "coarse")
    assert exact["logits"].startswith("full vocabulary")
    assert coarse["logits"].startswith("most likely")
    assert coarse["top1"] == pytest.approx(exact["top1"], abs=0.13)
    assert coarse["kl"] <= exact["kl"] + 1e-4
    assert coarse["passed"] is True


# -- figures --------------------------------------------------------------------------------------------------------------
def _log(rows: list[list[float]]) -> Any:
    return np.log(np.array(rows, dtype=np.float32))


def test_closeness_by_hand() -> None:
    ours, theirs = _log([[0.5, 0.5], [0.9, 0.1]]), _log([[0.25, 0.75], [0.8, 0.2]])
    found = proof.closeness([(ours, theirs, [0, 0])])
    first = 0.5 * np.log(2) + 0.5 * np.log(2 / 3)
    second = 0.9 * np.log(9 / 8) + 0.1 * np.log(0.5)
    assert found.kl == pytest.approx((first + second) / 2, rel=1e-5)
    assert found.top1 == 0.5
    assert found.lost == pytest.approx(np.sqrt(2 * 9 / 8) - 1, rel=1e-5)


def test_equal_models_lose_nothing() -> None:
    ours = _log([[0.5, 0.3, 0.2]])
    found = proof.closeness([(ours, ours, [2])])
    assert (found.top1, found.kl, found.lost) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize(("top1", "kl", "words"), [
    pytest.param(0.5, 0.0, "next token", id="choices"), pytest.param(1.0, 0.5, "divergence", id="divergence"),
    pytest.param(float("nan"), 0.0, "next token", id="no number"), pytest.param(1.0, float("nan"), "divergence", id="no divergence"),
])
def test_pass_mark_names_what_fell_short(top1: float, kl: float, words: str) -> None:
    close = proof.Closeness(top1, kl, 0.0, 10, 1.0)
    reasons = proof._reasons(close, True, True, PassMark())
    assert len(reasons) == 1
    assert words in reasons[0]


# -- refusals -------------------------------------------------------------------------------------------------------------
def test_quantisation_that_needs_a_compiler_is_refused_before_any_work(
    exported: Exported, store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convert, "can_quantise", lambda: False)
    context = FakeContext(store, tmp_path, inputs=exported.context.inputs)
    with pytest.raises(EnvironmentFault, match=r"q4_0.*compiler.*q8_0 or f16"):
        Export(ExportParams(quantization=["q4_0"])).run(context)
    assert context.fraction == 0.0


def test_no_disk_space_is_said_before_any_work(exported: Exported, store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil._ntuple_diskusage(10**9, 10**9, 10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(RegistryError, match="1 MB are free"):
        Export(ExportParams()).run(FakeContext(store, tmp_path, inputs=exported.context.inputs))


def test_missing_converter_names_the_remedy(exported: Exported, store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROWEAVER_SHARE", str(tmp_path / "empty"))
    with pytest.raises(EnvironmentFault, match=r"packaging/setup\.sh"):
        Export(ExportParams()).run(FakeContext(store, tmp_path, inputs=exported.context.inputs))


def test_gguf_is_not_exported_again(exported: Exported, store: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="GGUF file already"):
        Export(ExportParams()).run(FakeContext(store, tmp_path, inputs={"model": exported.model}))


def test_adapter_of_another_base_is_refused(exported: Exported, store: Any, tmp_path: Path) -> None:
    from app.errors import ModelFileError
    from tests.tiny import STARTER

    model = Model(content_hash="x", path=str(exported.adapter), format="lora", name="x", base=str(STARTER))
    with pytest.raises(ModelFileError, match="does not belong to this base"):
        Export(ExportParams()).run(FakeContext(store, tmp_path, inputs={"model": model}))


def test_conversion_that_fails_says_why_and_leaves_no_file(tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "config.json").write_text('{"architectures": ["NobodyKnowsThis"], "model_type": "x"}')
    with pytest.raises(RegistryError, match="NobodyKnowsThis"):
        convert.convert(folder, tmp_path / "odd.gguf", "f16")
    assert [item.name for item in tmp_path.iterdir() if item.suffix in (".gguf", ".log")] == []


def test_cancel_ends_the_converter(exported: Exported, tmp_path: Path) -> None:
    import psutil

    def stop() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        convert.convert(exported.base, tmp_path / "never.gguf", "f16", tick=stop)
    assert not any("convert_hf_to_gguf" in " ".join(child.cmdline()) for child in psutil.Process().children(recursive=True))
    assert list(tmp_path.glob("*.gguf")) == []


@pytest.mark.parametrize(("given", "kept"), [("q4_0", ["q4_0"]), (["f16", "q8_0", "f16"], ["f16", "q8_0"])])
def test_quantisation_may_be_one_or_many(given: Any, kept: list[str]) -> None:
    assert list(ExportParams(quantization=given).quantization) == kept


@pytest.mark.parametrize("given", ["q3_k", [], ["q8_0", "x"]])
def test_unknown_quantisation_is_refused(given: Any) -> None:
    with pytest.raises(ValidationError):
        ExportParams(quantization=given)


def test_exported_file_passes_our_own_check(exported: Exported) -> None:
    found = check_gguf(exported.model.path)
    assert (found.architecture, found.vocabulary, found.context) == ("llama", 49152, 2048)
    assert export.slug(found.name) == "tiny-tuned"


def test_converter_dies_with_its_step(exported: Exported, tmp_path: Path) -> None:
    import subprocess
    import sys
    import time

    import psutil

    from app.store.profile import project_dir

    code = ("import sys; from pathlib import Path; from app.registry.convert import convert; "
            "convert(Path(sys.argv[1]), Path(sys.argv[2]), 'f16')")
    step = subprocess.Popen([sys.executable, "-c", code, str(exported.base), str(tmp_path / "x.gguf")], cwd=project_dir())
    parent, limit = psutil.Process(step.pid), time.monotonic() + 20
    while not (children := [one for one in parent.children() if "convert_hf_to_gguf" in " ".join(one.cmdline())]):
        assert time.monotonic() < limit, "the converter did not start"
        time.sleep(0.05)
    step.kill()
    step.wait()
    left = psutil.wait_procs(children, timeout=2)[1]
    assert [one for one in left if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []  # dead, perhaps not yet reaped
