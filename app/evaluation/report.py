"""From arms to a report: the table, the verdict, what a user should know, best and worst samples."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson

from app.evaluation.arms import LABELS, Arm, Questions
from app.evaluation.checks import Task, parse_object, refusal
from app.evaluation.statistics import FEWEST, Paired, paired, wilson
from app.store import Store

SAMPLES = 20
_AGAINST = {"better": "the tuned model is better", "worse": "the tuned model is worse", "no_difference": "no difference is shown"}


def summarise(questions: Questions, arms: list[Arm], seed: int) -> dict[str, Any]:
    """The summary of the house plan's report, with every arm in ``table`` and plain sentences in ``notes``."""
    by_name = {arm.name: arm for arm in arms}
    base, tuned = by_name["base"], by_name["tuned"]
    main = paired(base.items, tuned.items, seed)
    summary: dict[str, Any] = {
        "meaning": meaning(questions),
        "metric": metric(questions.task),
        "items": len(questions.test),
        "base": main.first,
        "tuned": main.second,
        **main.as_json(),
        "verdict": main.verdict(),
        "gain": main.difference,
        "nll": likelihood(
            paired(np.array(base.extra["nll_items"]), np.array(tuned.extra["nll_items"]), seed), base.nll, tuned.nll
        ),
        "table": [_line(arm, questions) for arm in arms],
    }
    versus: dict[str, Paired] = {
        name: paired(by_name[name].items, tuned.items, seed)
        for name in ("base_examples", "classic", "constant")
        if name in by_name
    }
    summary["versus"] = {name: {"base": pair.first, **pair.as_json(), "verdict": pair.verdict()} for name, pair in versus.items()}
    summary["versus_examples"] = summary["versus"].get("base_examples")
    summary["notes"] = notes(questions, by_name, versus, seed)
    if questions.behaviour:
        summary["behaviour"] = behaviour(questions, arms)
    return summary


def likelihood(items: Paired, base: float | None, tuned: float | None) -> dict[str, Any]:
    """The summary's ``nll``: ``items`` from the means of each item, ``base`` and ``tuned`` the means over all tokens, nats a token."""
    return {
        "base": base,
        "tuned": tuned,
        "item_mean_base": items.first,
        "item_mean_tuned": items.second,
        **items.as_json(),
        "verdict": items.verdict(lower_is_better=True),
    }


def behaviour(questions: Questions, arms: list[Arm]) -> dict[str, Any]:
    """What each arm did with questions that should be refused, by kind, and how often it refused the task's questions.

    Shares carry their Wilson interval at 95 %.  ``sentences`` says it in words, of the tuned model first, then of the linear one.
    """
    kinds: dict[str, list[int]] = {}
    for number, row in enumerate(questions.behaviour):
        kinds.setdefault(refusal(questions.task, row.answer), []).append(number)
    found = [
        {"kind": kind, "arms": {arm.name: _share(sum(arm.refused[n] for n in numbers), len(numbers)) for arm in arms}}
        for kind, numbers in kinds.items()
    ]
    wrongly = {arm.name: _share(arm.refused_wrongly, len(questions.test)) for arm in arms}
    return {"kinds": found, "refused_wrongly": wrongly, "sentences": list(_behaviour_sentences(found, wrongly))}


def _share(count: int, items: int) -> dict[str, Any]:
    return {"count": count, "items": items, "interval": list(wilson(count, items))}


def _behaviour_sentences(kinds: list[dict[str, Any]], wrongly: dict[str, Any]) -> Iterator[str]:
    said = [(one["kind"].capitalize(), one["arms"]["tuned"]) for one in kinds]
    parts = [f"{kind}: {one['count']} of {one['items']} refused as it should" for kind, one in said]
    one = wrongly["tuned"]
    yield "; ".join([*parts, f"{one['count']} of {one['items']} task questions refused wrongly"]) + "."
    if "classic" in wrongly:
        parts = [f"{one['kind']} {one['arms']['classic']['count']} of {one['arms']['classic']['items']}" for one in kinds]
        one = wrongly["classic"]
        yield f"A linear model trained on the same rows refuses {', '.join(parts)}, and {one['count']} of {one['items']} wrongly."


def metric(task: Task) -> str:
    """The name of the headline figure."""
    if task.format == "text":
        return "f1"
    return "right_answers" if task.headline == "all" else "right_fields"


def meaning(questions: Questions) -> str:
    """What the headline figure is, in words."""
    rest = "The difference is tuned minus base on the same items, with its paired 95 % bootstrap interval."
    if questions.task.format == "text":
        return f"Word F1 of the answer against the expected one, mean over the items. {rest}"
    names = ", ".join(questions.task.fields)
    if questions.behaviour:
        rest += (
            " Questions to refuse are counted apart. The base with examples is asked as suits it best: the task's questions with "
            "the task's examples alone, those to refuse with refusals behind them."
        )
    if questions.task.headline == "all":
        figure = f"Share of answers in which every one of {names} is right"
    else:
        figure = f"Mean of the scores of {names} in each answer, then over the items"
    return (
        f"{figure}; an answer that is not one JSON object scores 0, "
        f"a quote that does not stand letter for letter in the question scores 0. Each arm is stopped where its first JSON "
        f"object ends. {rest}"
    )


