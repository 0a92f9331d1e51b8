"""Measure every row of a version: scores by row content, and the report of the whole.

No row is changed and no version is made: scores follow a row's content into every version.  Memory holds one number a measure
and row (some 60 MB for a million rows) and blocks of rows.  Costly scores (relevance, difficulty) are kept as they are made; the
same step goes on with them after a stop.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import orjson

from app.config.node import StepContext, version_of
from app.data import quality
from app.data.derive import at_row
from app.data.embedding import Encoder
from app.data.frame import SAMPLE, Frame
from app.data.labels import MOST_FIT, LabelModels
from app.data.measures import BY_NAME
from app.data.patience import patiently
from app.data.quality import Languages, Values
from app.data.relevance import Relevance
from app.data.rowtext import in_blocks
from app.data.spread import count_kept, sample_rows, spread
from app.errors import DatasetError, Place
from app.store.datasets import DatasetDb
from app.store.records import Row

if TYPE_CHECKING:
    from app.data.assess_node import AssessParams

BLOCK, SOME = 256, 64
WRITTEN = 20_000
"""Scores put in by one transaction."""
LANGUAGE_SHARE = 0.1
WORST = 20
POOR = 0.5
"""Quality under which a row is worth a look."""
EVERY_ROW = ("length", "language", "repetition", "encoding", "complete", "overlap", "agreement", "toxicity")


def assess(ctx: StepContext, db: DatasetDb, version: int, params: AssessParams, base: Callable[[], Path]) -> dict[str, Any]:
    """Score all kept rows of a version; returns the report.  base: the folder of the base model, asked for only if it is needed."""
    return _Assessing(ctx, db, version, params, base).run()


class _Assessing:
    """One assessment on its way.  ``_scores[name][i]`` belongs to the i-th kept row."""

    def __init__(self, ctx: StepContext, db: DatasetDb, version: int, params: AssessParams, base: Callable[[], Path]) -> None:
        self._ctx, self._db, self._version, self._params, self._base = ctx, db, version, params, base
        self._total = count_kept(db, version)
        if not self._total:
            raise DatasetError("dataset.no_rows", "There is no row to assess.", where=Place.of(field=f"version {version}"),
                               remedy="Choose a version that keeps rows.")
        self._positions = np.zeros(self._total, np.int64)
        self._scores: dict[str, Values] = {}
        self._languages: Counter[str] = Counter()
        self._notes: list[str] = []
        self._tokens = 0
        self._asked: dict[str, Any] | None = None

    def run(self) -> dict[str, Any]:
        with _Kept(self._db, self._ctx.workdir / "assess.json", self._key()) as kept:
            self._ctx.progress(0.0, "Looking at a sample")
            sample = sample_rows(self._db, self._version, SAMPLE, self._ctx.seed)
            frame = patiently(lambda: Frame.of(sample), self._ctx.check_waiting)
            self._look_at_all(sample, frame)
            if self._params.relevance.rows:
                self._relevance(kept, sample, frame)
            if self._params.difficulty.rows:
                self._difficulty(kept)
            if self._params.judge.rows:
                self._judge(kept)
            made = quality.parts(self._scores)
            self._scores["quality"] = quality.weakest(made)
            self._write()
        return self._report(made)

    def _key(self) -> str:
        named = [version_of("data.assess"), self._params.model_dump(mode="json"), self._version, self._ctx.seed, self._ctx.base_model]
        return hashlib.sha256(orjson.dumps(named)).hexdigest()

    # -- every row --------------------------------------------------------------------------------------------------------
    def _look_at_all(self, sample: list[Row], frame: Frame) -> None:
        languages = patiently(lambda: _languages(sample, frame, self._params.languages), self._ctx.check_waiting)
        labels = self._label_models(frame) if self._params.labels else None
        for name in EVERY_ROW:
            self._scores[name] = np.full(self._total, np.nan, np.float32)
        done = 0
        for rows in in_blocks(self._db.iter_rows(self._version), BLOCK):
            place = slice(done, done + len(rows))
            self._positions[place] = [row.position for row in rows]
            questions = [frame.question(row) for row in rows]
            self._texts(place, rows, questions, languages, frame)
            if labels is not None and labels.fields:
                self._scores["agreement"][place] = labels.agreement(questions, [row.answer for row in rows])
            done += len(rows)
            self._ctx.progress(0.6 * done / self._total, f"{done:,} of {self._total:,} rows measured")
        if labels is not None and not labels.fields:
            self._notes.append("The answers are no labels, so their agreement was not measured.")

    def _label_models(self, frame: Frame) -> LabelModels:
        self._ctx.progress(0.01, "Learning the labels")
        rows = sample_rows(self._db, self._version, MOST_FIT, self._ctx.seed)
        questions, answers = [frame.question(row) for row in rows], [row.answer for row in rows]
        return patiently(lambda: LabelModels(questions, answers, self._ctx.seed), self._ctx.check_waiting)

    def _texts(self, place: slice, rows: list[Row], questions: list[str], languages: Languages, frame: Frame) -> None:
        for number, row, question in zip(range(place.start, place.stop), rows, questions, strict=True):
            with at_row("data.assess", row.position, "no score was changed"):
                told, self._scores["language"][number] = _language(question, row.answer, languages)
                self._languages[told or "unknown"] += 1
                for name, value in _of_text(row, question, frame.words).items():
                    self._scores[name][number] = value
                if self._params.toxicity:
                    self._scores["toxicity"][number] = quality.toxicity(f"{question}\n{row.answer}")

    # -- some rows --------------------------------------------------------------------------------------------------------
    def _relevance(self, kept: _Kept, sample: list[Row], frame: Frame) -> None:
        """By the packaged encoder."""
        made: list[Relevance] = []

        def fits(rows: list[Row]) -> Values:
            if not made:
                made.append(Relevance(Encoder(self._ctx.store), [row.answer for row in sample if row.prompt]))
            return made[0].scores([frame.question(row) if row.prompt else "" for row in rows], [row.answer for row in rows])

        self._some("relevance", self._params.relevance.rows, kept, fits, (0.6, 0.2))

    def _difficulty(self, kept: _Kept) -> None:
        """IFD by the base model."""
        from app.data.base_model import BaseReader

        reader: list[BaseReader] = []

        def make(rows: list[Row]) -> Values:
            if not reader:
                self._ctx.progress(0.8, "Loading the base model")
                reader.append(BaseReader(self._ctx.store, self._base()))
            return reader[0].ifd(rows, self._ctx.check_cancelled)

        self._some("ifd", self._params.difficulty.rows, kept, make, (0.8, 0.1))
        self._tokens = reader[0].tokens if reader else 0

    def _judge(self, kept: _Kept) -> None:
        """Grades by a served model."""
        from app.data.judging import Judge

        judge = Judge(self._ctx, self._params.judge.model, self._params.judge.rubric)
        try:
            self._some("judge", self._params.judge.rows, kept, judge.scores, (0.9, 0.05))
        finally:
            self._asked = judge.usage()
            judge.close()

    def _some(self, name: str, most: int, kept: _Kept, make: Callable[[list[Row]], Values], bar: tuple[float, float]) -> None:
        """Score a spread of rows.  bar: start and width on the progress bar."""
        found, done, count = np.full(self._total, np.nan, np.float32), 0, min(most, self._total)
        for rows in in_blocks(spread(self._db, self._version, most, self._ctx.seed), SOME):
            places = np.searchsorted(self._positions, [row.position for row in rows])
            found[places] = kept.or_make(rows, name, make)
            done += len(rows)
            self._ctx.progress(bar[0] + bar[1] * done / count, f"{BY_NAME[name].title}: {done:,} of about {count:,} rows")
        self._scores[name] = found

    # -- ending -----------------------------------------------------------------------------------------------------------
    def _write(self) -> None:
        """Put all scores in, one measure after the other, because an index goes by measure; what an earlier assessment said of
        these rows by the same measures goes."""
        kept = self._db.conn.execute("SELECT row FROM version_rows WHERE version = ? AND state = 'kept' ORDER BY position",
                                     (self._version,))
        rows = np.fromiter((row for (row,) in kept), np.int64, self._total)
        for place, (name, values) in enumerate(self._scores.items()):
            self._forget(name, rows[~np.isfinite(values)])
            for start in range(0, self._total, WRITTEN):
                part = slice(start, start + WRITTEN)
                self._put(name, rows[part], values[part])
                share = (place + min(start + WRITTEN, self._total) / self._total) / len(self._scores)
                self._ctx.progress(0.95 + 0.05 * share, f"Keeping the scores: {BY_NAME[name].title.lower()}")

    def _forget(self, name: str, rows: npt.NDArray[np.int64]) -> None:
        """Take a score of rows out, before any is put in: rows of equal content share theirs, and it may be known of one alone."""
        if self._db.conn.execute("SELECT 1 FROM scores WHERE name = ? LIMIT 1", (name,)).fetchone() is None:
            return
        for start in range(0, len(rows), WRITTEN):
            with self._db.write() as conn:
                conn.executemany("DELETE FROM scores WHERE row = ? AND name = ?",
                                 ((row, name) for row in rows[start : start + WRITTEN].tolist()))
            self._ctx.check_cancelled()

    def _put(self, name: str, rows: npt.NDArray[np.int64], values: Values) -> None:
        known = np.isfinite(values)
        with self._db.write() as conn:
            conn.executemany("INSERT OR REPLACE INTO scores (row, name, value) VALUES (?, ?, ?)",
                             ((row, name, value) for row, value in zip(rows[known].tolist(), values[known].tolist(), strict=True)))

    def _report(self, made: dict[str, Values]) -> dict[str, Any]:
        values = self._scores["quality"]
        score, each = quality.dataset_score(made, values)
        worst = np.argsort(values, kind="stable")[:WORST]
        return {
            "rows": self._total, "score": round(score, 2), "parts": {name: round(value, 2) for name, value in each.items()},
            "formula": "score = 100 x mean over rows of the smallest part; part = 100 x its mean over the rows that have it",
            "poor": int((values < POOR).sum()), "poor_under": POOR,
            "measures": {name: _measure(name, found) for name, found in self._scores.items() if np.isfinite(found).any()},
            "languages": dict(self._languages.most_common(20)),
            "worst": [{"position": int(self._positions[number]), "quality": round(float(values[number]), 4),
                       "part": _weakest_name(made, int(number))} for number in worst],
            "tokens_read": self._tokens, "asked": self._asked, "notes": self._notes,
            "digest": hashlib.sha256(b"".join(self._scores[name].tobytes() for name in sorted(self._scores))).hexdigest()[:32],
        }


def _language(question: str, answer: str, languages: Languages) -> tuple[str, float]:
    """(language of the question, or else of the answer, the lower of both scores); JSON is no language."""
    looked = [languages.look(text) for text in (question, answer) if text and not text.lstrip().startswith(("{", "["))]
    return (next((name for name, _ in looked if name), ""), min((score for _, score in looked if not math.isnan(score)), default=math.nan))


def _of_text(row: Row, question: str, common: frozenset[str]) -> dict[str, float]:
    """The scores that need nothing but the row's text.  question: without what all questions say."""
    answer = row.answer
    raw = "\n".join([*(message["content"] for message in row.messages), row.text, row.chosen, row.rejected])
    return {
        "length": float(len(question) + len(answer)),
        "repetition": max(quality.repetition(question), quality.repetition(answer)),
        "encoding": quality.encoding_damage(raw),
        "complete": quality.completeness(answer),
        "overlap": quality.overlap(question, answer, common) if row.prompt else math.nan,
    }


