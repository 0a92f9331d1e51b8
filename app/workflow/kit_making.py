"""Make a kit from a finished run, and its .nwkit file.

What goes into a kit is chosen, not filtered out: steps and their nodes under names of ours, parameters that are numbers,
choices or marked as shareable (app.config.shareable), the mapping of columns, measured figures, and the words that the
user typed for the kit.  Rows, prompts, samples, paths, and the names of files, datasets, steps and models never do.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import yaml

from app.config import kit_file
from app.config.model_files import check_model_folder
from app.config.models import packaged, resolve_base
from app.config.node import NodeClass
from app.config.shareable import is_path, shareable
from app.config.verdicts import NLL, Verdict, margin, score, things, verdict
from app.config.views import write_whole
from app.data.header import is_column_name
from app.errors import ConfigError, NeuroWeaverError, Place, UsageError
from app.store import Store
from app.workflow import registry, states
from app.workflow.kit_opening import check_document, slug
from app.workflow.runs import find_run

UNSTATED = "NOASSERTION"
"""SPDX's word for a licence that nobody stated."""
_SOURCE = "dataset.import"
_OWN_LICENCE = re.compile(r"(?:DocumentRef-[A-Za-z0-9.\-]+:)?LicenseRef-[A-Za-z0-9.\-]+")
"""How SPDX names a licence that is not on its list."""
_LONGEST_LICENCE = 400
_COLUMNS = ("split_field", "group_field", "stratify_field", "by")
"""Parameters that name a column or a field of the answer."""
__all__ = ["UNSTATED", "About", "MadeKit", "export_kit", "make_kit", "slug"]


@dataclass(frozen=True, slots=True)
class About:
    """What the user says of a kit; all of it goes into the file."""

    title: str = ""
    summary: str = ""
    domain: str = ""
    licence: str = UNSTATED
    version: int = 1


@dataclass(frozen=True, slots=True)
class MadeKit:
    """content: the file's bytes.  left_out: parameters that the run set and the kit does not carry, as in --set."""

    title: str
    name: str
    version: int
    content: bytes
    left_out: tuple[str, ...]
    carried: tuple[str, ...]
    """Column and field names that the kit carries, so that the user sees them before passing it on."""


@dataclass
class _Making:
    """A document while it is made from a run."""

    steps: dict[str, Any] = field(default_factory=dict)
    needs: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def make_kit(store: Store, run: str, about: About | None = None) -> MadeKit:
    """The kit of a finished run.  Raises UsageError kit.run_not_done, ConfigError kit.not_shareable or kitfile.*."""
    row, about = find_run(store, run), about or About()
    if row["state"] != "done":
        raise UsageError("kit.run_not_done", f"Run {row['number']} is not done.", why="A kit states what its run measured.",
                         remedy="Let it finish, or choose another run.")
    resolved = orjson.loads(row["resolved"])
    making = _steps(store, str(row["id"]), resolved["steps"])
    base, ours = _base(resolved, making)
    title = about.title.strip() or f"Kit from run {row['number']}"
    found = verdict(store, row["id"])
    kit = {
        "title": title,
        "domain": about.domain.strip() or "own",
        "version": about.version,
        "summary": about.summary.strip() or _summary(making, found),
        "licence": _licence(about.licence.strip()),
        "rows": _rows(store, str(row["id"])),
        "needs_data": making.needs,
        "base_parameters": _parameters(store, base),
        "measured": _measured(row, found) if found and ours else None,
    }
    document = {
        "kit": {key: value for key, value in kit.items() if value not in (None, {})},
        "name": title,
        "base_model": base,
        "seed": resolved["seed"],
        "steps": making.steps,
    }
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
    check_document(text, Place(field=kit_file.DOCUMENT))
    name = slug(title)
    content = kit_file.pack(name, text, _card(document, found, ours))
    return MadeKit(title, name, about.version, content, tuple(making.left_out), _carried(making.steps))


def export_kit(store: Store, run: str, to: Path, about: About | None = None) -> MadeKit:
    """Make a kit and write its file, whole or not at all.  Raises as make_kit, and ConfigError config.unwritable."""
    made = make_kit(store, run, about)
    write_whole(to, made.content)
    return made


def _steps(store: Store, run: str, steps: Mapping[str, Any]) -> _Making:
    """The steps under names of ours; a step that brings rows becomes an import of the user's own file."""
    making, names = _Making(), _names(steps)
    outputs = {step["id"]: orjson.loads(step["outputs"] or "{}") for step in states.steps_of(store, run)}
    for identity, step in steps.items():
        node = registry.find(step["node"])
        params = dict(step["params"])
        if _brings_rows(node):
            node, params = registry.find(_SOURCE), {**params, **_columns(store, outputs.get(identity, {}))}
            making.left_out += [f"{names[identity]}.{name}" for name in _no_names(params)]
            params = {name: value for name, value in params.items() if name not in _no_names(params)}
        making.steps[names[identity]] = {"node": node.name, **_order(step, names), **_shared(making, names[identity], node, params)}
    return making