def _line(arm: Arm, questions: Questions) -> dict[str, Any]:
    fields: dict[str, float | None] = dict(arm.fields())
    if arm.name == "classic":  # a field it does not write is not a field it gets wrong
        left_out = questions.task.fields.keys() - _written(questions.task, arm)
        fields |= dict.fromkeys(name for name in fields if name.removesuffix("_verbatim").removesuffix("_balances") in left_out)
    return {"arm": arm.name, "label": LABELS[arm.name], "fields": fields, "score": float(np.mean(arm.items)), "nll": arm.nll}


def _written(task: Task, arm: Arm) -> set[str]:
    """The fields that any of its answers holds."""
    found = [task.read(parse_object(answer) or {}) for answer in set(arm.answers)]
    return {name for one in found for name, value in one.items() if value is not None}


def notes(questions: Questions, arms: dict[str, Arm], versus: dict[str, Paired], seed: int) -> list[str]:
    """Sentences that keep the figures honest."""
    said = []
    if len(questions.test) < FEWEST:
        said.append(f"Too few held-out questions to show a difference: {len(questions.test)}. At least {FEWEST} are needed.")
    if "base_examples" in versus:
        pair = versus["base_examples"]
        said.append(
            f"Against the base with examples in its prompt {_AGAINST[pair.verdict()]}: "
            f"{100 * pair.difference:+.1f} points ({100 * pair.low:.1f} to {100 * pair.high:.1f})."
        )
    if "classic" in arms:
        said += _classic_notes(questions, arms, seed)
    return said


def _classic_notes(questions: Questions, arms: dict[str, Arm], seed: int) -> list[str]:
    said, written = [], _written(questions.task, arms["classic"])
    for name in questions.task.fields:
        if name not in written:
            said.append(f"A linear model cannot write {name}.")
            continue
        classic, tuned = (np.array([one[name] for one in arms[arm].scores]) for arm in ("classic", "tuned"))
        pair = paired(classic, tuned, seed)
        said.append(_classic_sentence(name, pair))
    return said


def _classic_sentence(name: str, pair: Paired) -> str:
    figures = (
        f"{100 * pair.first:.1f} against the tuned model's {100 * pair.second:.1f} "
        f"(difference {100 * pair.difference:+.1f} points, {100 * pair.low:.1f} to {100 * pair.high:.1f})"
    )
    if pair.verdict() == "better":
        return f"On {name} the tuned model is better than a linear model trained on the same rows: {figures}."
    words = "does as well" if pair.verdict() == "no_difference" else "does better"
    return f"A linear model {words} on {name}: {figures}. For {name} alone no language model needs tuning."


def samples(questions: Questions, arms: list[Arm]) -> list[dict[str, Any]]:
    """All items with both answers, the worst for the tuned model first; a question to refuse before a task's as good."""
    by_name = {arm.name: arm for arm in arms}
    base, tuned = by_name["base"], by_name["tuned"]
    found = [
        sample(questions.text(row), row.answer, (base.refusals[n], tuned.refusals[n]),
               (float(base.refused[n]), float(tuned.refused[n])), {"refused": float(tuned.refused[n])})
        for n, row in enumerate(questions.behaviour)
    ]
    found += [
        sample(questions.text(row), row.answer, (base.answers[n], tuned.answers[n]),
               (float(base.items[n]), float(tuned.items[n])), tuned.scores[n])
        for n, row in enumerate(questions.test)
    ]
    return sorted(found, key=lambda one: one["tuned_score"] - one["base_score"])


def sample(
    prompt: str, expected: str, answers: tuple[str, str], scores: tuple[float, float], checks: dict[str, float]
) -> dict[str, Any]:
    """One item; ``answers`` and ``scores`` of base and tuned."""
    return {
        "prompt": prompt,
        "expected": expected,
        "base": answers[0],
        "tuned": answers[1],
        "base_score": scores[0],
        "tuned_score": scores[1],
        "checks": checks,
    }


def keep(store: Store, run: str, step: str, summary: dict[str, Any], found: list[dict[str, Any]]) -> None:
    """Write tables evaluations and samples (the SAMPLES worst and SAMPLES best)."""
    kept = found if len(found) <= 2 * SAMPLES else [*found[:SAMPLES], *found[-SAMPLES:]]
    with store.write() as db:
        cursor = db.execute(
            "INSERT INTO evaluations (run, step, metric, items, base, tuned, difference, low, high, verdict, report, created) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                run,
                step,
                summary["metric"],
                summary["items"],
                summary["base"],
                summary["tuned"],
                summary["difference"],
                *summary["interval"],
                summary["verdict"],
                orjson.dumps(summary).decode(),
                time.time(),
            ),
        )
        for position, one in enumerate(kept):
            db.execute(
                "INSERT INTO samples (evaluation, position, prompt, expected, base, tuned, base_score, tuned_score, "
                "checks) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    cursor.lastrowid,
                    position,
                    one["prompt"],
                    one["expected"],
                    one["base"],
                    one["tuned"],
                    one["base_score"],
                    one["tuned_score"],
                    orjson.dumps(one["checks"]).decode(),
                ),
            )
