"""The finance kit: rows that can be rebuilt, balanced, checked and traced; test wording that training never saw."""

from __future__ import annotations

import datetime as dt
import json
import re
import zipfile
from collections import Counter
from decimal import Decimal

import pytest
import yaml

from app.evaluation.checks import headline, refusal, score
from app.store.profile import project_dir

KIT = project_dir() / "kits" / "finance"
ROWS = [json.loads(line) for line in (KIT / "data" / "ledger.jsonl").read_text(encoding="utf-8").splitlines()]
WORDING = yaml.safe_load((KIT / "wording.yaml").read_text(encoding="utf-8"))


def line(row: dict) -> str:
    return row["messages"][0]["content"].split("\nLine: ", 1)[1]


def listed(row: dict) -> list[str]:
    return re.search(r"\nAccounts: (.+)\n", row["messages"][0]["content"])[1].split("; ")


def answer(row: dict) -> dict:
    """The expected answer, its amounts exact."""
    return json.loads(row["messages"][1]["content"], parse_float=Decimal)


TASKS = [row for row in ROWS if row["kind"] == "task"]
REFUSALS = [row for row in ROWS if row["kind"] != "task"]


# -- the committed rows ---------------------------------------------------------------------------------------------
def test_every_entry_balances_to_the_penny_and_holds_only_amounts_of_its_line():
    for row in TASKS:
        found, text = answer(row), line(row).replace(",", "")
        assert sum(found["debit"].values()) == sum(found["credit"].values()) > 0, row
        for amount in [*found["debit"].values(), *found["credit"].values()]:
            assert re.search(rf"(?<![\d.]){amount:.2f}(?!\d)", text), row


def test_the_counterparty_stands_in_the_line_letter_for_letter():
    assert all(answer(row)["counterparty"] in line(row) for row in TASKS)


def test_the_account_is_one_of_those_listed_and_is_posted_on_one_side_only():
    places = Counter()
    for row in TASKS:
        found = answer(row)
        assert len(set(listed(row))) == 5
        places[listed(row).index(found["account"])] += 1
        assert (found["account"] in found["debit"]) != (found["account"] in found["credit"]), row
    assert min(places.values()) > len(TASKS) / 10  # the place in the list gives nothing away


@pytest.mark.parametrize(("kind", "account_side", "other"), [
    ("purchase invoice", "debit", "Creditors Control Account"),
    ("purchase credit", "credit", "Creditors Control Account"),
    ("sales invoice", "credit", "Debtors Control Account"),
    ("sales credit", "debit", "Debtors Control Account"),
    ("card payment", "debit", "Company Credit Card"),
    ("cash payment", "debit", "Petty Cash"),
    ("bank payment", "debit", "Bank Current Account"),
    ("bank receipt", "credit", "Bank Current Account"),
])
def test_each_type_has_its_sides(kind, account_side, other):
    found = [answer(row) for row in TASKS if answer(row)["type"] == kind]
    assert len(found) > 25
    assert all(one["account"] in one[account_side] for one in found)
    assert all(set(one["credit" if account_side == "debit" else "debit"]) == {other} for one in found)


def test_vat_is_a_fifth_and_stands_on_the_right_tax_account():
    taxed = 0
    for found in map(answer, TASKS):
        sides = found["debit"] | found["credit"]
        tax = sides.get("Purchase Tax Control Account", sides.get("Sales Tax Control Account"))
        if tax is not None:
            taxed += 1
            assert abs(tax - sides[found["account"]] / 5) <= Decimal("0.005")
            assert ("Sales Tax Control Account" in sides) == found["type"].startswith("sales")
        assert not (tax is not None and found["type"].startswith("bank"))
    assert 0.5 < taxed / len(TASKS) < 0.8


def test_the_date_stands_in_the_line_day_month_and_year():
    for row in TASKS:
        day = dt.date.fromisoformat(answer(row)["date"])
        text = line(row).casefold()
        month = rf"(?:{day.month:02}|{day:%b}[a-z]*)".casefold()
        orders = rf"{day.day:02}\D{month}\D(?:20)?{day.year % 100}|{day.day}\D{month}\D(?:20)?{day.year % 100}|{day.isoformat()}"
        assert re.search(orders, text), row


# -- the split ------------------------------------------------------------------------------------------------------
def shingles(text: str) -> set[tuple[str, ...]]:
    words = re.sub(r"[^a-z0-9.]", " ", text.lower()).split()
    return {tuple(words[at:at + 3]) for at in range(max(len(words) - 2, 1))}


@pytest.mark.parametrize(("held", "others"), [("test", ("train", "calibration")), ("calibration", ("train",))])
def test_no_held_out_line_has_a_near_duplicate_elsewhere(held, others):
    known = [shingles(line(row)) for row in ROWS if row["split"] in others]
    closest = max(len(own & other) / len(own | other) for own in (shingles(line(row)) for row in ROWS if row["split"] == held)
                  for other in known)
    assert 0.04 < closest < 0.5


