"""The healthcare kit: answers that are FHIR R4, rows that can be traced, and nothing of a held-out line in training."""

from __future__ import annotations

import io
import json
import random
import re
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import pytest
import yaml

from app.evaluation.checks import headline, parse_object, refusal, score
from app.store.profile import project_dir

KIT = project_dir() / "kits" / "healthcare"
ROWS = [json.loads(line) for line in (KIT / "data" / "dosages.jsonl").read_text(encoding="utf-8").splitlines()]
OWN = [row for row in ROWS if row["package"] == "NeuroWeaver" and row["kind"] == "task"]
PHRASES, REFUSALS, OTHERS = (yaml.safe_load((KIT / f"{name}.yaml").read_text(encoding="utf-8")) for name in ("phrases", "refusals", "others"))


def line(row: dict) -> str:
    """The line itself, without the kit's instruction; a sentence to refuse may stand alone."""
    return row["messages"][0]["content"].split("\n\n", 1)[-1]


def answer(row: dict) -> dict:
    return json.loads(row["messages"][1]["content"])


def of(split: str, rows: list[dict] = ROWS) -> list[dict]:
    return [row for row in rows if row["split"] == split]


# -- the committed rows ---------------------------------------------------------------------------------------------
def test_counts_are_those_of_the_kit():
    about = yaml.safe_load((KIT / "kit.yaml").read_text(encoding="utf-8"))["kit"]
    assert dict(Counter(row["split"] for row in ROWS)) == about["rows"]
    asked = Counter(row["kind"] for row in of("test"))
    assert asked == {"task": 124, "out_of_scope": 32, "advice": 32}
    measured = about["measured"]
    assert measured["items"] == measured["refused_wrongly"][1] == asked["task"]
    assert {kind: of_asked[1] for kind, of_asked in measured["refused"].items()} == {"out of scope": 32, "not advice": 32}


def test_the_readme_tells_the_figures_of_the_kit():
    measured = yaml.safe_load((KIT / "kit.yaml").read_text(encoding="utf-8"))["kit"]["measured"]
    text = (KIT / "README.md").read_text(encoding="utf-8")
    low, high = measured["interval"]
    assert f"**{100 * measured['tuned']:.1f}**" in text
    assert f"{100 * measured['difference']:+.1f} [{100 * low:.1f}, {100 * high:.1f}]" in text
    assert f"{measured['seconds']} s" in text
    assert "{} of {} [".format(*measured["refused_wrongly"]) in text


def shingles(text: str) -> set[tuple[str, ...]]:
    """Written again here, not imported: the build's own mistake must not hide itself."""
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[at:at + 3]) for at in range(max(len(words) - 2, 1))}


@pytest.mark.parametrize(("held", "others"), [("test", ("train", "calibration")), ("calibration", ("train",))])
def test_no_held_out_line_has_a_near_duplicate_elsewhere(held, others):
    known = [shingles(line(row)) for split in others for row in of(split)]
    closest = max(len(own & other) / len(own | other) for own in map(shingles, map(line, of(held))) for other in known)
    assert 0.2 < closest < 0.5


def test_no_drug_of_a_held_out_line_is_named_in_training():
    trained = " ".join(line(row).casefold() for row in of("train", OWN))
    named = {drug["name"] for drug in PHRASES["drugs"] if any(drug["name"].casefold() in line(row).casefold() for row in of("test", OWN))}
    known = {name for name in named if re.search(rf"\b{re.escape(name.casefold())}\b(?! (nasal|otic|rectal|suspension|ophthalmic|acetate))", trained)}
    assert len(named) >= 15
    assert known == set()


@pytest.mark.parametrize("field", ["reason", "instruction"])
def test_no_quote_of_a_held_out_line_was_trained(task, field):
    quotes = {split: {str(task.read(answer(row))[field]).casefold() for row in of(split, OWN)} - {"none"} for split in ("train", "test")}
    assert len(quotes["test"]) >= 8
    assert quotes["train"] & quotes["test"] == set()


@pytest.mark.parametrize("name", ["frames", "out_of_scope", "advice"])
def test_no_sentence_pattern_stands_in_two_splits(name):
    listed = PHRASES[name] if name == "frames" else REFUSALS[name]
    patterns = [re.sub(r"[\[\]]", "", pattern) for split in listed.values() for pattern in split]
    assert len(set(patterns)) == len(patterns) >= 40


