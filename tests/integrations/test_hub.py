"""The Hub, against a fake on the loopback that the official client understands: search, fetch, resume, refuse."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.config.document import load_text
from app.errors import Cancelled, EnvironmentFault, NeuroWeaverError, UsageError
from app.integrations import hub
from app.integrations.download_node import Download, DownloadParams
from app.store import Store, settings
from app.workflow import registry
from tests.context import FakeContext
from tests.integrations.hub_fake import COMMIT, Hub
from tests.tiny import tiny_llama

REPO = "someone/tiny-model"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tiny_llama(tmp_path_factory.mktemp("tiny"))
    files = {file.name: file.read_bytes() for file in Path(folder).iterdir() if file.is_file()}
    return files | {"pytorch_model.bin": b"\x80\x04pickle", "modeling_evil.py": b"import os", "README.md": b"---\nlicense: apache-2.0\n---\n"}


@pytest.fixture
def fake(weights: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    made = Hub({REPO: dict(weights), "someone/only-pickle": {"config.json": b"{}", "pytorch_model.bin": b"x"}, "someone/gated": dict(weights)},
               gated={"someone/gated"})
    made.start()
    monkeypatch.setenv("NEUROWEAVER_HUB", made.url)
    monkeypatch.setattr(hub, "WAIT_SECONDS", 0.01)
    yield made
    made.stop()


def quiet(_part: float, _words: str) -> None:
    pass


def test_the_official_client_understands_the_fake(fake: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    from huggingface_hub import HfApi, hf_hub_download

    api = HfApi(endpoint=fake.url)
    assert [one.id for one in api.list_models(search="tiny")] == [REPO]
    info = api.model_info(REPO, files_metadata=True)
    assert info.sha == COMMIT
    weights = next(one for one in info.siblings or () if one.rfilename == "model.safetensors")
    file = hf_hub_download(REPO, "model.safetensors", endpoint=fake.url, cache_dir=tmp_path)
    assert weights.lfs is not None
    assert Path(file).stat().st_size == weights.lfs.size


def test_a_search_finds_models_with_size_and_licence(fake: Hub, store: Store) -> None:
    found = hub.search(store, "tiny")
    assert [(one.repo, one.licence, one.gated) for one in found] == [(REPO, "apache-2.0", False)]
    assert found[0].parameters > 1000


def run(store: Store, tmp_path: Path, **params: str) -> tuple[dict, FakeContext]:
    ctx = FakeContext(store, tmp_path)
    return Download(DownloadParams(**{"repo": REPO, **params})).run(ctx), ctx


def test_a_model_is_fetched_without_pickle_and_code(fake: Hub, store: Store, tmp_path: Path, weights: dict[str, bytes]) -> None:
    made, ctx = run(store, tmp_path)
    folder = Path(made["model"].path)
    names = {file.name for file in folder.iterdir()}
    assert {"config.json", "model.safetensors", "README.md"} <= names
    assert not [name for name in names if name.endswith((".bin", ".py", ".part"))]
    assert (folder / "model.safetensors").read_bytes() == weights["model.safetensors"]
    assert made["model"].details["revision"] == COMMIT
    assert ctx.said("MB")


def test_a_broken_connection_is_gone_on_with_where_it_stopped(fake: Hub, store: Store, tmp_path: Path, weights: dict[str, bytes]) -> None:
    fake.cut_after = 5000
    made, _ = run(store, tmp_path)
    assert (Path(made["model"].path) / "model.safetensors").read_bytes() == weights["model.safetensors"]
    gets = [path for method, path in fake.asked if method == "GET" and path.endswith("model.safetensors")]
    assert len(gets) == 4, "two tries, each with its redirect"


def test_a_paused_download_keeps_its_part_and_ends_as_the_whole(fake: Hub, store: Store, tmp_path: Path, weights: dict[str, bytes],
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "CHUNK", 4096)
    ctx = FakeContext(store, tmp_path)
    ctx.cancel = lambda: "pause" if "model.safetensors" in ctx.message and ctx.fraction > 0.4 else None
    with pytest.raises(Cancelled):
        Download(DownloadParams(repo=REPO)).run(ctx)
    part = ctx.outputs_dir / COMMIT / "model.safetensors.part"
    assert 0 < part.stat().st_size < len(weights["model.safetensors"])
    fake.asked.clear()
    made, _ = run(store, tmp_path)
    assert (Path(made["model"].path) / "model.safetensors").read_bytes() == weights["model.safetensors"]
    assert not [path for _, path in fake.asked if path.endswith("config.json")], "what is there is not fetched again"


def test_a_busy_hub_is_asked_again(fake: Hub, store: Store, tmp_path: Path) -> None:
    wanted = hub.listing(REPO)
    fake.busy = 3
    assert hub.listing(REPO) == wanted
    fake.busy = 3
    hub.fetch(wanted, tmp_path / "model", quiet)
    assert (tmp_path / "model" / "config.json").is_file()


@pytest.mark.parametrize(("params", "code"), [
    ({"repo": "someone/only-pickle"}, "hub.no_weights"), ({"repo": "someone/gated"}, "hub.gated"), ({"repo": "someone/nothing"}, "hub.unknown"),
    ({"repo": "../../etc"}, "hub.name"), ({"repo": REPO, "revision": "../x"}, "hub.name")])
def test_what_cannot_be_fetched_says_why(fake: Hub, store: Store, tmp_path: Path, params: dict[str, str], code: str) -> None:
    with pytest.raises(UsageError) as caught:
        run(store, tmp_path, **params)
    assert caught.value.code == code
    assert caught.value.remedy


def test_a_file_that_is_not_what_the_hub_states_is_thrown_away(fake: Hub, store: Store, tmp_path: Path) -> None:
    fake.wrong = {"model.safetensors"}
    with pytest.raises(EnvironmentFault, match="did not arrive") as caught:
        run(store, tmp_path)
    assert caught.value.code == "hub.damaged"
    assert not list(tmp_path.rglob("model.safetensors*"))
    fake.wrong = set()
    run(store, tmp_path)


def test_too_little_room_is_said_before_anything_is_fetched(fake: Hub, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub.shutil, "disk_usage", lambda _path: type("Usage", (), {"free": 1000})())
    with pytest.raises(EnvironmentFault, match="too little room"):
        run(store, tmp_path)
    assert not [path for _, path in fake.asked if "/resolve/" in path]


def test_nobody_there_is_said_in_time(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROWEAVER_HUB", "http://127.0.0.1:9")
    began = time.monotonic()
    with pytest.raises(NeuroWeaverError) as caught:
        run(store, tmp_path)
    assert caught.value.code == "hub.unreachable"
    assert time.monotonic() - began < 20


def test_offline_mode_refuses_before_any_connection(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROWEAVER_HUB", "https://hub.example")
    for act in (lambda: hub.search(store, "x"), lambda: run(store, tmp_path), lambda: hub.submit(store, REPO)):
        with pytest.raises(UsageError, match="Offline mode is on"):
            act()
    settings.put(store, "offline", False)
    assert "hub.download" in hub.submit(store, REPO)


def test_the_workflow_of_a_download_is_valid() -> None:
    document = load_text(hub.document(REPO), registry.find)
    assert [step.node for step in document.steps.values()] == ["hub.download", "model.register"]