def test_no_counterparty_of_the_test_split_was_seen_in_training():
    names = {split: {answer(row)["counterparty"].casefold() for row in TASKS if row["split"] == split} for split in ("train", "test")}
    assert len(names["test"]) > 40
    assert not names["test"] & names["train"]


def lists(node, trail=()):
    """Every list of wording.yaml that stands under a split, as (where, split, its texts)."""
    for key, value in node.items():
        if key in ("train", "calibration", "test"):
            yield trail, key, set(value.split() if isinstance(value, str) else value) - {""}
        elif isinstance(value, str) and "|" in value:
            for split, part in zip(("train", "calibration", "test"), value.split("|"), strict=True):
                yield (*trail, key), split, {one.strip() for one in part.split(";")}
        elif isinstance(value, dict):
            yield from lists(value, (*trail, key))


def test_layouts_phrases_amounts_names_and_refusals_belong_to_one_split_each():
    shared = {("names", "ending"), ("dates",)}  # Ltd is Ltd, and most ways to write a date are common
    found = {(trail, split): texts for trail, split, texts in lists(WORDING) if trail not in shared}
    assert len(found) > 200
    for (trail, split), texts in found.items():
        for other in {"train", "calibration", "test"} - {split}:
            assert not texts & found[trail, other], (trail, split, other)


def test_composed_layouts_are_trained_on_and_never_tested():
    counts = Counter(row["split"] for row in TASKS if row["source"].endswith("composed"))
    assert set(counts) == {"train"}
    assert counts["train"] > 350
    assert all(not re.search(r"\{\w+\}", line(row)) for row in ROWS)
    assert not any(separator.strip() == ";" for separator in WORDING["composed"]["separators"])  # layouts of the test have it


def test_some_ways_to_write_a_date_are_new_in_the_test():
    assert len(set(WORDING["dates"]["test"]) - set(WORDING["dates"]["train"])) >= 2


# -- refusals -------------------------------------------------------------------------------------------------------
def test_refusals_are_a_quarter_of_training_and_thirty_of_the_test(task):
    assert {row["messages"][1]["content"] for row in REFUSALS} == {'{"refusal": "out of scope"}', '{"refusal": "not advice"}'}
    assert all(refusal(task, row["messages"][1]["content"]) == row["kind"].replace("_", " ").replace("advice", "not advice")
               for row in REFUSALS)
    counts = Counter((row["split"], row["kind"]) for row in REFUSALS)
    assert (counts["test", "out_of_scope"], counts["test", "advice"]) == (15, 15)
    assert 0.2 < sum(row["split"] == "train" for row in REFUSALS) / sum(row["split"] == "train" for row in ROWS) < 0.3


# -- the kit --------------------------------------------------------------------------------------------------------
def test_counts_are_those_of_the_kit():
    about = yaml.safe_load((KIT / "kit.yaml").read_text(encoding="utf-8"))["kit"]
    assert dict(Counter(row["split"] for row in ROWS)) == about["rows"]


def test_every_row_names_its_source_and_licence():
    assert all(re.fullmatch(r"uk_coa/data\.py: \d+ .+; wording\.yaml: [a-z ]+, (composed|[a-z]+ \d+)", row["source"]) for row in TASKS)
    assert all(re.fullmatch(r"uk_coa/data\.py; wording\.yaml: [a-z_]+, [a-z]+ \d+", row["source"]) for row in REFUSALS)
    assert {(row["licence"], row["package"], row["version"]) for row in ROWS} == {
        ("MIT AND CC0-1.0", "uk-chart-of-accounts", "0.1.3")}


def test_every_expected_answer_passes_its_own_checks(task):
    for row in ROWS:
        text = row["messages"][1]["content"]
        assert headline(task, score(task, text, text, line(row))) == 1.0, row
    assert all(set(answer(row)) == set(task.fields) for row in TASKS)


def test_an_entry_that_does_not_balance_is_told_apart(task):
    text = TASKS[0]["messages"][1]["content"]
    assert score(task, text, text, line(TASKS[0]))["debit_balances"] == 1.0
    broken = json.loads(text)
    broken["credit"] = {name: amount + 1 for name, amount in broken["credit"].items()}
    assert score(task, json.dumps(broken), text, line(TASKS[0]))["debit_balances"] == 0.0


def test_the_data_is_small_enough_to_commit():
    assert sum(file.stat().st_size for file in (KIT / "data").iterdir()) < 3_000_000


