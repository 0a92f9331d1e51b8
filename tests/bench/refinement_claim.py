"""The claim, tested: the same held-out quality with less training compute, by refining the rows first.

    python tests/bench/refinement_claim.py [--seeds 1 2 3] [--clean 280] [--rot 1.2] [--epochs 1] [--keep FOLDER] [--only POOL]

Two pools of the legal kit's training rows (licence notice -> JSON with expression, category and verbatim quote):

    rotten   clean rows, and --rot times as many rows of rot: copies and near copies (of few rows many, as in a scan of files),
             text in a wrong encoding, answers cut off, answers of other rows, foreign and off-topic rows, web boilerplate in place
             of the notice
    control  the clean rows alone

Four arms on each, all with the product's own nodes and trainer, the same batches, schedule and number of passes:

    full              every row
    refined           what data.clean, data.refine, data.assess and data.select make of them (limits fixed beforehand; k is what is left)
    random            as many tokens as refined costs, its scoring too, drawn by chance
    refined_at_full   the refined rows, trained until scoring and training cost what full costs

Compute is one thread's CPU-seconds: scoring as measured, and training tokens times the median CPU-seconds a token over all
trainings of the experiment, because the machine is shared (the raw seconds are printed too).  Quality is the negative
log-likelihood of the held-out answers (the kit's test and calibration rows, a different family of notices each), nats a token,
mean over rows.  Intervals: 95 %, bootstrap over rows and seeds together, paired.  The claim holds on a pool if refined costs at
least 30 % less than full, is not inferior (interval below +1 % of full's), and is better than random (interval below 0).

Each result is kept in --keep (default build/refinement_claim) and not made again, so the experiment can be stopped and gone on
with.  The rot is ours: it says what happens where a pool holds such rows, not how many a user's pool holds.  What data.assess
measures was worked out while looking at the rot of seed 0, which is therefore not used; nothing was trained for that.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", OMP_WAIT_POLICY="PASSIVE", OMP_NUM_THREADS="1")
KIT = ROOT / "kits" / "legal" / "data" / "notices.jsonl"
ARMS = ("full", "refined", "random", "refined_at_full")
POOLS = ("rotten", "control")
MARGIN, LEAST_SAVED = 0.01, 0.30
NEAR = 0.8
"""Likeness from which rows count as copies: notices are short and share wording.  Chosen on clean rows, before any training."""
LEAST_QUALITY = 0.5
ROT = {"copy": 0.2, "near_copy": 0.2, "encoding": 0.1, "cut": 0.12, "wrong_answer": 0.18, "off_topic": 0.1, "boilerplate": 0.1}
INSTRUCTION_ENDS = "\n\n"


# -- pools --------------------------------------------------------------------------------------------------------------
def kit_rows(*splits: str) -> list[dict[str, Any]]:
    """The licence notices of the legal kit (not its refusals) as {"question", "answer"}."""
    found = [json.loads(line) for line in KIT.read_text(encoding="utf-8").splitlines()]
    return [{"question": row["messages"][0]["content"], "answer": row["messages"][1]["content"]} for row in found
            if row["split"] in splits and "quote" in row["messages"][1]["content"]]


def make_pool(kind: str, clean: int, rot: float, seed: int) -> list[dict[str, Any]]:
    """The rows of a pool, mixed; "rot" names what was done to a row, "" for clean ones.  Rot other than copies is made of other rows.

    Copies fall on the rows by Zipf's law: the first is copied twice as often as the second.
    """
    chance = random.Random(f"pool:{seed}")
    rows = kit_rows("train")
    chance.shuffle(rows)
    kept, others = rows[:clean], rows[clean:]
    answers, weights = list(others), [1 / rank for rank in range(1, clean + 1)]
    pool = [{**row, "rot": ""} for row in kept]
    if kind == "rotten":
        for name, share in ROT.items():
            for _ in range(round(share * rot * clean)):
                source = chance.choices(kept, weights)[0] if name in ("copy", "near_copy") else others.pop()
                pool.append({**ROTTERS[name](source, chance, answers), "rot": name})
    chance.shuffle(pool)
    return pool


def copy(row: dict[str, Any], chance: random.Random, others: list[dict[str, Any]]) -> dict[str, Any]:
    """The same words with other blanks."""
    return {**row, "question": row["question"] + chance.choice([" ", "\n", "  \n"])}


def near_copy(row: dict[str, Any], chance: random.Random, others: list[dict[str, Any]]) -> dict[str, Any]:
    """One or two words of the notice left out or said twice; never one of the quote."""
    start, _, notice = row["question"].partition(INSTRUCTION_ENDS)
    quote = set(json.loads(row["answer"])["quote"].split())
    words = notice.split(" ")
    for _ in range(chance.randint(1, 2)):
        free = [place for place, word in enumerate(words) if word not in quote]
        if free and len(words) > 4:
            place = chance.choice(free)
            words[place : place + 1] = [] if chance.random() < 0.5 else [words[place]] * 2
    return {"question": start + INSTRUCTION_ENDS + " ".join(words), "answer": row["answer"]}


def encoding(row: dict[str, Any], chance: random.Random, others: list[dict[str, Any]]) -> dict[str, Any]:
    """Typographic characters, read in a wrong encoding; question and answer alike."""
    typographic = str.maketrans({'"': "“", "'": "’", "-": "–", "a": "á" if chance.random() < 0.3 else "a"})

    def spoil(text: str) -> str:  # as programs do: Windows-1252, and Latin-1 where that has no character
        return "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in text.translate(typographic).encode())

    start, _, notice = row["question"].partition(INSTRUCTION_ENDS)
    answer = json.loads(row["answer"])
    spoilt = spoil(f"“{notice}”")
    return {"question": start + INSTRUCTION_ENDS + spoilt,
            "answer": json.dumps({**answer, "quote": spoil(answer["quote"])}, ensure_ascii=False)}


def cut(row: dict[str, Any], chance: random.Random, others: list[dict[str, Any]]) -> dict[str, Any]:
    """The answer breaks off."""
    return {**row, "answer": row["answer"][: int(len(row["answer"]) * chance.uniform(0.3, 0.85))]}


def wrong_answer(row: dict[str, Any], chance: random.Random, others: list[dict[str, Any]]) -> dict[str, Any]:
    """The answer of another notice."""
    different = [other for other in others if other["answer"] != row["answer"]]
    return {**row, "answer": chance.choice(different)["answer"]}


def off_topic(row: dict[str, Any], chance: random.Random, others: list[dict[str, Any]]) -> dict[str, Any]:
    """Another task, in English or another language."""
    subjects = {
        "en": (["the weather", "a good pasta sauce", "my football team", "the new phone", "holidays in Greece"],
               "Tell me something about {}, please, in a few words.", "Many people enjoy {}, and opinions differ a good deal about it."),
        "de": (["das Wetter", "eine gute Suppe", "den neuen Zug", "den Urlaub am Meer", "das alte Haus"],
               "Erzähl mir bitte etwas über {}, aber nur ganz kurz.", "Über {} lässt sich vieles sagen, die Meinungen gehen weit auseinander."),
        "es": (["el tiempo", "una buena sopa", "el nuevo tren", "las vacaciones", "la casa vieja"],
               "Cuéntame algo sobre {}, por favor, con pocas palabras.", "Sobre {} se pueden decir muchas cosas y las opiniones son diversas."),
        "sv": (["vädret", "en god soppa", "det nya tåget", "semestern vid havet", "det gamla huset"],
               "Berätta något om {}, tack, men bara med några få ord.", "Om {} kan man säga mycket, och åsikterna går vitt isär."),
    }
    things, question, answer = subjects[chance.choice(list(subjects))]
    thing = chance.choice(things)
    return {"question": question.format(thing) + f" ({chance.randint(1, 999)})", "answer": answer.format(thing)}


def boilerplate(row: dict[str, Any], chance: random.Random, others: list[dict[str, Any]]) -> dict[str, Any]:
    """A page's furniture where the notice should stand; the answer stays."""
    pieces = ["Home | About | Contact | Log in", "We use cookies to improve your experience. Accept all | Settings", "Subscribe to our newsletter!",
              "Share on Facebook  Share on Twitter", "Skip to main content", "You may also like: Top 10 tips", "Loading...", "Back to top",
              "Copyright 2019. All rights reserved.", "Search this site", "Previous article | Next article", "3 comments", "Advertisement"]
    start, _, _ = row["question"].partition(INSTRUCTION_ENDS)
    return {**row, "question": start + INSTRUCTION_ENDS + " ".join(chance.sample(pieces, 5))}


