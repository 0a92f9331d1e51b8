"""The folder that was chosen at the first start is used from then on; where it is missing, nothing is begun in its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import StoreError
from app.store import Profile
from app.store.places import choose_home, drives, is_first_start
from app.store.profile import platform_folder, pointer_file


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.delenv("NEUROWEAVER_HOME", raising=False)
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "user"))
    return tmp_path


def test_the_first_start_is_known_and_ends_with_a_choice(fresh: Path) -> None:
    assert is_first_start()
    choose_home(fresh / "drive" / "NeuroWeaver")
    assert not is_first_start()
    assert Profile.default().home == fresh / "drive" / "NeuroWeaver"
    Profile.default().create()


def test_the_standard_place_needs_no_note() -> None:
    choose_home(platform_folder())
    assert not pointer_file().exists()
    assert Profile.default().home == platform_folder()


def test_a_variable_goes_before_the_choice(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    choose_home(fresh / "drive")
    monkeypatch.setenv("NEUROWEAVER_HOME", str(fresh / "other"))
    assert Profile.default().home == fresh / "other"


def test_a_drive_that_is_gone_is_told_and_no_new_store_begun(fresh: Path) -> None:
    chosen = choose_home(fresh / "drive")
    for folder in sorted(chosen.home.rglob("*"), reverse=True):
        folder.rmdir()
    chosen.home.rmdir()
    with pytest.raises(StoreError, match="not there") as caught:
        Profile.default().create()
    assert caught.value.code == "store.home_missing"
    assert not chosen.home.exists()


def test_a_folder_that_cannot_be_made_is_refused_and_not_kept(fresh: Path) -> None:
    (fresh / "file").write_text("")
    with pytest.raises(StoreError):
        choose_home(fresh / "file" / "inside")
    assert is_first_start()


def test_drives_begin_with_the_standard_place() -> None:
    found = drives()
    assert found[0].standard
    assert found[0].home == platform_folder()
    assert 0 < found[0].free <= found[0].total
    assert all(not one.standard for one in found[1:])