def test_the_readme_gives_the_attribution_and_the_limits():
    text = (KIT / "README.md").read_text(encoding="utf-8")
    for words in ("uk-chart-of-accounts 0.1.3", "Bilal Khizar", "MIT", "CC0-1.0", "kits/finance/build.py", "generated",
                  "no accounting, tax or investment advice", "kit_result.py finance"):
        assert words in text
    assert "not" in (KIT / "model-card.md").read_text(encoding="utf-8")


def test_the_workflow_runs_from_import_to_endpoint(document):
    nodes = [spec.node for spec in document.steps.values()]
    assert nodes == ["dataset.import", "data.refine", "train.qlora", "evaluate.compare", "model.export", "model.register",
                     "model.deploy"]
    assert document.steps["deploy"].params["gate"]


# -- the build ------------------------------------------------------------------------------------------------------
def small_chart(build) -> str:
    """A chart with the accounts that the kit uses, written as the package writes it."""
    used = sorted({build.DEBTORS, build.BANK, build.PETTY_CASH, build.CARD, build.CREDITORS, build.SALES_TAX, build.PURCHASE_TAX,
                   *(code for about in build.KINDS.values() for code in WORDING[about.phrases])})
    rows = "".join(f'Account({code}, "Account {code}", T.OVERHEAD, V.{"STANDARD" if code == 7801 else "EXEMPT"}, tags=("x",)),\n'
                   for code in used)
    return f"raise SystemExit('code of the package is never run')\nACCOUNTS = (\n{rows})\n"


def test_the_chart_is_read_without_running_the_package(build):
    chart = build.read_chart(small_chart(build))
    assert (chart[7801].name, chart[7801].vat, chart[1200].vat) == ("Account 7801", "standard", "exempt")


def test_the_build_is_the_same_every_time_and_from_a_wheel(build, tmp_path):
    text = small_chart(build)
    (tmp_path / "uk_coa").mkdir()
    (tmp_path / build.CHART).write_text(text, encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "small.whl", "w") as packed:
        packed.write(tmp_path / build.CHART, build.CHART)
    for name, source in (("a", tmp_path), ("b", tmp_path / "small.whl")):
        build.build(build.chart_text(source, tmp_path), tmp_path / name)
    made = (tmp_path / "a" / "ledger.jsonl").read_text(encoding="utf-8")
    assert made == (tmp_path / "b" / "ledger.jsonl").read_text(encoding="utf-8")
    assert len(made.splitlines()) == len(ROWS)


def test_the_committed_rows_are_what_the_build_makes(build, tmp_path):
    """From a chart with the names that the rows name, and VAT where the rows have it, every task line comes out again."""
    named = {int(code): name for row in TASKS for code, name in re.findall(r": (\d+) (.+?);", row["source"])}
    taxed = {answer(row)["account"] for row in TASKS if len(answer(row)["debit"] | answer(row)["credit"]) == 3}
    other = {1100: "Debtors Control Account", 1200: "Bank Current Account", 1230: "Petty Cash", 1240: "Company Credit Card",
             2100: "Creditors Control Account", 2200: "Sales Tax Control Account", 2201: "Purchase Tax Control Account"}
    rows = [f"Account({code}, {name!r}, T.X, V.{'STANDARD' if name in taxed else 'EXEMPT'})" for code, name in (other | named).items()]
    build.build(f"ACCOUNTS = ({', '.join(rows)})", tmp_path)
    assert (tmp_path / "ledger.jsonl").read_text(encoding="utf-8") == (KIT / "data" / "ledger.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize(("kind", "vat", "debit", "credit"), [
    ("purchase invoice", "24.00", {"Cleaning": "120.00", "Purchase Tax": "24.00"}, {"Creditors": "144.00"}),
    ("purchase credit", "24.00", {"Creditors": "144.00"}, {"Cleaning": "120.00", "Purchase Tax": "24.00"}),
    ("sales invoice", "24.00", {"Debtors": "144.00"}, {"Cleaning": "120.00", "Sales Tax": "24.00"}),
    ("sales credit", "0.00", {"Cleaning": "120.00"}, {"Debtors": "120.00"}),
    ("bank payment", "0.00", {"Cleaning": "120.00"}, {"Bank": "120.00"}),
    ("bank receipt", "0.00", {"Bank": "120.00"}, {"Cleaning": "120.00"}),
])
def test_entries_by_type(build, kind, vat, debit, credit):
    names = {build.CREDITORS: "Creditors", build.DEBTORS: "Debtors", build.BANK: "Bank", build.PURCHASE_TAX: "Purchase Tax",
             build.SALES_TAX: "Sales Tax"}
    chart = {code: build.Account(code, name, "outside_scope") for code, name in names.items()}
    found = build.ledger_entry(kind, build.Account(7801, "Cleaning", "standard"), Decimal("120.00"), Decimal(vat), chart)
    assert {side: {name: str(amount) for name, amount in amounts.items()} for side, amounts in found.items()} == {
        "debit": debit, "credit": credit}
