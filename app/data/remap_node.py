"""Give the columns of a dataset other parts after its import; every row keeps all that came with it."""

from __future__ import annotations

from pydantic import Field

from app.config.artifacts import Artifact, Report, Rows
from app.config.node import Node, Params, StepContext, node
from app.data.mapping import ColumnMapping


class RemapParams(Params):
    """Parameters of data.remap."""

    mapping: ColumnMapping = Field(description="Which column plays which part")


@node("data.remap", version=1, title="Map columns anew")
class Remap(Node[RemapParams]):
    """Makes a new version; a row that does not fit the new mapping is taken out, one that was set aside at the import and fits
    now comes in."""

    inputs = {"rows": Rows}
    outputs = {"rows": Rows, "report": Report}

    def run(self, ctx: StepContext) -> dict[str, Artifact]:
        """Read each row as its columns, then store it by the new mapping."""
        import itertools

        from app.data import remap
        from app.data.derive import Derivation
        from app.data.mapping import BadRow, check
        from app.errors import Place

        rows: Rows = ctx.input("rows")
        mapping, before = self.params.mapping, remap.mapping_before(ctx.store, rows.dataset, rows.version)
        if mapping.missing():
            check(mapping, [], Place())
        params = self.params.model_dump(mode="json")
        with Derivation(ctx, rows, node=self.name, note="Columns mapped anew", params=params,
                        origin={"mapping": mapping.model_dump()}) as d:
            for row in d.rows():
                try:
                    new = remap.remapped(row, before, mapping)
                except BadRow as problem:
                    d.remove(row, remap.UNFIT, str(problem))
                    continue
                if new.payload() != row.payload():
                    d.change(row, new, remap.MAPPED)
            for number, new in itertools.islice(remap.fitting_rejects(d.db.conn, d.parent, mapping), d.added, None):
                ctx.check_cancelled()
                d.add(new, remap.FITS_NOW, f"row {number} of the file")
            made = d.finish({"mapping": mapping.model_dump(), "mapping_before": before}, shape=mapping.shape)
        summary = made["report"].summary  # type: ignore[attr-defined]
        changed, unfit, new_rows = (sum(summary[kind].values()) for kind in ("changed", "removed", "added"))
        ctx.event(f"{changed:,} rows mapped anew" + (f", {unfit:,} do not fit and are taken out" if unfit else "")
                  + (f", {new_rows:,} that were set aside fit now" if new_rows else ""), level="warning" if unfit else "good", kind="remap")
        return made
