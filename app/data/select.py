"""Choose rows to train on: what passes the limits, in the order of a method, as far as the budget reaches."""

from __future__ import annotations

import hashlib
import json
import statistics
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from app.config.node import StepContext
from app.data import sampling
from app.data.derive import at_row
from app.data.embedding import RowVectors, Vectors, text_vectors
from app.data.export import find_version
from app.data.labels import label_values
from app.data.lookup import Marked, scores_at
from app.data.rowtext import in_blocks
from app.errors import Place, UsageError
from app.store import Store
from app.store.datasets import DatasetDb, open_dataset
from app.store.records import Row

if TYPE_CHECKING:
    from app.data.select_node import SelectParams

MOST_QUERIES = 200
BLOCK, TELL_ROWS = 512, 5_000
RUNS_LOOKED_AT = 50
SPARE = 1.5
"""Rows put in order first for a budget in tokens, for each that an average row would need: those chosen may be shorter."""
T = TypeVar("T")
Numbers = npt.NDArray[np.int64]
MOST_STRATA = 100_000
SCORES_AT_ONCE = 5_000


@dataclass(frozen=True)
class Limit:
    """One score's bound and the rows beyond it: their positions, in order, and their scores."""

    words: str
    bound: float
    positions: Numbers
    values: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Choice:
    """What was chosen among the rows of one split.

    split: theirs.  chosen: their positions in the order of choice.  beyond: what the limits took out.
    limit: what ended the choice, in words; "" if nothing did.
    """

    split: str
    chosen: Numbers
    beyond: list[Limit]
    failed: int
    tokens: int | None
    limit: str

    def marked(self) -> Marked:
        """The positions of the chosen rows, for looking up."""
        return Marked(self.chosen)

    def why_not(self, position: int) -> str:
        """In words, for a row that was not chosen: the first limit that it failed, or the end of the budget."""
        for one in self.beyond:
            place = int(np.searchsorted(one.positions, position))
            if place < len(one.positions) and one.positions[place] == position:
                return f"{one.words.format(one.values[place])} {one.bound:g}"
        return f"beyond {self.limit or 'the range'}"


