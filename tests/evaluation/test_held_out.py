"""What is measured was never trained on, even where an artifact does not count its splits."""

from __future__ import annotations

import pytest

from app.errors import DatasetError
from app.store.records import Row
from app.training.qlora_node import QloraParams
from app.training.session import prepare
from tests.context import FakeContext, make_rows


def chat(number: int, split: str) -> Row:
    return Row("chat", [{"role": "user", "content": f"Question {number}"}, {"role": "assistant", "content": f"Answer {number}"}],
               split=split)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    from tests.tiny import tiny_llama

    return tiny_llama(tmp_path_factory.mktemp("tiny") / "base")


@pytest.mark.parametrize(("splits", "counted", "trained"), [
    pytest.param(["train"] * 5 + ["test"] * 3 + ["calibration"] * 2, True, 5, id="counted"),
    pytest.param([""] * 6, True, 6, id="no split at all"),
    pytest.param([""] * 6, False, 6, id="no split at all, not counted"),
    pytest.param([""] * 4 + ["test"] * 3, False, 4, id="test rows beside rows without a split, not counted"),
])
def test_training_reads_training_rows_alone(store, tmp_path, base, splits, counted, trained):
    rows = make_rows(store, [chat(number, split) for number, split in enumerate(splits)])
    if not counted:
        rows = rows.model_copy(update={"splits": {}})
    ctx = FakeContext(store, tmp_path, inputs={"rows": rows}, base_model=str(base))
    assert len(prepare(ctx, QloraParams(eval_rows=0)).train.examples) == trained


@pytest.mark.parametrize("counted", [True, False])
def test_test_rows_alone_are_nothing_to_train_on(store, tmp_path, base, counted):
    rows = make_rows(store, [chat(number, "test") for number in range(3)])
    ctx = FakeContext(store, tmp_path, inputs={"rows": rows if counted else rows.model_copy(update={"splits": {}})},
                      base_model=str(base))
    with pytest.raises(DatasetError, match="nothing to train on"):
        prepare(ctx, QloraParams(eval_rows=0))