ROTTERS = {"copy": copy, "near_copy": near_copy, "encoding": encoding, "cut": cut, "wrong_answer": wrong_answer,
           "off_topic": off_topic, "boilerplate": boilerplate}


# -- one seed of one pool -------------------------------------------------------------------------------------------------
class Trial:
    """The arms on one pool with one seed; results are kept in ``folder``."""

    def __init__(self, given: argparse.Namespace, pool: str, seed: int, folder: Path) -> None:
        self.given, self.pool, self.seed, self.folder = given, pool, seed, folder / f"{pool}-{seed}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.results: dict[str, Any] = {}

    def run(self) -> dict[str, Any]:
        """{"refining": ..., arm: ...}; only what is not there yet is made."""
        wanted = ["refining", *(arm for arm in ARMS if arm in self.given.arms)]
        for name in wanted:
            file = self.folder / f"{name}.json"
            if not file.exists():
                print(f"[{self.pool} {self.seed}] {name}", file=sys.stderr, flush=True)
                found = self._refine() if name == "refining" else self._arm(name)
                partial = file.with_suffix(".partial")
                partial.write_text(json.dumps(found), encoding="utf-8")
                partial.rename(file)
            self.results[name] = json.loads(file.read_text(encoding="utf-8"))
        return self.results

    def _store(self, name: str) -> tuple[Any, Path]:
        from app.store import Profile, Store

        work = self.folder / "work" / name
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        return Store.open(Profile(work / "profile")), work

    def _rows(self, store: Any, rows: list[dict[str, Any]]) -> Any:
        """Rows as version 1 of a dataset, all for training."""
        from app.store.records import Row
        from tests.context import make_rows

        made = make_rows(store, [
            Row("chat", [{"role": "user", "content": row["question"]}, {"role": "assistant", "content": row["answer"]}], split="train",
                position=number) for number, row in enumerate(rows, start=1)])
        store.db.execute("INSERT INTO dataset_versions (dataset, version, state, shape, rows, created) VALUES (?, 1, 'ready', 'chat', ?, 0)",
                         (made.dataset, len(rows)))
        return made

    def _refine(self) -> dict[str, Any]:
        """The product's nodes: the rows that they leave, as they leave them, and the CPU-seconds it took."""
        import sklearn.svm  # noqa: F401  (imports are no part of the work, for no arm)
        import transformers  # noqa: F401

        from app.data.assess_node import Assess, AssessParams
        from app.data.clean_node import Clean, CleanParams
        from app.data.refine_node import Refine, RefineParams
        from app.data.select_node import Select, SelectParams
        from app.store.datasets import open_dataset
        from tests.context import FakeContext

        pool = make_pool(self.pool, self.given.clean, self.given.rot, self.seed)
        store, work = self._store("refining")
        with store:
            source = self._rows(store, pool)
            context = FakeContext(store, work, inputs={"rows": source}, seed=self.seed)
            began = time.process_time()
            for step in (Clean(CleanParams.model_validate({"truncated": "remove"})),
                         Refine(RefineParams.model_validate({"near_duplicates": {"threshold": NEAR}}))):
                context.inputs["rows"] = step.run(context)["rows"]
            assessment = Assess(AssessParams.model_validate({})).run(context)["assessment"].summary
            chosen = Select(SelectParams.model_validate({"at_least": {"quality": LEAST_QUALITY}})).run(context)["rows"]
            seconds = time.process_time() - began
            with open_dataset(store, source.dataset) as db:
                kept = [{"position": row.position, "question": row.messages[0]["content"], "answer": row.answer}
                        for row in db.iter_rows(chosen.version, "train")]
        left = Counter(pool[row["position"] - 1]["rot"] for row in kept)
        return {"kept": kept, "seconds": seconds, "score": assessment["score"], "parts": assessment["parts"],
                "of": dict(Counter(row["rot"] for row in pool)), "left": dict(left)}

    def _arm(self, name: str) -> dict[str, Any]:
        """Train and measure one arm."""
        import torch

        from app.training import session
        from app.training.qlora_node import QloraParams
        from tests.context import FakeContext
        from tests.tiny import STARTER

        torch.set_num_threads(1)
        session._set_threads = lambda ctx: None  # type: ignore[assignment]  # one thread for all
        store, work = self._store(name)
        with store:
            rows = self._rows(store, self._rows_of(name))
            ctx = FakeContext(store, work, inputs={"rows": rows}, base_model=str(STARTER), seed=self.seed)
            params: dict[str, Any] = {"epochs": self.given.epochs, "batch_tokens": self.given.batch_tokens, "eval_rows": 0,
                                      "checkpoint_minutes": 0}
            if name == "refined_at_full":
                full, scoring = self.results["full"], self.results["refining"]["seconds"]
                params |= {"epochs": 1000, "max_tokens": max(1, round(full["tokens"] * (1 - scoring / full["seconds"])))}
            if name == "random":
                params["max_tokens"] = self._random_tokens()
                params["epochs"] = self.given.epochs + 1  # the tokens end it
            plan = session.prepare(ctx, QloraParams.model_validate(params))
            trainer, reporter = session.build(ctx, plan)
            began, wall = time.process_time(), time.monotonic()
            trainer.train()
            seconds, elapsed = time.process_time() - began, time.monotonic() - wall
            model = session.finish(ctx, plan, trainer, reporter)["model"]
            tokens, steps = trainer.tokens_seen, int(trainer.state.global_step)
        values = held_out_nll(model, self.given.held_out)
        shutil.rmtree(work, ignore_errors=True)
        return {"rows": len(plan.train.examples), "tokens": tokens, "steps": steps, "seconds": seconds, "wall": elapsed, "nll": values}

    def _random_tokens(self) -> int:
        """What refined spends, its scoring counted as tokens."""
        full, refined, scoring = self.results["full"], self.results["refined"], self.results["refining"]["seconds"]
        return round(refined["tokens"] + scoring * full["tokens"] / full["seconds"])

    def _rows_of(self, name: str) -> list[dict[str, Any]]:
        if name in ("refined", "refined_at_full"):
            kept: list[dict[str, Any]] = self.results["refining"]["kept"]
            return kept
        pool = make_pool(self.pool, self.given.clean, self.given.rot, self.seed)
        if name == "full":
            return pool
        share = self._random_tokens() / self.results["full"]["tokens"]
        return random.Random(f"random:{self.seed}").sample(pool, min(len(pool), round(share * len(pool))))


