"""A store that a whole file shares, so that a model is loaded once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.store import Profile, Store


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The catalogue of a profile of its own."""
    home = tmp_path_factory.mktemp("serving") / "profile"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEUROWEAVER_HOME", str(home))
        patch.setenv("NEUROWEAVER_KEYRING", "off")
        patch.delenv("NEUROWEAVER_PASSPHRASE", raising=False)
        with Store.open(Profile(home)) as opened:
            yield opened