class Selection:
    """One selection on its way.  base: the folder of the base model, asked for only if it is needed."""

    def __init__(self, ctx: StepContext, db: DatasetDb, version: int, params: SelectParams, base: Callable[[], Path]) -> None:
        self._ctx, self._db, self._version, self._params, self._base = ctx, db, version, params, base
        self._split = "train" if self._has("train") else ""  # calibration and test rows are never touched
        self._positions: Numbers = np.zeros(0, np.int64)

    def _has(self, split: str) -> bool:
        sql = "SELECT 1 FROM version_rows WHERE version = ? AND split = ? AND state = 'kept' LIMIT 1"
        return self._db.conn.execute(sql, (self._version, split)).fetchone() is not None

    def choose(self) -> Choice:
        """Raises UsageError where a score, a column, a speed or a query set that the parameters name is not there."""
        every = np.array([position for (position,) in self._db.conn.execute(
            "SELECT position FROM version_rows WHERE version = ? AND split = ? AND state = 'kept' ORDER BY position",
            (self._version, self._split))], np.int64)
        beyond = self._beyond(every)
        failed = np.unique(np.concatenate([np.zeros(0, np.int64), *(one.positions for one in beyond)]))
        self._positions = np.setdiff1d(every, failed, assume_unique=True)
        if not len(self._positions):
            raise UsageError("select.nothing_left", "No row passes the limits; no version was made.",
                             why=f"{len(failed):,} rows were looked at.", remedy="Relax at_least and at_most.")
        budget = self._params.budget
        tokens = self._count_tokens() if budget.tokens or budget.minutes else None
        rows, most_tokens, limit = self._limits(tokens)
        if tokens is None:
            chosen = self._order(rows)[:rows]
        else:
            chosen = self._enough(tokens, most_tokens, rows)
            total = np.cumsum(tokens[chosen])
            chosen = chosen[: int(np.searchsorted(total, most_tokens, side="right"))]
            if not len(chosen):
                raise UsageError("select.budget", "The budget is smaller than a single row.",
                                 why=f"It is {most_tokens:,} tokens.", remedy="Raise budget.tokens or budget.minutes.")
        spent = int(tokens[chosen].sum()) if tokens is not None else None
        return Choice(self._split, self._positions[chosen], beyond, len(failed), spent, limit if len(chosen) < len(self._positions) else "")

    def _enough(self, tokens: Numbers, most: int, rows: int) -> Numbers:
        """The beginning of the order that takes at least so many tokens, or all of it up to so many rows."""
        reach = min(rows, int(SPARE * most / float(tokens.mean())) + 1)
        while True:
            order = self._order(reach)[:rows]
            if reach == rows or tokens[order].sum() >= most:
                return order
            reach = min(rows, 2 * reach)

    # -- limits -----------------------------------------------------------------------------------------------------------
    def _beyond(self, every: Numbers) -> list[Limit]:
        """What the limits take out.  A row without the score passes: what was not measured is not held against it."""
        found = []
        for name, bound in self._params.at_least.items():
            values = self._scores(name, every)
            found.append(Limit(f"{name} {{:.3g}} is under", bound, every[values < bound], values[values < bound]))
        for name, bound in self._params.at_most.items():
            values = self._scores(name, every)
            found.append(Limit(f"{name} {{:.3g}} is over", bound, every[values > bound], values[values > bound]))
        return found

    def _scores(self, name: str, positions: Numbers) -> npt.NDArray[np.float64]:
        found = scores_at(self._db, self._version, name, positions)
        if len(found) and not np.isfinite(found).any():
            raise UsageError(
                "select.no_score", f"The rows have no score {name!r}.", where=Place.of(field=name),
                why="No step has measured it." if name != "ifd" else "Difficulty is measured only if data.assess is asked to.",
                remedy="Put data.assess before this step" + (" with difficulty: {rows: 1000}." if name == "ifd" else "."))
        return found

    # -- budget -----------------------------------------------------------------------------------------------------------
    def _limits(self, tokens: npt.NDArray[np.int64] | None) -> tuple[int, int, str]:
        """(rows, tokens, the limit in words): the smallest of those that are set."""
        budget, count = self._params.budget, len(self._positions)
        rows, limit = count, ""
        by_share = round(budget.share * count)
        for wanted, words in ((budget.rows, f"{budget.rows:,} rows"), (by_share, f"{100 * budget.share:g} % of the rows")):
            if wanted and wanted < rows:
                rows, limit = wanted, words
        if tokens is None:
            return max(rows, 1), 0, limit
        most, limit = budget.tokens or 2**62, f"{budget.tokens:,} tokens" if budget.tokens else limit
        if budget.minutes:
            speed = measured_speed(self._ctx.store, self._base().name)
            afforded = int(60 * budget.minutes * speed / self._params.budget.epochs)
            if afforded < most:
                most, limit = afforded, f"{budget.minutes:g} minutes at {speed:,.0f} tokens/s, as measured here"
        return max(rows, 1), most, limit

    def _count_tokens(self) -> npt.NDArray[np.int64]:
        """Tokens of each row in the base model's template, as in training."""
        from transformers import AutoTokenizer

        tokenizer: Any = AutoTokenizer.from_pretrained(str(self._base()), local_files_only=True, trust_remote_code=False)
        counts = array("q")
        for rows in in_blocks(self._rows(), BLOCK):
            texts = [self._of(row, lambda row: _rendered(row, tokenizer)) for row in rows]
            counts.extend(map(len, tokenizer(texts, add_special_tokens=False)["input_ids"]))
            self._ctx.progress(0.1 * len(counts) / len(self._positions), f"{len(counts):,} rows counted in tokens")
        return np.array(counts, np.int64)

    def _of(self, row: Row, make: Callable[[Row], T]) -> T:
        with at_row("data.select", row.position):
            return make(row)

    # -- order ------------------------------------------------------------------------------------------------------------
    def _order(self, wanted: int) -> Numbers:
        """Indices into the positions, the first to choose first."""
        params, count, seed = self._params, len(self._positions), self._ctx.seed
        if params.method == "random":
            return sampling.shuffled(count, seed)
        if params.method == "stratified":
            return sampling.stratified(self._strata(), seed, equal=params.balance == "equal")
        if params.method == "difficulty":
            values = self._scores(params.difficulty.score, self._positions)
            return sampling.mid_range(values, params.difficulty.low, params.difficulty.high, seed)
        if params.method == "similar":
            return self._similar(wanted)
        texts = text_vectors(self._db, whole_text, self._ctx.check_cancelled)
        if params.method == "diverse":
            return sampling.k_center(self._vectors(texts), count, wanted / count, seed,
                                     lambda share: self._ctx.progress(0.1 + 0.75 * share, "Choosing rows far from each other"))
        number = params.clusters or max(2, round(np.sqrt(wanted)))
        groups = sampling.clusters(lambda: self._vectors(texts), count, number, seed, self._ctx.check_waiting)
        return sampling.stratified(groups, seed, equal=True)

    def _strata(self) -> Numbers:
        by, names, codes = self._params.by, dict[str, int](), array("q")
        for rows in in_blocks(self._rows(), TELL_ROWS):
            codes.extend(names.setdefault(self._of(row, lambda row: _stratum(row, by)), len(names)) for row in rows)
            if len(names) > MOST_STRATA:
                raise UsageError("select.too_many_values", f"{by!r} has more than {MOST_STRATA:,} different values." if by else
                                 f"There are more than {MOST_STRATA:,} different answers.", where=Place.of(field="by"),
                                 remedy="Divide by a column with few values, such as a label.")
            self._ctx.progress(0.1 + 0.7 * len(codes) / len(self._positions), f"{len(codes):,} of {len(self._positions):,} rows read")
        return np.array(codes, np.int64)

    def _similar(self, wanted: int) -> Numbers:
        """RDS+: by likeness to the query set in the base model's own states."""
        from app.data.base_model import BaseReader

        folder, loaded = self._base(), list[BaseReader]()

        def encode(rows: list[Row]) -> Vectors:
            if not loaded:
                self._ctx.progress(0.1, "Loading the base model")
                loaded.append(BaseReader(self._ctx.store, folder))
            return loaded[0].represent(rows, self._ctx.check_cancelled)

        kind = f"rds:{_model_mark(folder)}"
        with query_rows(self._ctx.store, self._db, self._version, self._params.like, self._ctx.seed) as (db, queries):
            alike = np.concatenate([vectors for _, vectors in RowVectors(db, kind, encode).blocks(queries)])
        vectors = self._vectors(RowVectors(self._db, kind, encode))
        order, likeness = sampling.nearest_to_queries(vectors, len(self._positions), alike, wanted, self._ctx.check_cancelled)
        done = 0
        for block in in_blocks(self._rows(), SCORES_AT_ONCE):
            values = likeness[done : done + len(block)]
            self._db.put_scores((row.hash, "rds", float(value)) for row, value in zip(block, values, strict=True))
            done += len(block)
            self._ctx.progress(0.85, f"{done:,} of {len(likeness):,} rows: their likeness kept")
        return order

    # -- rows -------------------------------------------------------------------------------------------------------------
    def _rows(self) -> Iterator[Row]:
        """The rows at the positions, in order."""
        wanted = Marked(self._positions)
        return (row for row in self._db.iter_rows(self._version, self._split) if row.position in wanted)

    def _vectors(self, source: RowVectors) -> Iterator[Vectors]:
        done = 0
        for rows, vectors in source.blocks(self._rows()):
            done += len(rows)
            self._ctx.progress(0.1 + 0.75 * done / len(self._positions), f"{done:,} of {len(self._positions):,} rows read")
            yield vectors