def test_every_row_names_its_source_and_licence():
    about = Counter((row["package"], row["version"], row["licence"]) for row in ROWS)
    assert about.pop(("parsigs", "1.1.0b0", "MIT")) == len(OTHERS["parsigs"])
    assert about.pop(("dose-instruction-parser", "2025.1024a0", "MIT")) == len(OTHERS["dose-instruction-parser"])
    assert set(about) == {("NeuroWeaver", "healthcare kit 3", "CC0-1.0")}
    coded = [row for row in OWN if "asNeededCodeableConcept" in answer(row)]
    assert len(coded) > 100
    assert all(re.fullmatch(r"kits/healthcare/phrases\.yaml; ICD-10-CM [A-Z]\d\w(\.\w+)?", row["source"]) for row in coded)


def test_lines_by_others_are_test_lines():
    assert {row["split"] for row in ROWS if row["licence"] == "MIT"} == {"test"}


def test_every_expected_answer_passes_its_own_checks_and_says_nothing_else(task):
    for row in ROWS:
        written = row["messages"][1]["content"]
        assert headline(task, score(task, written, written, line(row))) == 1.0, row
        if row["kind"] == "task":
            assert parse_object(task.written(task.read(answer(row)))) == answer(row)


def test_a_row_to_refuse_says_so_and_nothing_more(task):
    words = {"task": "", "out_of_scope": "out of scope", "advice": "not advice"}
    assert all(refusal(task, row["messages"][1]["content"]) == words[row["kind"]] for row in ROWS)
    assert all(list(answer(row)) == ["refusal"] for row in ROWS if row["kind"] != "task")


def test_every_sentence_to_refuse_stands_behind_the_instruction_and_alone():
    for split in ("train", "calibration", "test"):
        asked = [row["messages"][0]["content"] for row in of(split) if row["kind"] != "task"]
        alone = {text for text in asked if "\n\n" not in text}
        assert len(alone) >= 6
        assert alone <= {text.split("\n\n", 1)[1] for text in asked if "\n\n" in text}


def test_no_dosage_line_stands_alone_and_none_is_empty():
    assert all(line(row).strip() and "\n\n" in row["messages"][0]["content"] for row in ROWS if row["kind"] == "task")


def test_a_timing_alone_does_not_tell_a_dosage_line_from_what_is_none():
    """Lines to refuse have the timings of dosage lines; a model that goes by these would refuse dosage lines wrongly."""
    timings = {phrase for timing in PHRASES["timings"].values() for phrase in timing["train"] if len(phrase.split()) > 1}
    for kinds in (("task",), ("out_of_scope",), ("advice",)):
        timed = sum(any(phrase in line(row).casefold() for phrase in timings) for row in of("train") if row["kind"] in kinds)
        assert timed >= 20


def test_every_answer_says_something():
    assert all(answer(row) for row in ROWS)


def test_doses_of_an_answer_are_said_by_its_line():
    words = {0.5: ("half", "½", "1/2"), 1: ("one",), 2: ("two",), 3: ("three",), 4: ("four",), 5: ("five",), 6: ("six",), 8: ("eight",),
             10: ("ten",), 12: ("twelve",), 14: ("fourteen",)}
    for row in OWN:
        for dose in answer(row).get("doseAndRate", ()):
            for quantity in (dose.get("doseQuantity"), *dose.get("doseRange", {}).values()):
                if quantity:
                    said = (f"{quantity['value']:g}", *words.get(quantity["value"], ()))
                    assert any(one in line(row).casefold() for one in said), row


def test_the_data_is_small_enough_to_commit():
    assert sum(file.stat().st_size for file in KIT.rglob("*") if file.is_file()) < 2_000_000


def test_the_readme_names_sources_limits_and_commands():
    text = (KIT / "README.md").read_text(encoding="utf-8")
    for words in ("simple-icd-10-cm 1.5.0", "parsigs 1.1.0b0", "dose-instruction-parser 2025.1024a0", "fhir 4.12.0", "CC0", "MIT",
                  "kits/healthcare/build.py", "kit_result.py healthcare", "not medical advice", "linear model"):
        assert words in text
    assert "Not for" in (KIT / "model-card.md").read_text(encoding="utf-8")


