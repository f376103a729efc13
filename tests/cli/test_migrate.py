"""A migration from plan to rollback, each step a process of its own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.collections import count, ends, seed
from tests.cli.process import Ended, Shell
from tests.emulators import qdrant

RECORDS = 250


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shell, Ended]:
    """A completed migration, to look at; tests do not change it."""
    shell = Shell(tmp_path_factory.mktemp("finished"))
    seed(shell.folder / "source", "docs", RECORDS)
    return shell, shell.run("migrate", "docs", *ends())


def clean(ended: Ended) -> bool:
    """Nothing but data on stdout, no terminal codes on either stream, on stderr progress as dated lines or nothing."""
    lines = ended.err.splitlines()
    return "\x1b" not in ended.out + ended.err and all(
        re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", line) for line in lines
    )


def test_a_dry_run_prints_the_plan_and_writes_to_neither_database(shell: Shell) -> None:
    seed(shell.folder / "source", "docs", RECORDS)
    before = sorted(shell.folder.iterdir())
    ended = shell.run("migrate", "docs", *ends(), "--dry-run")
    assert ended.code == 0
    assert clean(ended)
    for words in ("250 records in 1 namespace", "will be created", "ids", "unchanged", "Vectors", "bit for bit"):
        assert words in ended.out
    assert "Nothing is lost." in ended.out
    document = shell.run("migrate", "docs", *ends(), "--dry-run", "--json").document
    assert document["total_records"] == RECORDS
    assert document["unaccepted"] == []
    assert [item["source_field"] for item in document["field_mappings"]] == ["deep.n", "title"]
    assert {path.name.partition("-")[0] for path in {*shell.folder.iterdir()} - {*before}} == {"state.db"}
    said = f"planned from the profile of .* UTC \\({RECORDS} records\\)"
    assert re.search(said, str(document["warnings"]))
    again = shell.run("migrate", "docs", *ends(), "--dry-run", "--fresh", "--json").document
    assert not re.search(said, str(again["warnings"]))
    assert re.search(said, shell.run("migrate", "docs", *ends()).out.replace("\n", " "))


def test_a_migration_prints_its_plan_its_end_and_the_next_commands(finished: tuple[Shell, Ended]) -> None:
    shell, ended = finished
    assert ended.code == 0
    assert clean(ended)
    assert "completed" in ended.out
    assert "250 of 250 records" in ended.out
    assert "vectormigrate validate docs --full" in ended.out
    said = [line[20:] for line in ended.err.splitlines()]
    assert said[0] == f"planned: {RECORDS} records"
    assert f"100 %: {RECORDS} of {RECORDS} records" in said
    assert count(shell.folder / "target") == RECORDS


def test_the_index_of_the_target_is_shown_while_it_is_waited_for_and_need_not_be_waited_for(shell: Shell) -> None:
    seed(shell.folder / "source", "docs", RECORDS)
    with qdrant.emulator() as server:  # it says once that it is still indexing
        to = ["--target-type", "qdrant", "--target-url", server.url, "--target-option", f"grpc_port={server.grpc_port}"]
        waited = shell.run("migrate", "waited", *ends()[:6], *to, "--target-collection", "a")
        assert waited.code == 0
        shown = [line[20:] for line in waited.err.splitlines()]
        assert [line for line in shown if "index" in line][-2:] == [
            "all records are written; index 0 %",
            "all records are written; index 100 %",
        ]
        assert "still building" not in waited.out + waited.err
        left = shell.run("migrate", "left", *ends()[:6], *to, "--target-collection", "b", "--no-wait")
        assert left.code == 0
        assert f"still building its index: {RECORDS} vectors to go" in left.out.replace("\n", " ")
        assert "100 %" in left.out
        assert shell.run("validate", "left", "--full").code == 0


def test_the_status_is_there_for_people_and_as_one_document(finished: tuple[Shell, Ended]) -> None:
    shell, _ = finished
    document = shell.run("status", "docs", "--json").document
    assert (document["status"], document["phase"], document["percentage"]) == ("completed", "done", 100.0)
    assert (document["migrated_records"], document["reject_codes"]) == (RECORDS, {})
    text = shell.run("status", "docs")
    assert clean(text)
    assert "  100 %  250 of 250 records" in text.out


def test_watching_something_that_has_ended_returns_at_once(finished: tuple[Shell, Ended]) -> None:
    shell, _ = finished
    assert shell.run("status", "docs", "--watch", "--json").document["status"] == "completed"


def test_the_list_may_be_narrowed_to_a_status(finished: tuple[Shell, Ended]) -> None:
    shell, _ = finished
    assert [item["id"] for item in shell.run("list", "--json").document["migrations"]] == ["docs"]
    assert shell.run("list", "--status", "failed", "--json").document == {"migrations": []}
    assert shell.run("list", "--status", "failed").out == "no migrations\n"


def test_a_long_place_is_not_cut_off_when_piped(finished: tuple[Shell, Ended]) -> None:
    shell, _ = finished
    assert str(shell.folder / "target") in shell.run("list").out.replace("\n", "")


def test_a_full_validation_passes_and_is_remembered(finished: tuple[Shell, Ended]) -> None:
    shell, _ = finished
    ended = shell.run("validate", "docs", "--full", "--queries", "5", "--json")
    assert ended.code == 0
    assert ended.err == ""
    document = ended.document
    assert document["passed"] is True
    assert document["diff"]["identical"] == RECORDS
    assert document["counts"] == [
        {"namespace": "", "source": RECORDS, "target": RECORDS, "rejected": 0, "passed": True}
    ]
    assert shell.run("status", "docs", "--json").document["validation"]["passed"] is True
    assert "validation     passed" in shell.run("status", "docs").out


def test_the_report_is_one_html_file(finished: tuple[Shell, Ended]) -> None:
    shell, _ = finished
    ended = shell.run("validate", "docs", "--sample-size", "10", "--queries", "2", "--report", "report.html")
    assert ended.code == 0
    assert "report.html" in ended.out
    assert "</html>" in (shell.folder / "report.html").read_text()


def test_a_completed_migration_is_neither_resumed_nor_stopped_again(
    finished: tuple[Shell, Ended],
) -> None:
    shell, _ = finished
    for arguments in (["resume", "docs"], ["stop", "docs"]):
        ended = shell.run(*arguments)
        assert (ended.code, ended.out) == (4, "")
        assert ended.err.startswith("error: ")
        assert ended.err.count("\n") == 1


def test_validation_fails_with_3_when_a_record_is_missing_and_repair_puts_it_back(shell: Shell) -> None:
    seed(shell.folder / "source", "docs", RECORDS)
    seed(shell.folder / "more", "docs", RECORDS + 3)
    assert shell.run("migrate", "docs", *ends()).code == 0
    # The source grows behind the migration's back.
    (shell.folder / "source").rename(shell.folder / "old")
    (shell.folder / "more").rename(shell.folder / "source")
    ended = shell.run("validate", "docs", "--full", "--queries", "0")
    assert ended.code == 3
    assert "failed" in ended.out
    assert "missing" in ended.out
    assert "vectormigrate validate docs --full --repair" in ended.out
    repaired = shell.run("validate", "docs", "--full", "--queries", "0", "--repair", "--json")
    assert repaired.code == 0
    assert count(shell.folder / "target") == RECORDS + 3


def test_a_rollback_that_nobody_confirms_removes_nothing(shell: Shell) -> None:
    seed(shell.folder / "source", "docs", RECORDS)
    shell.run("migrate", "docs", *ends())
    ended = shell.run("rollback", "docs", stdin="y\n")
    assert (ended.code, ended.out) == (2, "")
    assert "--force" in ended.err
    assert str(shell.folder / "target") in ended.err
    assert count(shell.folder / "target") == RECORDS
    forced = shell.run("rollback", "docs", "--force", "--json")
    assert forced.code == 0
    assert forced.document["dropped_collection"] is True
    assert not Path(shell.folder / "target" / "docs").exists()
    assert shell.run("status", "docs", "--json").document["status"] == "rolled_back"


def test_describe_and_recommend_show_a_real_collection(finished: tuple[Shell, Ended]) -> None:
    shell, _ = finished
    place = ("--type", "qdrant_edge", "--url", "source", "--collection", "docs")
    document = shell.run("schema", "describe", *place, "--json").document
    assert document["namespaces"] == {"": RECORDS}
    assert document["collection"]["vectors"][0]["dim"] == 8
    assert "deep.n" in shell.run("schema", "describe", *place).out
    place = ("--source-type", "qdrant_edge", "--source-url", "source", "--source-collection", "docs")
    document = shell.run("schema", "recommend", *place, "--target-type", "qdrant_edge", "--json").document
    assert document["overall_confidence"] == 1.0


@pytest.mark.parametrize("how", ["inline", "file", "stdin"])
def test_recommend_also_works_from_a_list_of_fields(shell: Shell, how: str) -> None:
    fields = '{"title": "string", "year": "int64"}'
    (shell.folder / "fields.json").write_text(fields)
    given = {"inline": fields, "file": "fields.json", "stdin": "-"}[how]
    arguments = ("--source-type", "qdrant_edge", "--target-type", "qdrant_edge", "--source-schema", given, "--json")
    document = shell.run("schema", "recommend", *arguments, stdin=fields).document
    assert [item["source_field"] for item in document["field_mappings"]] == ["id", "title", "year"]
    assert list(document) == ["source_type", "target_type", "field_mappings", "overall_confidence", "warnings"]


@pytest.mark.parametrize("how", ["call", "fields", "types"])
def test_recommend_takes_the_whole_call_of_the_original_tool_or_flags(shell: Shell, how: str) -> None:
    call = {"source_type": "milvus", "target_type": "qdrant_edge", "source_schema": {"n": "INT64", "v": "VARCHAR(9)"}}
    (shell.folder / "call.json").write_text(json.dumps(call))
    ends = ("--source-type", "milvus", "--target-type", "qdrant_edge")
    given = {
        "call": ("--source-schema", "call.json"),
        "fields": (*ends, "--field", "n=INT64", "--field", "v=VARCHAR(9)"),
        "types": (*ends, "--source-schema", json.dumps(call["source_schema"])),
    }[how]
    document = shell.run("schema", "recommend", *given, "--json").document
    assert (document["source_type"], document["target_type"]) == ("milvus", "qdrant_edge")
    assert [item["source_field"] for item in document["field_mappings"]] == ["id", "n", "v"]
    details = shell.run("schema", "recommend", *given, "--json", "--details").document
    assert [item["name"] for item in details["target_schema"]["fields"] if item["indexed"]] == ["n", "v", "_vm_id"]
    assert {item["field"]: item["index"] for item in details["evidence"]} == {"n": "int64", "v": "string"}
    shown = shell.run("schema", "recommend", *given, "--details")
    assert clean(shown)
    assert "Evidence" in shown.out
    assert "by its type" in shown.out


def test_the_table_of_outcomes_is_printed_for_the_databases_named(shell: Shell) -> None:
    text = shell.run("schema", "table", "milvus", "qdrant_edge")
    assert clean(text)
    assert "| metrics: jaccard | exact | **lossy** |" in text.out
    document = shell.run("schema", "table", "milvus", "qdrant_edge", "--json").document
    line = {"source": "milvus", "target": "qdrant_edge", "group": "metrics", "name": "jaccard", "outcome": "loss"}
    assert line in document["outcomes"]


def test_doctor_checks_state_packages_and_connections(finished: tuple[Shell, Ended]) -> None:
    shell, _ = finished
    (shell.folder / "vectormigrate.toml").write_text('[connections.here]\ntype = "qdrant_edge"\nurl = "source"\n')
    ended = shell.run("doctor", "--json")
    assert ended.code == 0
    assert ended.document["ok"] is True
    assert any("here" in check["name"] for check in ended.document["checks"])
    assert "FAIL" not in shell.run("doctor").out


def test_doctor_and_collections_say_what_there_is_and_make_nothing(finished: tuple[Shell, Ended]) -> None:
    shell, _ = finished
    for type, url in (("qdrant_edge", "not-yet"), ("milvus", "not-yet.db")):
        assert "first use" in shell.run("doctor", "--type", type, "--url", url, "--json").out
        assert shell.run("collections", "--type", type, "--url", url, "--json").document["collections"] == []
        assert not (shell.folder / url).exists()
    found = shell.run("collections", "--type", "qdrant_edge", "--url", "source", "--json").document
    assert [(item["name"], item["problem"]) for item in found["collections"]] == [("docs", None)]
    assert "docs" in shell.run("collections", "--type", "qdrant_edge", "--url", "source").out


def test_the_first_names_of_the_renamed_flags_do_the_same_and_help_shows_the_present_ones(shell: Shell) -> None:
    seed(shell.folder / "source", "docs", 3)
    present = ["--source-collection", "--target-collection", "--rename", "--no-sidecar"]
    first = dict(zip(present, ["--source-index", "--target-index", "--map", "--plain"], strict=True))
    asked = ["migrate", "m", *ends(), "--rename", "title=name", "--no-sidecar", "--dry-run", "--fresh", "--json"]
    spec, again = [shell.run(*words).document["spec"] for words in (asked, [first.get(word, word) for word in asked])]
    assert spec == again
    assert (spec["renames"], spec["plain"]) == ({"title": "name"}, True)
    help_text = shell.run("migrate", "--help").out
    assert all(re.search(rf"{flag}\b", help_text) for flag in present)
    assert not any(re.search(rf"{flag}\b", help_text) for flag in first.values())
    described = shell.run("schema", "describe", "--type", "qdrant_edge", "--url", "source", "--index", "docs")
    assert described.code == 0