def held_out_nll(model: Any, most: int) -> list[float]:
    """Nats a token of each held-out answer."""
    from app.evaluation.likelihood import answer_nll
    from app.evaluation.model import encode_prompt, load_pair

    pair, held = load_pair(model), kit_rows("test", "calibration")[: most or None]
    prompts = [encode_prompt(pair.tokenizer, [{"role": "user", "content": row["question"]}]) for row in held]
    with pair.side(tuned=True) as tuned:
        sums, counts = answer_nll(tuned, pair.tokenizer, prompts, [row["answer"] for row in held], batch=16, progress=lambda _share: None)
    return [total / count for total, count in zip(sums, counts, strict=True)]


# -- what came out --------------------------------------------------------------------------------------------------------
def interval(first: Any, second: Any, draws: int = 10_000) -> tuple[float, float, float]:
    """(second - first) over first's mean, with its 95 % interval; both (seeds, rows), rows and seeds drawn together, paired."""
    import numpy as np

    generator = np.random.default_rng(0)
    seeds, rows = first.shape
    found = np.empty(draws)
    for number in range(draws):
        one, two = generator.integers(0, seeds, seeds), generator.integers(0, rows, rows)
        found[number] = (second - first)[np.ix_(one, two)].mean() / first[np.ix_(one, two)].mean()
    low, high = np.quantile(found, [0.025, 0.975])
    return float((second - first).mean() / first.mean()), float(low), float(high)