@contextmanager
def query_rows(store: Store, db: DatasetDb, version: int, like: str, seed: int) -> Iterator[tuple[DatasetDb, list[Row]]]:
    """The query set with its database: the calibration rows of this version, or rows of the newest version of another dataset."""
    if like == "calibration":
        yield db, _spread(db, version, "calibration", like, seed)
        return
    if like in ("test", "train"):
        raise UsageError("select.query_split", f"The {like} rows cannot be the query set.", where=Place.of(field="like"),
                         why="Test rows would no longer be unseen; training rows are what is chosen from.",
                         remedy="Use calibration, or name another dataset.")
    dataset, newest = find_version(store, like, None)
    with open_dataset(store, dataset) as other:
        yield other, _spread(other, newest, None, like, seed)


def _spread(db: DatasetDb, version: int, split: str | None, like: str, seed: int) -> list[Row]:
    every = [row for row in db.iter_rows(version, split) if row.split != "test"]
    if not every:
        raise UsageError("select.no_queries", f"The query set {like!r} has no row.", where=Place.of(field="like"),
                         remedy="Hold rows back for calibration, or name another dataset.")
    return [every[number] for number in sorted(sampling.shuffled(len(every), seed)[:MOST_QUERIES])]


def whole_text(row: Row) -> str:
    """Question and answer, for the encoder."""
    return "\n".join([*(message["content"] for message in row.messages if message["role"] != "system"), row.text, row.chosen]).strip()


