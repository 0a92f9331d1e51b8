"""YAML as data: typing by YAML 1.2, and everything dangerous refused on its line."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from app.config.yaml_source import LARGEST, MOST_VALUES, parse, parse_value, read_text
from app.errors import ConfigError, NeuroWeaverError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("on", "on"), ("y", "y"), ("Off", "Off"), ("1e3", 1000.0), ("1e-4", 0.0001), (".5", 0.5), ("012", 12),
        ("0x1F", 31), ("0o17", 15), ("1_000", "1_000"), ("1:30", "1:30"), ("2020-01-01", "2020-01-01"), ("~", None),
        ("true", True), ("'3'", "3"), ("!!str 3", "3"), ("!!int '3'", 3), ("[a, 1]", ["a", 1]), ("-9223372036854775808", -(2**63)),
        ("; rm -rf x", "; rm -rf x"), ("", ""),
    ],
)
def test_scalars_follow_yaml_1_2(text, value):
    found = parse_value(f"'{text}'" if text.startswith(";") else text)
    assert found == value
    assert type(found) is type(value)


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 30))


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        pytest.param("a: 1\nb: !!python/object/apply:os.system [touch x]", "config.tag", 2, 4, id="object tag"),
        pytest.param("!!python/name:os.system a: 1", "config.tag", 1, 1, id="object tag on a key"),
        pytest.param("a: !mine 1", "config.tag", 1, 4, id="a tag of one's own"),
        pytest.param(LAUGHS, "config.too_large", 5, 10, id="billion laughs"),
        pytest.param("a: &a\n  b: *a", "config.recursive", 2, 6, id="recursive anchor"),
        pytest.param("a: *b", "config.alias", 1, 4, id="unknown anchor"),
        pytest.param("a: 1\nb: 2\na: 3", "config.duplicate_key", 3, 1, id="duplicate key"),
        pytest.param("x:\n  - {a: 1, a: 2}", "config.duplicate_key", 2, 12, id="duplicate key inside a list"),
        pytest.param("[" * 100_000, "config.too_deep", 1, 42, id="deep lists"),
        pytest.param("{a: " * 100_000, "config.too_deep", 1, 165, id="deep mappings"),
        pytest.param("a: [1\nb: 2", "config.syntax", 2, 2, id="unclosed list"),
        pytest.param("a: b: c", "config.syntax", 1, 5, id="two colons"),
        pytest.param("a: 1\n---\nb: 2", "config.syntax", 2, 1, id="second document"),
        pytest.param("ok: 1\na: \x07", "config.syntax", 2, 4, id="control character"),
        pytest.param("a: \x00", "config.syntax", 1, 4, id="NUL"),
        pytest.param("ok: 1\nb: \ud800", "config.syntax", 2, 4, id="lone surrogate"),
        pytest.param("? [a]\n: 1", "config.key", 1, 3, id="a list as key"),
        pytest.param("<<: {a: 1}", "config.merge_key", 1, 1, id="merge key"),
        pytest.param("a: 1e999", "config.number", 1, 4, id="infinite number"),
        pytest.param("a: .nan", "config.number", 1, 4, id="not a number"),
        pytest.param("a: " + "9" * 5000, "config.number", 1, 4, id="number of 5000 digits"),
        pytest.param("a: " + "x" * LARGEST, "config.too_large", None, None, id="too long"),
        pytest.param("a: [" + "1, " * MOST_VALUES + "1]", "config.too_large", 1, None, id="too many values"),
    ],
)
def test_what_is_refused_has_code_line_and_column(text, code, line, column):
    began = time.monotonic()
    with pytest.raises(ConfigError) as caught:
        parse(text, "flow.yaml")
    where = caught.value.where
    assert caught.value.code == code
    assert (where.file, where.line) == ("flow.yaml", line)
    assert column in (None, where.column)
    assert caught.value.remedy
    assert time.monotonic() - began < 5


def test_an_object_tag_runs_nothing(tmp_path):
    mark = tmp_path / "owned"
    with pytest.raises(ConfigError):
        parse(f"a: !!python/object/apply:os.system ['touch {mark}']")
    assert not mark.exists()


def test_readable_faults_are_collected_and_the_rest_is_read():
    faults: list[NeuroWeaverError] = []
    source = parse("a: 1\na: 2\nb: !x 3\nc: 4", "f.yaml", faults)
    assert [(fault.code, fault.where.line) for fault in faults] == [("config.duplicate_key", 2), ("config.tag", 3)]
    assert source.value["a"] == 1
    assert source.value["c"] == 4


def test_all_faults_are_in_the_error():
    with pytest.raises(ConfigError) as caught:
        parse("a: 1\na: 2\nb: !x 3\nc: [")
    assert [fault.code for fault in (caught.value, *caught.value.others)] == [
        "config.duplicate_key", "config.tag", "config.syntax"]


def test_every_value_has_its_place():
    source = parse("steps:\n  train:\n    node: train.qlora\n    lora: {r: 16}\n    list: [1, 2]")
    assert source.places[("steps", "train", "lora", "r")] == (4, 12)
    assert source.places[("steps", "train", "list", 1)] == (5, 15)
    assert source.place(("steps", "train", "gone")).line == 2


def test_aliases_give_copies_of_their_own():
    value = parse("a: &x {n: [1]}\nb: *x").value
    value["a"]["n"].append(2)
    assert value["b"] == {"n": [1]}


@pytest.mark.parametrize("raw", [b"\xff\xfea\x00:\x00", b"a: \xe4"], ids=["UTF-16", "Latin-1"])
def test_a_file_that_is_not_utf8_is_refused(tmp_path, raw):
    file = tmp_path / "f.yaml"
    file.write_bytes(raw)
    with pytest.raises(ConfigError, match="UTF-8") as caught:
        read_text(file)
    assert caught.value.code == "config.unreadable"


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    (tmp_path / "f.yaml").write_bytes(b"\xef\xbb\xbfa: 1")
    assert parse(read_text(tmp_path / "f.yaml")).value == {"a": 1}


def test_a_huge_file_is_not_read_to_its_end(tmp_path):
    file = tmp_path / "f.yaml"
    with file.open("wb") as stream:
        stream.truncate(3 << 30)  # sparse
    began = time.monotonic()
    with pytest.raises(ConfigError):
        read_text(file)
    assert time.monotonic() - began < 2


def test_hostile_documents_never_end_the_process():
    """PyYAML's composer dies of 100,000 brackets with a segmentation fault; ours must not."""
    code = (
        "from app.config.yaml_source import parse\nfrom app.errors import ConfigError\n"
        "try:\n parse('['*1000000)\nexcept ConfigError as e:\n print(e.code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "config.too_deep")
