"""The judgement of people's SQL, on the engine's words for it; filters, limits, settings, Native's headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstream_common.clickhouse.http_protocol import BadRequestError
from runstream_common.identity import InvalidNameError
from runstream_deploy.embedded.native import with_protocol_version
from runstream_query.base.errors import InvalidRequestError
from runstream_query.sqlaccess import client_settings, sql_guard, tenancy, tool_queries
from runstream_query.sqlaccess.sql_runner import short_message

SELECT = """SelectWithUnionQuery (children 1)
 ExpressionList (children 1)
  SelectQuery (children 2)
   ExpressionList (children 1)
    Function count (children 1)
     ExpressionList
   TablesInSelectQuery (children 1)
    TablesInSelectQueryElement (children 1)
     TableExpression (children 1)
      TableIdentifier points_now"""


def judge(tree: str, canonical: str = "SELECT 1") -> None:
    sql_guard.check_syntax(canonical, tree, "default")


def test_an_ordinary_question_passes() -> None:
    judge(SELECT)
    judge(SELECT.replace("points_now", "default.points_now (alias p)"))


@pytest.mark.parametrize(
    "tree",
    [
        SELECT.replace("points_now", "system.tables"),
        SELECT.replace("points_now", "other.points_now"),
        SELECT.replace("points_now", "default.schema_migrations"),
        SELECT.replace("points_now", "default.points_now.x"),
        SELECT.replace("TableIdentifier points_now", "Function url (children 1)"),
        SELECT.replace("TableIdentifier points_now", "Function NUMBERS2 (children 1)"),
        SELECT.replace("Function count", "Function file"),
        SELECT.replace("Function count", "Function fileIf"),
        SELECT.replace("Function count", "Function count with words"),
        SELECT.replace("Function count (children 1)", "Identifier system.one"),
        SELECT.replace("Function count (children 1)", "NodeOfTomorrow"),
        SELECT.replace("Function count (children 1)", "Set"),
        SELECT.replace("Function count (children 1)", "ColumnsApplyTransformer"),
        SELECT.replace("(children 1)", "(children 2)", 1),
        "InsertQuery   (children 2)\n" + SELECT,
        "Explain EXPLAIN (children 1)\n" + SELECT,
        "nonsense",
        "",
    ],
)
def test_what_is_not_on_a_list_is_refused(tree: str) -> None:
    with pytest.raises(InvalidRequestError):
        judge(tree)


@given(st.text(max_size=60))
def test_no_line_that_a_name_could_forge_is_taken_for_less_than_it_is(name: str) -> None:
    """A name with a line break adds lines; it cannot hide the table function that stands behind."""
    tree = SELECT.replace("TableIdentifier points_now", f"TableIdentifier {name}\n      Function url (children 1)")
    with pytest.raises(InvalidRequestError):
        judge(tree)


@pytest.mark.parametrize(
    ("canonical", "refused"),
    [
        ("SELECT 1 FROM a PREWHERE 1", True),
        ("SELECT 1 FROM a prewhere 1", True),
        ("SELECT 'PREWHERE'", False),
        ("SELECT `PREWHERE`, 'it\\'s PREWHERE'", False),
        ("SELECT 'a\\\\' PREWHERE 1", True),
        ("SELECT prewhere_x", False),
    ],
)
def test_prewhere_is_told_from_text_that_says_so(canonical: str, refused: bool) -> None:
    if refused:
        with pytest.raises(InvalidRequestError, match="PREWHERE"):
            judge(SELECT, canonical)
    else:
        judge(SELECT, canonical)


def test_a_format_is_split_off_and_must_be_known() -> None:
    assert sql_guard.split_format("SELECT 1 FORMAT JSON") == ("SELECT 1", "JSON")
    assert sql_guard.split_format("SELECT ' FORMAT JSON'") == ("SELECT ' FORMAT JSON'", "")
    assert sql_guard.split_format("SELECT 1") == ("SELECT 1", "")
    with pytest.raises(InvalidRequestError, match="FORMAT Template"):
        sql_guard.split_format("SELECT 1 FORMAT Template")


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ("  TABLE id: 3, alias: __table1, table_name: default.points_now", True),
        ("  TABLE id: 3, alias: __table1, table_name: default.points_now, final: 1", True),
        ("  TABLE id: 3, alias: __table1, table_name: default.points", False),
        ("  TABLE id: 3, table_name: system.one", True),
        ("  TABLE id: 3, alias: __table1, table_name: system.tables", False),
        ("  TABLE id: 3, alias: __table1, table_name: default.tombstones", False),
        ("  TABLE id: 3, alias: __table1, table_name: default.listening", False),
        ("  TABLE id: 3, alias: __table1, table_name: default.points.x", False),
        ("  TABLE id: 3, something new", False),
        ("  TABLE_FUNCTION id: 15, table_function_name: numbers", True),
        ("  TABLE_FUNCTION id: 15, alias: __table1, table_function_name: url", False),
        ("  TABLE_FUNCTION id: 15, something new", False),
        ("  COLUMN id: 2, column_name: project, result_type: String, source_id: 3", True),
    ],
)
def test_every_table_of_the_resolved_tree_is_judged(line: str, allowed: bool) -> None:
    if allowed:
        sql_guard.check_tables(line, "default")
    else:
        with pytest.raises(InvalidRequestError):
            sql_guard.check_tables(line, "default")


def test_filters_cover_every_table_and_fail_closed() -> None:
    settings = tenancy.row_filters("default", {"points": True, "added": False}, ["b", "a.x-y_z"])
    assert settings["additional_table_filters"] == (
        "{'default.added': '0', "
        "'default.points': 'startsWith(project, \\'a.x-y_z/\\') OR startsWith(project, \\'b/\\')'}"
    )
    with_marks = tenancy.row_filters("default", {"points": True, "added": False, "listening": False}, ["b", "a.x-y_z"])
    assert with_marks == settings, "the views of every team need all the marks"
    assert tenancy.row_filters("default", {"points": True}, [])["additional_table_filters"] == "{'default.points': '0'}"
    for team in ("a' OR 1", "", "a/b", "a\\", "ä"):
        with pytest.raises(InvalidNameError):
            tenancy.row_filters("default", {"points": True}, [team])


def test_settings_of_a_client_are_taken_ignored_or_refused() -> None:
    taken = client_settings.chosen(
        {
            "query": "x",
            "param_a": "1",
            "limit": "5",
            "max_threads": "9",
            "max_execution_time": "3.5",
            "log_comment": "x",
        }
    )
    assert taken == ({"limit": "5"}, 3.5)
    for name in ("additional_table_filters", "allow_ddl", "enable_analyzer", "output_format_schemaX", "format_schema"):
        with pytest.raises(BadRequestError):
            client_settings.chosen({name: "1"})
    with pytest.raises(BadRequestError):
        client_settings.chosen({"max_execution_time": "long"})


@pytest.mark.parametrize(
    "text", ["SHOW TABLES; DROP TABLE x", "SHOW TABLES LIKE 'x'", "SHOW CREATE TABLE points", "SELECT 1"]
)
def test_only_whole_known_texts_are_answered_out_of_courtesy(text: str) -> None:
    assert tool_queries.replacement(text, "default") is None


def test_a_description_is_of_our_tables_only() -> None:
    assert tool_queries.replacement("DESCRIBE TABLE points_now", "db") == "DESCRIBE TABLE db.points_now"
    for name in ("system.tables", "schema_migrations", "default.points_now"):
        with pytest.raises(InvalidRequestError):
            tool_queries.replacement(f"DESCRIBE TABLE {name}", "db")


def test_words_of_the_engine_become_one_line() -> None:
    message = (
        "Code: 62. DB::Exception: Syntax error: failed at position 1 (x): x.\nExpected one of: SELECT: In scope SELECT "
        "formatQuerySingleLine('x'). (SYNTAX_ERROR) (version 26.9)\n"
    )
    assert short_message(message) == "Syntax error: failed at position 1 (x): x. Expected one of: SELECT"
    assert short_message("Code: 159. DB::Exception: Timeout exceeded. (TIMEOUT_EXCEEDED)") == "Timeout exceeded"


def test_blocks_get_the_header_of_their_protocol_version() -> None:
    block = b"\x02\x01" + b"\x01x\x06String" + b"\x02ab" + b"\x01y\x06UInt16" + b"\x07\x00"
    info = b"\x01\x00\x02\xff\xff\xff\xff\x00"
    assert with_protocol_version(block, 0) == block
    assert with_protocol_version(block + block, 54400) == (info + block) * 2
    flagged = info + b"\x02\x01" + b"\x01x\x06String\x00" + b"\x02ab" + b"\x01y\x06UInt16\x00" + b"\x07\x00"
    assert with_protocol_version(block, 54460) == flagged
    with pytest.raises(BadRequestError, match="type Variant"):
        with_protocol_version(b"\x01\x01\x01v\x0fVariant(String)x", 54460)