def pool_lines(pool: str, trials: list[dict[str, Any]], token_seconds: float) -> list[str]:
    """The table of a pool and what follows from it."""
    import numpy as np

    nll = {arm: np.array([trial[arm]["nll"] for trial in trials]) for arm in ARMS}
    scoring = float(np.mean([trial["refining"]["seconds"] for trial in trials]))
    cost = {arm: float(np.mean([trial[arm]["tokens"] for trial in trials])) * token_seconds + (scoring if arm.startswith("refined") else 0)
            for arm in ARMS}
    lines = [f"pool {pool}: {len(trials)} seeds, {nll['full'].shape[1]} held-out rows",
             f"  {'arm':16}{'rows':>7}{'tokens':>9}{'steps':>7}{'CPU s, raw':>12}{'compute':>9}{'of full':>9}{'NLL':>8}{'each seed':>28}"]
    for arm in ARMS:
        mean = {key: np.mean([trial[arm][key] for trial in trials]) for key in ("rows", "tokens", "steps", "seconds")}
        each = " ".join(f"{value:.4f}" for value in nll[arm].mean(1))
        lines.append(f"  {arm:16}{mean['rows']:7.0f}{mean['tokens']:9.0f}{mean['steps']:7.0f}{mean['seconds']:12.0f}{cost[arm]:9.0f}"
                     f"{100 * cost[arm] / cost['full']:8.0f}%{nll[arm].mean():8.4f}{each:>28}")
    lines.append(f"  scoring: {scoring:.1f} CPU s of refined's compute")
    saved = 1 - cost["refined"] / cost["full"]
    versus = {name: interval(nll[name], nll["refined"]) for name in ("full", "random")}
    longer = interval(nll["full"], nll["refined_at_full"])
    for words, (difference, low, high) in (("refined - full", versus["full"]), ("refined - random", versus["random"]),
                                           ("refined at full's compute - full", longer)):
        lines.append(f"  {words}: {100 * difference:+.1f} % [{100 * low:+.1f}, {100 * high:+.1f}]")
    facts = {"saves at least 30 %": saved >= LEAST_SAVED, "not inferior (1 %)": versus["full"][2] <= MARGIN, "better than random": versus["random"][2] < 0}
    lines += [f"  saved: {100 * saved:.0f} % of the compute", "  " + "; ".join(f"{name}: {'yes' if held else 'no'}" for name, held in facts.items())]
    lines.append("  verdict: " + (f"the same quality with {100 * saved:.0f} % less compute" if all(facts.values())
                                  else "nothing to be saved" if not facts["saves at least 30 %"] or not facts["better than random"]
                                  else "less compute, but not shown to be as good"))
    return lines + _refining_lines(trials)