def test_the_workflow_runs_from_import_to_endpoint(document):
    nodes = [spec.node for spec in document.steps.values()]
    assert nodes == ["dataset.import", "data.refine", "train.qlora", "evaluate.compare", "model.export", "model.register",
                     "model.deploy"]
    assert document.steps["deploy"].params["gate"]


# -- the build ------------------------------------------------------------------------------------------------------
def element(name: str, kind: str, *, many: bool = False, codes: str = "", inner: list | None = None) -> dict:
    bound = {"_valueSet": f"set:{codes}|4.0.1", "_valueSetStrength": "required"} if codes else {}
    return {"_name": name, "_type": kind, "_multiple": many, **bound, **({"_properties": inner} if inner else {})}


QUANTITY = [element("value", "decimal"), element("unit", "string")]
REPEAT = [element("boundsDuration", "Duration"), element("frequency", "positiveInt"), element("period", "decimal"),
          element("periodMax", "decimal"), element("periodUnit", "code", codes="time"), element("when", "code", many=True, codes="event")]
DOSAGE = [element("patientInstruction", "string"), element("timing", "Timing"), element("asNeededBoolean", "boolean"),
          element("asNeededCodeableConcept", "CodeableConcept"), element("site", "CodeableConcept"), element("route", "CodeableConcept"),
          element("doseAndRate", "Element", many=True, inner=[element("doseQuantity", "Quantity"), element("doseRange", "Range")])]
TYPES = {name: {"_properties": listed} for name, listed in {
    "Dosage": DOSAGE, "Timing": [element("repeat", "Element", inner=REPEAT)], "Quantity": QUANTITY, "Duration": QUANTITY,
    "CodeableConcept": [element("text", "string")], "Range": [element("low", "Quantity"), element("high", "Quantity")]}.items()}
CODES = {f"set:{name}": {"systems": [{"codes": [{"code": code} for code in codes.split()]}]} for name, codes in (
    ("time", "h d wk mo a"), ("event", "MORN EVE NIGHT HS C AC ACM PC"))}
