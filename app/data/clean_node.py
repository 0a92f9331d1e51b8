"""Mend the texts of a dataset: letters, markup, blanks, boilerplate; find answers that break off.  Every change can be undone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from app.config.artifacts import Artifact, Report, Rows
from app.config.node import Node, Params, StepContext, node

if TYPE_CHECKING:
    from app.data.derive import Derivation
    from app.store.records import Row

SAMPLE = 20_000
"""Rows that are read beforehand, evenly spread: which lines repeat and how answers end is told by these."""
MOSTLY_CLOSED, FEWEST_WORDS = 0.8, 8
"""An answer of so many words that ends bare, without a full stop, has broken off where so many of the others end closed."""


class Boilerplate(Params):
    """Lines that belong to the page and not to the text."""

    enabled: bool = Field(True, description="Take out headers, footers, cookie and unsubscribe lines")
    share: float = Field(0.05, gt=0, le=1, description="A line that stands in this share of all documents, and in five at least, goes")


class CleanParams(Params):
    """Parameters of data.clean."""

    letters: bool = Field(True, description="Mend letters of a wrong encoding and take out control characters")
    markup: bool = Field(True, description="Turn HTML into text; code keeps its signs, and so do rows that are about markup")
    blanks: bool = Field(True, description="Tidy blanks and empty lines outside of code and tables")
    boilerplate: Boilerplate = Field(Boilerplate(enabled=True, share=0.05), description="Boilerplate lines")
    truncated: Literal["flag", "remove", "ignore"] = Field("flag", description="Answers that break off: flag, remove or ignore them")


@node("data.clean", version=2, title="Clean")
class Clean(Node[CleanParams]):
    """Cleans each row by itself; says of each what was done."""

    inputs = {"rows": Rows}
    outputs = {"rows": Rows, "report": Report}

    def run(self, ctx: StepContext) -> dict[str, Artifact]:
        """Read a sample, then clean every row."""
        from app.data.cleaning import CleanRules, clean, repeated_lines
        from app.data.derive import Derivation

        given = self.params
        with Derivation(ctx, ctx.input("rows"), node=self.name, note="Cleaned", params=given.model_dump(mode="json")) as d:
            repeated = repeated_lines((row.text for row in _sample(d, ctx) if row.text), given.boilerplate.share)
            rules = CleanRules(given.letters, given.markup, given.blanks, given.boilerplate.enabled, repeated)
            bare_is_open = given.truncated != "ignore" and _mostly_closed(_sample(d, ctx))
            for row in d.rows():
                new, did = clean(row, rules)
                words = "; ".join(words for _, words in did)
                if did and not new.answer.strip():
                    d.remove(row, "empty", f"nothing is left: {words}")
                    continue
                if did:
                    d.change(row, new, did[0][0], words)
                if given.truncated != "ignore" and (end := broken_off(new, bare_is_open)):
                    if given.truncated == "remove":
                        d.remove(row, "truncated", end)
                    else:
                        d.flag(row, "truncated", f"{end}; {words}" if words else end)
            made = d.finish({"repeated_lines": len(repeated)})
        _tell(ctx, made["report"].summary)  # type: ignore[attr-defined]
        return made


def _sample(d: Derivation, ctx: StepContext) -> Iterator[Row]:
    """About SAMPLE rows of the parent, evenly spread."""
    from app.store.records import decode

    step = max(1, d.total // SAMPLE)
    sql = ("SELECT v.position, r.payload FROM version_rows v JOIN rows r ON r.id = v.row WHERE v.version = ? AND v.state = 'kept' "
           "AND v.position % ? = 0 AND v.position > ? ORDER BY v.position LIMIT 500")
    after = 0
    while found := d.db.conn.execute(sql, (d.parent, step, after)).fetchall():
        ctx.check_cancelled()
        yield from (decode(payload, position=position) for position, payload in found)
        after = found[-1][0]


def _mostly_closed(rows: Iterator[Row]) -> bool:
    from app.data.quality import CLOSED, completeness

    ends = [completeness(row.answer) == CLOSED for row in rows if row.shape != "text"]
    return len(ends) > 0 and sum(ends) >= MOSTLY_CLOSED * len(ends)


def broken_off(row: Row, bare_is_open: bool) -> str:
    """How an answer breaks off, in words; "" if it does not.  Texts without an answer (documents) may end anywhere."""
    from app.data.quality import BARE, OPEN, completeness

    if row.shape == "text" or not row.answer.strip():
        return ""
    end = completeness(row.answer)
    if end == OPEN:
        return "the answer leaves a bracket, a quote or code open, or ends within a sentence"
    if end == BARE and bare_is_open and len(row.answer.split()) >= FEWEST_WORDS:
        return "the answer ends without a full stop, as few others do"
    return ""


def _tell(ctx: StepContext, report: dict[str, Any]) -> None:
    changed, removed = sum(report["changed"].values()), sum(report["removed"].values())
    ctx.metric("rows_changed", changed, unit="rows")
    ctx.metric("rows_removed", removed, unit="rows")
    flagged = report["flagged"].get("truncated", 0) + report["changed"].get("truncated", 0)
    broken = f", {flagged:,} answers seem to break off" if flagged else ""
    ctx.event(f"{changed:,} of {report['checked']:,} rows changed, {removed:,} removed{broken}", level="good", kind="clean")