def _refining_lines(trials: list[dict[str, Any]]) -> list[str]:
    of, left = Counter[str](), Counter[str]()
    for trial in trials:
        of.update(trial["refining"]["of"])
        left.update(trial["refining"]["left"])
    parts = [f"{name or 'clean'} {of[name] - left[name]}/{of[name]}" for name in of]
    scores = " ".join(f"{trial['refining']['score']:.0f}" for trial in trials)
    return [f"  removed by refining, of all: {', '.join(sorted(parts))}", f"  dataset score after copies went, each seed: {scores}"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--clean", type=int, default=280, help="clean rows of a pool")
    parser.add_argument("--rot", type=float, default=1.2, help="rows of rot for each clean row")
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--batch-tokens", type=int, default=256)
    parser.add_argument("--held-out", type=int, default=0, help="held-out rows to measure on; 0: all")
    parser.add_argument("--keep", type=Path, default=ROOT / "build" / "refinement_claim", help="where results are kept")
    parser.add_argument("--only", choices=POOLS, help="one pool")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS), help="fewer arms, for a look at them alone")
    parser.add_argument("--refining-only", action="store_true", help="refine, do not train")
    given = parser.parse_args()
    os.environ.update(NEUROWEAVER_KEYRING="off")
    folder = given.keep / f"clean{given.clean}-rot{given.rot:g}-epochs{given.epochs:g}-batch{given.batch_tokens}-held{given.held_out or 'all'}"
    pools = [given.only] if given.only else list(POOLS)
    if given.refining_only:
        for pool in pools:
            trials = [Trial(given, pool, seed, folder) for seed in given.seeds]
            print("\n".join([pool, *_refining_lines([{"refining": trial._refine()} for trial in trials])]), flush=True)
        return 0
    began = time.process_time()
    found: dict[str, list[dict[str, Any]]] = {pool: [Trial(given, pool, seed, folder).run() for seed in given.seeds] for pool in pools}
    if set(given.arms) != set(ARMS):
        for pool, trials in found.items():
            print("\n".join(f"{pool}: {arm} NLL {sum(trial[arm]['nll']) / len(trial[arm]['nll']):.4f}, {trial[arm]['tokens']} tokens, "
                            f"{trial[arm]['seconds']:.0f} CPU s" for trial in trials for arm in given.arms), flush=True)
        return 0
    import statistics

    each = [trial[arm]["seconds"] / trial[arm]["tokens"] for trials in found.values() for trial in trials for arm in ARMS]
    print(f"SmolLM2-135M, LoRA, one thread; {1 / statistics.median(each):.0f} training tokens in a CPU-second (median of {len(each)} trainings, "
          f"{1 / max(each):.0f} to {1 / min(each):.0f}); {time.process_time() - began:.0f} CPU s in this call")
    for pool, trials in found.items():
        print("\n".join(pool_lines(pool, trials, statistics.median(each))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