TABLE = """<root><diag><name>R51</name><desc>Headache</desc><diag><name>R51.9</name><desc>Headache, unspecified</desc>
<inclusionTerm><note>Facial pain NOS</note><note>Other headache</note><note>Pain (2nd kind)</note></inclusionTerm></diag></diag></root>"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory) -> Path:
    """The four packages in small."""
    folder = tmp_path_factory.mktemp("packages")
    with zipfile.ZipFile(folder / "simple_icd_10_cm-1.5.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("simple_icd_10_cm/data/icd10c-tabular-April-1-2026.xml", TABLE)
    with zipfile.ZipFile(folder / "dose_instruction_parser-2025.1024a0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("dose_instruction_parser/tests/lines.py", "\n".join(one["line"] for one in OTHERS["dose-instruction-parser"]))
    for name, files in (("fhir-4.12.0.tgz", {"package/profiles/types.json": json.dumps(TYPES), "package/profiles/valuesets.json": json.dumps(CODES)}),
                        ("parsigs-1.1.0b0.tar.gz", {"parsigs/tests/lines.py": "\n".join(one["line"] for one in OTHERS["parsigs"])})):
        with tarfile.open(folder / name, "w:gz") as archive:
            for path, text in files.items():
                member = tarfile.TarInfo(path)
                member.size = len(text.encode())
                archive.addfile(member, io.BytesIO(text.encode()))
    return folder


def test_terms_are_short_and_plain(build):
    assert build.terms(TABLE.encode()) == {"R51": ["headache"], "R51.9": ["headache", "facial pain"]}


def test_the_build_is_the_same_every_time(build, packages, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "COUNTS", {"test": 10, "calibration": 5, "train": 30})
    for name in ("a", "b"):
        counted = build.build(packages, tmp_path / name)
    assert counted["train, task"] == 30
    assert counted["test, task"] == 10 + len(OTHERS["parsigs"]) + len(OTHERS["dose-instruction-parser"])
    assert (tmp_path / "a" / "dosages.jsonl").read_bytes() == (tmp_path / "b" / "dosages.jsonl").read_bytes()


def test_training_lines_change_no_held_out_line(build, packages, tmp_path, monkeypatch):
    found = []
    for count in (5, 30):
        monkeypatch.setattr(build, "COUNTS", {"test": 10, "calibration": 5, "train": count})
        build.build(packages, tmp_path)
        rows = map(json.loads, (tmp_path / "dosages.jsonl").read_text(encoding="utf-8").splitlines())
        found.append([row for row in rows if row["split"] != "train"])
    assert found[0] == found[1]


def test_a_composed_frame_has_no_order_of_a_held_out_one(build):
    grammar = build.Grammar(PHRASES, {}, "train", random.Random(0))
    listed = set(PHRASES["frames"]["train"])
    composed = {frame for frame in (grammar.frame() for _ in range(400)) if frame not in listed}
    assert len(composed) > 150
    assert not {build.order_of(frame) for frame in composed} & grammar.held_out


def test_a_line_that_a_package_does_not_hold_is_refused(build, packages):
    listed = OTHERS | {"parsigs": [{"line": "take 3 of everything", "dosage": {}}]}
    with pytest.raises(ValueError, match=r"parsigs 1\.1\.0b0 has no line 'take 3 of everything'"):
        list(build.by_others(packages, listed, build.Fhir(TYPES, CODES)))


@pytest.mark.parametrize(("dosage", "fault"), [
    pytest.param({"dose": 1}, "Dosage has no dose", id="unknown element"),
    pytest.param({"doseAndRate": {"doseQuantity": {"value": 1}}}, "Dosage.doseAndRate: a list", id="no list"),
    pytest.param({"route": [{"text": "oral"}]}, "Dosage.route: a list, or no list", id="a list"),
    pytest.param({"timing": {"repeat": {"periodUnit": "day"}}}, "day is not in set:time", id="unknown code"),
    pytest.param({"timing": {"repeat": {"when": ["NOONISH"]}}}, "NOONISH is not in set:event", id="unknown code in a list"),
    pytest.param({"timing": {"repeat": {"frequency": 1.5}}}, "1.5 is not a positiveInt", id="half a time"),
    pytest.param({"timing": {"repeat": {"period": "1"}}}, "'1' is not a decimal", id="text for a number"),
    pytest.param({"asNeededBoolean": 1}, "1 is not a boolean", id="1 for true"),
    pytest.param({"patientInstruction": True}, "True is not a string", id="true for text"),
])
def test_an_answer_that_is_not_fhir_is_found(build, dosage, fault):
    assert fault in " ".join(build.Fhir(TYPES, CODES).faults(dosage, "Dosage"))


@pytest.mark.parametrize(("frame", "words"), [
    ("{verb} {dose}[, {route}][. {instruction}]", "take 1 tab"),
    ("[{route}:] {verb} {dose} - [{site}]", "take 1 tab"),
    ("{dose} [{route}] , {dose} ;[{site}]. {dose}", "1 tab, 1 tab; 1 tab"),
])
def test_empty_parts_leave_no_trace(build, frame, words):
    class Bare:
        def slot(self, name, *, optional):
            return None if optional else build.Part({"verb": "take", "dose": "1 tab"}[name])

    assert build.put_together(frame, Bare()) == (words, {})


def test_capitals_reach_the_quotes_and_a_slip_of_the_finger_does_not(build):
    dosage = {"patientInstruction": "shake well", "route": {"text": "oral"}}
    shares = {"typo": 0, "capitals": 1}
    assert build.as_written("take, shake well", dosage, random.Random(0), shares) == (
        "TAKE, SHAKE WELL", {"patientInstruction": "SHAKE WELL", "route": {"text": "oral"}})
    assert build.misspelt("take, shake well", dosage, random.Random(0)) in ("tkae, shake well", "taek, shake well")


@pytest.mark.parametrize(("bounds", "period", "early"), [((3, "d"), (1, "mo"), True), ((1, "wk"), (1, "wk"), True), ((3, "d"), (8, "h"), False)])
def test_nobody_writes_a_course_that_ends_before_its_second_dose(build, bounds, period, early):
    repeat = {"boundsDuration": {"value": bounds[0], "unit": bounds[1]}, "period": period[0], "periodUnit": period[1]}
    assert build.ends_early({"timing": {"repeat": repeat}}) is early
