"""The release gate: what a model must show before it is served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.config.verdicts import gain, gain_words, margin, things
from app.errors import Place, RegistryError
from app.registry.deploy_node import Gate


def check_gain(gate: Gate, evaluation: Mapping[str, Any] | None) -> None:
    """Raise RegistryError gate.* unless the evaluation shows what the gate asks for.

    A verdict "worse" is refused whatever the gate says.  evaluation: the summary of evaluate.compare.
    """
    asks = gate.min_gain is not None or gate.require_better
    if evaluation is None:
        if asks:
            raise _refuse("gate.not_measured", "min_gain", "Nothing was measured, so no gain is shown.",
                          "Let the deploy step need an evaluation step, or take min_gain out of the gate.")
        return
    (gained, low), metric = gain(evaluation), str(evaluation.get("metric", ""))
    shown = margin(metric, float(evaluation["difference"]), *map(float, evaluation["interval"]))
    if evaluation["verdict"] == "worse":
        raise _refuse("gate.worse", "verdict", f"It is worse than its base: {shown}.", "Train on more or cleaner rows.")
    least = gate.min_gain or 0.0
    if asks and not gained >= least:
        raise _refuse("gate.too_small", "min_gain", f"Its difference to the base is {shown}; the gate asks for "
                      f"{gain_words(metric, least)}.", "Train longer or on more rows, or lower min_gain.")
    if gate.require_better and not low > least:
        raise _refuse("gate.not_shown", "require_better", f"Its gain is not certain: {shown}.",
                      f"Evaluate on more {things(metric)}, or train on more rows.")


def _refuse(code: str, field: str, why: str, remedy: str) -> RegistryError:
    return RegistryError(code, "The model was not deployed: it did not pass its gate.", where=Place.of(field=f"gate.{field}"),
                         why=why, remedy=remedy)