def _brings_rows(node: NodeClass) -> bool:
    return not node.inputs and any(kind.type_name() == "rows" for kind in node.outputs.values())


def _names(steps: Mapping[str, Any]) -> dict[str, str]:
    """A name of ours for each step: the last word of its node, numbered where it repeats."""
    found: dict[str, str] = {}
    for identity, step in steps.items():
        word = "import" if _brings_rows(registry.find(step["node"])) else re.sub(r"[^a-z0-9]", "-", step["node"].rpartition(".")[2])
        taken = sum(re.fullmatch(rf"{word}(-\d+)?", name) is not None for name in found.values())
        found[identity] = f"{word}-{taken + 1}" if taken else word
    return found


def _order(step: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """needs and inputs, with the new names."""
    needs = [names[one] for one in step["needs"]]
    inputs = {port: f"{names[source.partition('.')[0]]}.{source.partition('.')[2]}" for port, source in step["inputs"].items()}
    return {key: value for key, value in (("needs", needs), ("inputs", inputs)) if value}


def _columns(store: Store, outputs: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping that the import used, also where the document left it to be recognised."""
    made = next((one for one in outputs.values() if one.get("kind") == "rows"), None)
    row = store.row("SELECT origin FROM dataset_versions WHERE dataset = ? AND version = ?",
                    (made["dataset"], made["version"])) if made else None
    origin = orjson.loads(row["origin"]) if row else {}
    return {name: origin[name] for name in ("mapping", "split_field") if origin.get(name)}


def _no_names(params: Mapping[str, Any]) -> list[str]:
    """Parameters of an import that hold a row's values in the place of names: the file had no line with names."""
    mapping = params.get("mapping") or {}
    held = {"mapping": [one for key, one in mapping.items() if key != "shape"], "split_field": [params.get("split_field")]}
    return [name for name, texts in held.items() if not all(is_column_name(str(text or "")) for text in texts)]


def _shared(making: _Making, name: str, node: NodeClass, params: Mapping[str, Any]) -> dict[str, Any]:
    """What of the parameters is shared; notes what is left out, and what the next user must bring."""
    model = node.params_model
    kept = shareable(model, {key: value for key, value in params.items() if key in model.model_fields})
    defaults = model.model_construct().model_dump(mode="json", warnings=False)
    set_here = {key: value for key, value in params.items() if value != defaults.get(key)}
    making.left_out += [f"{name}.{path}" for path in _lost(set_here, kept)]
    for key, info in model.model_fields.items():
        if not info.is_required() or key in kept:
            continue
        if not is_path(info):
            raise ConfigError("kit.not_shareable", f"Step {name!r} cannot be shared.", where=Place(field=f"{name}.{key}"),
                              why=f"It needs {key}, which may hold something private.", remedy="Take the step out and run again.")
        making.needs.append(f"{name}.{key}")
    return kept


def _lost(values: Mapping[str, Any], kept: Mapping[str, Any]) -> Iterator[str]:
    """Dotted paths of what was set and is not kept, nested parts included."""
    for key, value in values.items():
        if key not in kept:
            if value not in (None, "", [], {}):
                yield str(key)
        elif isinstance(value, Mapping):
            yield from (f"{key}.{path}" for path in _lost(value, kept[key]))


def _base(resolved: Mapping[str, Any], making: _Making) -> tuple[str, bool]:
    """The base model a kit names, and whether it is the run's own: a private one is not named, the starter stands in."""
    own = [name for name in making.left_out if name.endswith(".base_model")]
    if resolved["base_model"] in packaged() and not own:
        return str(resolved["base_model"]), True
    making.left_out.append("base_model")
    return next(iter(packaged()), "smollm2-135m-instruct"), False


def _parameters(store: Store, base: str) -> int | None:
    try:
        return check_model_folder(resolve_base(store, base)).parameters
    except NeuroWeaverError:
        return None


def _rows(store: Store, run: str) -> dict[str, int]:
    """How many rows of each split the run's last data step made."""
    for step in reversed(states.steps_of(store, run)):
        for made in orjson.loads(step["outputs"] or "{}").values():
            if made.get("kind") == "rows":
                return {name or "unsplit": int(count) for name, count in made["splits"].items()}
    return {}


def _machine(row: Mapping[str, Any]) -> str:
    machine = orjson.loads(row["machine"])
    cards = machine.get("gpus") or []
    return f"{machine.get('cores', 'unknown')} cores, {cards[0] if cards else 'no graphics card'}"


def _measured(row: Mapping[str, Any], found: Verdict) -> dict[str, Any]:
    """Plain figures of the run; scores by arm, none of the questions."""
    scores = {str(arm["arm"]): round(float(arm["score"]), 4) for arm in found.report.get("table", ())}
    behaviour = found.report.get("behaviour") or {}
    wrongly = (behaviour.get("refused_wrongly") or {}).get("tuned")
    refused = {str(one["kind"]): [one["arms"]["tuned"]["count"], one["arms"]["tuned"]["items"]] for one in behaviour.get("kinds", ())}
    figures = {
        "date": datetime.fromtimestamp(row["ended"] or time.time(), UTC).date().isoformat(),
        "machine": _machine(row),
        "seconds": max(round((row["ended"] or 0) - (row["started"] or 0) - row["idle"], 1), 0.1),
        "metric": NLL if found.metric == NLL else None,
        "items": found.items,
        "constant": scores.get("constant"),
        "classic": scores.get("classic"),
        "base": round(found.base, 4),
        "base_with_examples": scores.get("base_examples"),
        "tuned": round(found.tuned, 4),
        "difference": round(found.difference, 4),
        "interval": [round(found.low, 4), round(found.high, 4)],
        "verdict": found.verdict,
        "refused": refused,
        "refused_wrongly": [wrongly["count"], wrongly["items"]] if wrongly else None,
    }
    return {key: value for key, value in figures.items() if value not in (None, {})}


def _licence(said: str) -> str:
    """What the user said, as an SPDX expression ("mit" is MIT).  Raises UsageError kit.licence."""
    if said in ("", UNSTATED):
        return UNSTATED
    expression, fault = _spdx(said) if len(said) <= _LONGEST_LICENCE else ("", f"It has more than {_LONGEST_LICENCE} characters.")
    if fault:
        raise UsageError("kit.licence", f"{said[:60]!r} is no SPDX expression; no kit was made.", where=Place(field="licence"), why=fault,
                         remedy="Write for example CC-BY-4.0, MIT AND CC0-1.0, or LicenseRef-NAME for one of your own; or leave it empty.")
    return expression


def _spdx(said: str) -> tuple[str, str]:
    """(the expression in its usual letters, what is wrong with it)."""
    from license_expression import ExpressionError, get_spdx_licensing

    licensing = get_spdx_licensing()
    try:
        parsed = licensing.parse(said, strict=True)
    except (ExpressionError, IndexError):  # "()" is too much for the library
        return "", "It breaks off, or no AND or OR stands between two licences."
    unknown = [key for key in licensing.unknown_license_keys(parsed) if not _OWN_LICENCE.fullmatch(key)]
    return str(parsed), f"{unknown[0]!r} is not on SPDX's list." if unknown else ""


def _summary(making: _Making, found: Verdict | None) -> str:
    said = "with what its run measured" if found else "which was not measured"
    return f"A workflow of {len(making.steps)} steps made from a finished run, {said}. It carries no rows: bring your own."


def _carried(steps: Mapping[str, Any]) -> tuple[str, ...]:
    """All texts among the shared parameters that are no choice of ours: names of columns and answer fields."""
    found: dict[str, None] = {}
    for step in steps.values():
        mapping = step.get("mapping") or {}
        found |= dict.fromkeys(value for key, value in mapping.items() if key != "shape" and value)
        found |= dict.fromkeys(filter(None, (step.get(name) for name in _COLUMNS)))
        task = step.get("task") or {}
        checks = (task.get("fields") or {}).values()
        found |= dict.fromkeys([*(task.get("fields") or ()), *(check[key] for check in checks for key in ("path", "balances")
                                                               if check.get(key))])
        found |= dict.fromkeys(filter(None, [task.get("behaviour_field")]))
    return tuple(found)


def _card(document: Mapping[str, Any], found: Verdict | None, ours: bool) -> str:
    """The model card: plain words and figures, made from what the kit carries."""
    kit = document["kit"]
    nodes = " → ".join(step["node"] for step in document["steps"].values())
    lines = [f"# Model card: {kit['title']}", "", f"**What it is.** {kit['summary']}", "",
             f"**How it is made.** {nodes}, on {document['base_model']}, seed {document['seed']}.", "",
             f"**Data.** None in this file: no row, no question, no answer. The run had {_counted(kit.get('rows', {}))}. "
             f"Your own file is asked for: {', '.join(kit['needs_data'])}.", "", f"**Licence of this file.** {kit['licence']}.", ""]
    if found is not None:
        base, tuned = (score(found.metric, value) for value in (found.base, found.tuned))
        lines += [f"**Measured.** {found.items:,} held-back {things(found.metric)}: base {base}, tuned {tuned}, "
                  f"difference {margin(found.metric, found.difference, found.low, found.high)} at 95 %."]
    if found is not None and not ours:
        lines += ["", "These figures are of another base model, which this file does not name: yours will differ."]
    return "\n".join([*lines, "", "It is measured again on your data when it runs.", ""])


def _counted(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in rows.items()) + " rows" if rows else "rows that were not counted"