def _languages(sample: Sequence[Row], frame: Frame, named: Sequence[str]) -> Languages:
    """Languages with those expected that are named, or else that a tenth of the sample is in."""
    languages = Languages()
    counts = Counter(languages.tell(frame.question(row) or row.answer) for row in sample)
    counts.pop("", None)
    common = {name for name, count in counts.items() if count >= LANGUAGE_SHARE * counts.total()}
    languages.expected = frozenset(named) or frozenset(common)
    return languages


def _measure(name: str, values: Values) -> dict[str, Any]:
    measure, known = BY_NAME[name], values[np.isfinite(values)]
    return {"title": measure.title, "meaning": measure.meaning, "better": measure.better, "unit": measure.unit,
            "rows": len(known), "median": float(np.median(known)), "histogram": quality.histogram(values)}


def _weakest_name(made: dict[str, Values], number: int) -> str:
    known = {name: float(values[number]) for name, values in made.items() if not math.isnan(float(values[number]))}
    return min(known, key=known.__getitem__) if known else ""


class _Kept:
    """Scores that an interrupted attempt of the same step has kept already.

    A mark in the step's folder says up to which row it had made which measure, because the rows behind may have scores too: of an
    earlier assessment, by another model or rubric.  It goes when the assessment is whole.
    """

    def __init__(self, db: DatasetDb, mark: Path, key: str) -> None:
        self._db, self._mark, self._key = db, mark, key
        self._done: dict[str, int] = {}
        with contextlib.suppress(OSError, ValueError):  # there was none, or the machine stopped while it was written
            said = orjson.loads(mark.read_bytes())
            if said["key"] == key:
                self._done = said["done"]

    def __enter__(self) -> _Kept:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._mark.unlink(missing_ok=True)

    def or_make(self, rows: list[Row], name: str, make: Callable[[list[Row]], Values]) -> Values:
        """(rows,) float32: what was kept, the rest made and kept.  rows: in order of position, as those before them were."""
        known = self._known([row for row in rows if row.position <= self._done.get(name, 0)], name)
        missing = [row for row in rows if row.hash not in known]
        if missing:
            values = make(missing)
            self._db.put_scores((row.hash, name, float(value)) for row, value in zip(missing, values, strict=True)
                                if not math.isnan(value))
            known |= {row.hash: float(value) for row, value in zip(missing, values, strict=True)}
            self._done[name] = max(rows[-1].position, self._done.get(name, 0))
            self._mark.write_bytes(orjson.dumps({"key": self._key, "done": self._done}))
        return np.array([known[row.hash] for row in rows], np.float32)

    def _known(self, rows: list[Row], name: str) -> dict[str, float]:
        marks = ",".join("?" * len(rows))
        found = self._db.conn.execute(
            f"SELECT r.hash, s.value FROM rows r JOIN scores s ON s.row = r.id AND s.name = ? WHERE r.hash IN ({marks})",
            (name, *(bytes.fromhex(row.hash) for row in rows)))
        return {digest.hex(): float(value) for digest, value in found}
