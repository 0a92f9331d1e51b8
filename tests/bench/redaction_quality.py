"""How much private data is found, and how much else is flagged, on the labelled set that the project makes itself.

    .venv/bin/python tests/bench/redaction_quality.py [--sentences 12000] [--seed 7] [--write] [--show 20]

Prints recall and precision of each entity with 95 % Wilson intervals: ours with and without the names model, beside
presidio's own pattern recognisers on the same sentences; then the speed of both, on one core.  ``--write`` keeps the table in
resources/redaction-quality.json, which the node's report and the review show.  Labels: app/data/redaction/labelled.py.
Detector and sentences have one author, so real texts will be harder; names above all.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from app.data.redaction.checks import without
from app.data.redaction.detect import Detector, Settings
from app.data.redaction.labelled import Labelled, free_sentences, labelled
from app.data.redaction.quality import FILE, Found, Line, Measured, Share, measure

PRESIDIO_FROM = 0.4
"""Certainty from which presidio's findings count; facts.md measured that lower ones flag 18 % of citations and codes."""


def main() -> int:
    """Measure, print, and with --write keep the table."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--sentences", type=int, default=12_000)
    ask.add_argument("--seed", type=int, default=7)
    ask.add_argument("--write", action="store_true")
    ask.add_argument("--show", type=int, default=0, help="print so many missed and wrong findings")
    wish = ask.parse_args()
    rows = list(labelled(wish.sentences, wish.seed))
    ours, plain = (measure(rows, _ours(model)) for model in (True, False))
    theirs = measure(rows, _presidio)
    _print(rows, ours, plain, theirs)
    free = list(free_sentences(wish.sentences // 6, wish.seed))
    names = {key: measure(free, _ours(model)).entities["PERSON"] for key, model in (("with_model", True), ("without_model", False))}
    print(f"\nnames in {len(free):,} sentences that the rules were not written for, half of the people with rare names")
    for key, line in names.items():
        print(f"  {key.replace('_', ' '):14} recall {_long(line.recall)}   precision {_long(line.precision)}")
    for name, listed in (("missed", ours.missed), ("wrong", ours.wrong)):
        for entity, found, text in listed[: wish.show]:
            print(f"{name}: {entity} {found!r} in {text!r}")
    speed = {name: _speed(rows, model) for name, model in (("with_model", True), ("without_model", False))}
    print("\nspeed, one core, sentences of", round(sum(len(row.text) for row in rows) / len(rows)), "characters:",
          ", ".join(f"{name.replace('_', ' ')} {rate:,.0f} rows/s" for name, rate in speed.items()))
    if wish.write:
        table = {"seed": wish.seed, "speed_rows_per_second": {name: round(rate) for name, rate in speed.items()},
                 "with_model": {**ours.as_json(), "free_names": _line(names["with_model"])},
                 "without_model": {**plain.as_json(), "free_names": _line(names["without_model"])}, "presidio": theirs.as_json()}
        FILE.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
        print(f"written: {FILE.name}")
    return 0


def _ours(model: bool):
    detector = Detector(Settings(model=model))
    return lambda texts: [[(one.start, one.end, one.entity) for one in found] for found in detector.find(texts)]


def _presidio(texts: Sequence[str]) -> list[list[Found]]:
    """Presidio's pattern recognisers as they come, without a names model; only what they cover counts, not what they call it."""
    with without("torch", "transformers"):
        import tldextract
        from presidio_analyzer import PatternRecognizer, predefined_recognizers

    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=())  # it would ask the network for a list of domains
    kinds = [getattr(predefined_recognizers, name) for name in predefined_recognizers.__all__]
    found = []
    for kind in kinds:
        if isinstance(kind, type) and issubclass(kind, PatternRecognizer) and kind is not PatternRecognizer:
            try:
                found.append(kind())
            except TypeError:  # needs arguments of its own
                continue
    return [[(one.start, one.end, "PERSON") for recogniser in found for one in recogniser.analyze(text, recogniser.supported_entities, None)
             if one.score >= PRESIDIO_FROM] for text in texts]


def _speed(rows: Sequence[Labelled], model: bool) -> float:
    detector, texts = Detector(Settings(model=model)), [row.text for row in rows[:2000]]
    detector.find(texts[:50])
    begun = time.process_time()
    for start in range(0, len(texts), 64):
        detector.find(texts[start : start + 64])
    return len(texts) / (time.process_time() - begun)


def _print(rows: Sequence[Labelled], ours: Measured, plain: Measured, theirs: Measured) -> None:
    print(f"{len(rows):,} sentences, {sum(len(row.spans) for row in rows):,} labelled spans, {sum(bool(row.disguise) for row in rows):,} in disguise")
    print(f"\n{'':20} {'recall':>28} {'precision':>28} {'named right':>12} {'no model':>9} {'presidio':>9}")
    for name, line in ours.entities.items():
        other = [_short(table.entities[name].recall) if name in table.entities else "" for table in (plain, theirs)]
        print(f"{name:20} {_long(line.recall):>28} {_long(line.precision):>28} {_short(line.named):>12} {other[0]:>9} {other[1]:>9}")
    print(f"\n{'structured':20} {_long(ours.structured_recall):>28} {_long(ours.structured_precision):>28} {'':12} "
          f"{_short(plain.structured_recall):>9} {_short(theirs.structured_recall):>9}")
    print(f"{'left alone':20} {_long(ours.clean):>28}   hard negatives without any finding; presidio {_short(theirs.clean)}")
    for name, share in ours.disguises.items():
        print(f"hidden: {name:12} {_long(share):>28} {'':41} {_short(plain.disguises[name]):>9} {_short(theirs.disguises[name]):>9}")


def _line(line: Line) -> dict[str, object]:
    return {"recall": line.recall.as_json(), "precision": line.precision.as_json()}


def _long(share: Share) -> str:
    low, high = share.interval()
    return f"{share.value:.4f} [{low:.3f}, {high:.3f}] {share.of:5}"


def _short(share: Share) -> str:
    return f"{share.value:.3f}"


if __name__ == "__main__":
    sys.exit(main())