def _stratum(row: Row, by: str) -> str:
    """The value of a column, or of the answer's label field of that name."""
    if by in row.meta:
        return str(row.meta[by])
    labels = label_values(row.answer)
    if by in labels:
        return labels[by]
    raise UsageError("select.no_column", f"Row {row.position} has no column or label {by!r} to divide by." if by else
                     f"The answer of row {row.position} is no label to divide by.", where=Place.of(field="by"),
                     remedy="Name a column that every row has, or a field of its JSON answer.")


def _rendered(row: Row, tokenizer: Any) -> str:
    if row.shape == "text":
        return row.text
    answer = [{"role": "assistant", "content": row.answer}]
    if tokenizer.chat_template:
        return str(tokenizer.apply_chat_template([*row.prompt, *answer], tokenize=False))
    return "\n".join(message["content"] for message in [*row.prompt, *answer])


def _model_mark(folder: Path) -> str:
    """Tells one model folder from another."""
    files = sorted((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in folder.glob("*.safetensors"))
    return hashlib.sha256(json.dumps([str(folder), files]).encode()).hexdigest()[:12]


def measured_speed(store: Store, model: str) -> float:
    """Training tokens a second of the newest training of this model on this machine: the median of its steps, the first left out.

    Raises UsageError if it was never trained here: an assumed speed would be no budget.
    """
    said = store.rows("SELECT run, step, data FROM events WHERE kind = 'estimate' ORDER BY id DESC LIMIT ?", (RUNS_LOOKED_AT,))
    for event in said:
        data = json.loads(event["data"] or "{}")
        if (data.get("setting") or {}).get("model") != model:
            continue
        rows = store.rows("SELECT value FROM metrics WHERE run = ? AND step = ? AND name = 'train.tokens_per_second' ORDER BY id",
                          (event["run"], event["step"]))
        if len(rows) > 1:
            return statistics.median(float(row["value"]) for row in rows[1:])
    raise UsageError("select.no_speed", "A budget in minutes needs a measured speed, and there is none yet.",
                     where=Place.of(field="budget.minutes"), why=f"{model} was not trained on this machine before.",
                     remedy="Train once (a few steps will do), or give the budget in rows or tokens.")
