"""A file in Blink's format becomes a definition, or every mistake in it is named with its line."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from databrew_ws_dagster.core.definition.template import Template
from databrew_ws_dagster.core.types import DataType, Scalar
from databrew_ws_dagster.core.window import WindowSize
from databrew_ws_dagster.errors import DefinitionError
from databrew_ws_dagster_tests.core.definition.documents import (
    BLINK_EXAMPLE,
    document,
    mistakes,
    only_mistake,
    parse,
)


class TestBlinksFormat:
    def test_the_example_of_blinks_documentation_works_unchanged(self) -> None:
        definition = parse(BLINK_EXAMPLE)
        assert definition.name == "taxi_rides"
        assert definition.file == "s.yaml"
        assert [(c.name, str(c.databrew_type), c.pk, c.nullable) for c in definition.columns] == [
            ("log_id", "Int32", True, False),
            ("timestamp", "String", False, True),
            ("driver_id", "Int32", False, False),
        ]
        assert definition.columns[2].native_connector_type == "numeric"
        assert definition.primary_key == ("log_id",)
        assert definition.source.urls == (Template("wss://example.com/ws"),)

    def test_stream_schema_may_stand_under_source(self) -> None:
        text = document()
        start, end = text.index("  stream_schema"), text.index("source:")
        moved = text[end:] + text[start:end]
        assert parse(moved).columns == parse(text).columns

    def test_stream_schema_in_both_places_names_both_lines(self) -> None:
        schema = "  stream_schema:\n    - {stream: s, columns: [{name: a, databrewType: Int16}]}\n"
        mistake = only_mistake(f"service:\n{schema}source:\n  driver: websocket\n  config: {{url: 'ws://h'}}\n{schema}")
        assert mistake.line == 7
        assert "line 2" in mistake.message
        assert "line 7" in mistake.message

    def test_no_stream_schema_says_where_it_belongs(self) -> None:
        mistake = only_mistake("service: {}\nsource: {driver: websocket, config: {url: 'wss://h'}}")
        assert "`stream_schema` is missing" in mistake.message

    def test_two_streams_are_named(self) -> None:
        more = document().replace("source:", "    - {stream: other, columns: []}\nsource:")
        mistake = only_mistake(more)
        assert "2 streams ('s', 'other') in one file" in mistake.message
        assert mistake.line == 6

    def test_an_empty_stream_schema_declares_no_stream(self) -> None:
        text = "service: {stream_schema: []}\nsource: {driver: websocket, config: {url: 'wss://h'}}"
        assert "declares no stream" in only_mistake(text).message

    @pytest.mark.parametrize("scalar", list(Scalar))
    def test_every_type_of_blink_is_read_alone_and_in_a_list(self, scalar: Scalar) -> None:
        columns = f"- {{name: a, databrewType: {scalar}}}\n- {{name: b, databrewType: List<{scalar}>}}"
        definition = parse(document(columns=columns))
        assert [column.databrew_type for column in definition.columns] == [
            DataType(scalar),
            DataType(scalar, is_list=True),
        ]

    def test_pk_and_nullable_are_false_when_omitted(self) -> None:
        (column,) = parse(document(columns="- {name: a, databrewType: Int16}")).columns
        assert (column.pk, column.nullable) == (False, False)

    def test_json_columns_nest(self) -> None:
        columns = """\
- name: sensors
  databrewType: List<JSON>
  columns:
    - {name: at, databrewType: JSON, columns: [{name: x, databrewType: Float64}]}
- {name: extra, databrewType: JSON, nullable: true}"""
        sensors, extra = parse(document(columns=columns)).columns
        assert sensors.columns[0].columns[0].databrew_type == DataType(Scalar.FLOAT64)
        assert not sensors.is_free_form
        assert extra.is_free_form

    def test_blocks_of_blink_without_effect_are_warned_of(self) -> None:
        blocks = "processors:\n  - {driver: sql}\nsink: {driver: stdout}\nsecrets: {storage_type: vault}\n"
        text = document(blocks=blocks).replace(
            "service:\n", "service:\n  influx: {host: h}\n  etcd: {host: h}\n  reload_on_restart: true\n"
        )
        warnings = parse(text).warnings
        assert [warning.split("`")[1] for warning in warnings] == [
            "processors",
            "sink",
            "secrets",
            "service.reload_on_restart",
            "service.influx",
            "service.etcd",
        ]
        assert warnings[3].startswith("line 4:")

    def test_empty_blocks_of_blink_are_not_worth_a_warning(self) -> None:
        assert parse(document(blocks="processors: []\nsink: {}\nsecrets:\n")).warnings == ()


class TestBlocksOfOurOwn:
    def test_defaults_apply_where_a_block_is_left_out(self) -> None:
        definition = parse(document())
        assert definition.batch.interval_s == 30
        assert definition.window.size is WindowSize.HOURLY
        assert definition.source.max_message_bytes == 1024 * 1024

    def test_durations_and_sizes_are_written_as_people_do(self) -> None:
        definition = parse(
            document(
                config="url: wss://h\nidle_timeout_s: 5m\nheartbeat: {send: ping, interval: 500ms}\n"
                "max_message_bytes: 512KiB",
                blocks="batch: {interval: 45, bytes: 1MiB, messages: 7}",
            )
        )
        assert definition.source.idle_timeout_s == 300
        assert definition.source.heartbeat is not None
        assert definition.source.heartbeat.interval_s == 0.5
        assert definition.source.max_message_bytes == 512 * 1024
        assert (definition.batch.interval_s, definition.batch.bytes, definition.batch.messages) == (45, 1024**2, 7)

    @pytest.mark.parametrize("window", ["daily", "{size: daily}"])
    def test_a_window_is_a_size_or_a_mapping(self, window: str) -> None:
        assert parse(document(blocks=f"window: {window}")).window.size is WindowSize.DAILY

    def test_a_window_may_start_on_a_day(self) -> None:
        definition = parse(document(blocks="window: {start: 2025-02-03}"))
        assert definition.window.start == date(2025, 2, 3)
        assert definition.windows.start == datetime(2025, 2, 3, tzinfo=UTC)

    def test_control_messages_are_told_by_values_of_any_scalar_kind(self) -> None:
        rules = parse(document(blocks="decode: {ignore: [{field: t, values: [a, 1, true, null]}]}")).decode.ignore
        assert rules[0].values == ("a", 1, True, None)

    def test_alerts_are_templates(self) -> None:
        alerts = parse(document(blocks='alerts: {error: ["slack://${TOKEN}"]}'), TOKEN="canary").alerts
        assert alerts.error == (Template("slack://${TOKEN}"),)


class TestMistakes:
    """Each mistake is found, stands at its line and path, and says what would be right."""

    @pytest.mark.parametrize(
        ("text", "line", "path", "words"),
        [
            (document(columns="- {name: a, databrewType: int32}"), 5, "columns[0].databrewType", "mean 'Int32'"),
            (document(columns="- {name: a, databrewType: Decimal}"), 5, "columns[0].databrewType", "Float64"),
            (
                document(columns="- {name: a, databrewType: List<List<Int64>>}"),
                5,
                "columns[0].databrewType",
                "list of lists",
            ),
            (document(columns="- {databrewType: Int32}"), 5, "columns[0]", "'name' is missing"),
            (document(columns="- {name: a, databrewtype: Int32}"), 5, "columns[0]", "'databrewType'"),
            (document(columns="- {name: '', databrewType: Int32}"), 5, "columns[0].name", "empty"),
            (document(columns='- {name: "a\\u001b", databrewType: Int32}'), 5, "columns[0].name", "control"),
            (
                document(columns="- name: a\n  databrewType: JSON\n  pk: true"),
                7,
                "columns[0].pk",
                "JSON column cannot be part of the primary key",
            ),
            (
                document(columns="- name: a\n  databrewType: List<Int16>\n  pk: true"),
                7,
                "columns[0].pk",
                "List<Int16> column cannot be part of the primary key",
            ),
            (
                document(columns="- name: a\n  databrewType: Int16\n  pk: true\n  nullable: true"),
                8,
                "columns[0].nullable",
                "cannot be nullable",
            ),
            (
                document(columns="- name: a\n  databrewType: String\n  columns: [{name: b, databrewType: Int16}]"),
                7,
                "columns[0].columns",
                "only JSON and List<JSON>",
            ),
            (
                document(
                    columns="- name: a\n  databrewType: JSON\n  columns: [{name: b, databrewType: Int16, pk: true}]"
                ),
                7,
                "columns[0].columns[0].pk",
                "top-level",
            ),
            (document(columns="- {name: a, databrewType: Int16, nullable: no}"), 5, "nullable", "true or false"),
            (document(columns="- {name: 5, databrewType: Int16}"), 5, "columns[0].name", "in quotes"),
            (document(columns="[]"), 4, "columns", "at least one column"),
            (document(config="url: http://h"), 9, "source.config.url", "wss://"),
            (document(config="urls: []"), 9, "source.config.urls", "at least one URL"),
            (document(config="urls:\n  - wss://h\n  - wss://h:0"), 11, "source.config.urls[1]", "port"),
            (document(config="{}"), 8, "source.config", "`url` is missing"),
            (document(config="url: wss://h\nurls: [wss://i]"), 10, "source.config.urls", "keep one"),
            (document(config="ulr: wss://h\nurl: wss://h"), 9, "source.config.ulr", "'url'"),
            (document(config="url: wss://h\nidle_timeout_s: soon"), 10, "idle_timeout_s", "500ms"),
            (document(config="url: wss://h\nidle_timeout_s: 0"), 10, "idle_timeout_s", "more than 0"),
            (document(config="url: wss://h\nmax_message_bytes: 1MB"), 10, "max_message_bytes", "1MiB"),
            (document(config="url: wss://h\nclient_key_file: k"), 10, "client_key_file", "client_cert_file"),
            (document(config="url: wss://h\ncompression: gzip"), 10, "compression", "'deflate'"),
            (document(config="url: wss://h\nresume: {path: a}"), 10, "source.config.resume", "{cursor}"),
            (document(config="url: wss://h\nproxy: socks5://h:1"), 10, "source.config.proxy", "http://"),
            (document(config="url: wss://h\nproxy: 'http://u@h'"), 10, "source.config.proxy", "without a password"),
            (document(config="url: wss://h\nproxy: http://h/path"), 10, "source.config.proxy", "leave out"),
            (document(config="url: wss://h\nopen_messages: [5]"), 10, "open_messages[0]", "a mapping"),
            (
                document(config="url: wss://h\nopen_messages: [{send: a, refused: {field: b}}]"),
                10,
                "open_messages[0].refused",
                "give expect too",
            ),
            (document(blocks="batch: {interval: 2h}"), 10, "batch.interval", "at most 3600"),
            (document(blocks="batch: {messages: 1.5}"), 10, "batch.messages", "whole number"),
            (document(blocks="batch: {messages: .inf}"), 10, "batch.messages", "number"),
            (document(blocks="batch:"), 10, "batch", "a mapping"),
            (document(blocks="batc: {}"), 10, "batc", "did you mean 'batch'?"),
            (document(blocks="name: x"), 10, "name", "unknown key"),
            (document(blocks="digest: x"), 10, "digest", "unknown key"),
            (document(blocks="window: weekly"), 10, "window", "'hourly'"),
            (document(blocks="window: {start: yesterday}"), 10, "window.start", "2026-01-31"),
            (document(blocks="decode: {ignore: [{field: a, values: [1.5]}]}"), 10, "values[0]", "1.5"),
            (document().replace("driver: websocket", "driver: kafka"), 7, "source.driver", "'kafka'"),
            (document().replace("driver: websocket", "drivr: websocket"), 7, "source.drivr", "did you mean 'driver'?"),
            (document().replace("stream: s", "stream: my-rides"), 3, "stream", "'my-rides'"),
            (document().replace("stream: s", "stream: rides_Raw"), 3, "stream", "_raw"),
            (document().replace("stream: s", "stream: ../../etc"), 3, "stream", "letters"),
        ],
    )
    def test_one_mistake_is_named_with_line_path_and_remedy(self, text: str, line: int, path: str, words: str) -> None:
        found = [mistake for mistake in mistakes(text) if words in mistake.message]
        assert found, [str(mistake) for mistake in mistakes(text)]
        assert found[0].line == line
        assert found[0].path.endswith(path)

    def test_all_mistakes_are_found_at_once_in_file_order(self) -> None:
        text = document(
            columns="- {name: a, databrewType: int32}\n- {name: A, databrewType: Int32, pk: true, nullable: true}\n"
            "- {name: _window, databrewType: Nope}",
            config="url: http://h\nheaders: {X: '${UNSET}'}\nidle: 3",
            blocks="batch: {messages: many}\nnonsense: 1\n",
        )
        found = mistakes(text)
        assert [mistake.line for mistake in found] == [5, 6, 6, 7, 7, 11, 12, 13, 14, 15]
        assert len(set(found)) == len(found)

    def test_names_that_differ_only_in_case_are_one_name(self) -> None:
        columns = "- {name: price, databrewType: Int16}\n- {name: Price, databrewType: Int16}"
        mistake = only_mistake(document(columns=columns))
        assert mistake.line == 6
        assert "differs from 'price' only in case" in mistake.message

    def test_nested_names_are_compared_with_their_own_neighbours(self) -> None:
        nested = "columns: [{name: id, databrewType: Int16}]"
        columns = f"- {{name: id, databrewType: Int64}}\n- {{name: a, databrewType: JSON, {nested}}}"
        assert mistakes(document(columns=columns)) == ()

    @pytest.mark.parametrize("name", ["_batch_id", "_Rescued", "_record"])
    def test_columns_of_the_connector_are_reserved(self, name: str) -> None:
        assert repr(name) in only_mistake(document(columns=f"- {{name: {name}, databrewType: Int16}}")).message

    def test_a_nested_column_may_have_a_reserved_name(self) -> None:
        nested = "columns: [{name: _window, databrewType: Int16}]"
        assert mistakes(document(columns=f"- {{name: a, databrewType: JSON, {nested}}}")) == ()

    def test_names_of_python_fields_are_not_keys_of_the_file(self) -> None:
        found = mistakes(document(columns="- {name: a, databrew_type: Int16}"))
        assert any("unknown key 'databrew_type'" in mistake.message for mistake in found)

    def test_the_error_shows_file_line_and_path_of_each(self) -> None:
        with pytest.raises(DefinitionError, match=r"s\.yaml: line 10: batch\.messages: must be a whole number"):
            parse(document(blocks="batch: {messages: x}"))

    @pytest.mark.parametrize("text", ["[]", "just text", "5", "- a\n- b"])
    def test_a_document_that_is_no_mapping_is_refused(self, text: str) -> None:
        assert "must be a mapping" in only_mistake(text).message

    @given(st.text(max_size=200))
    def test_any_text_is_a_definition_or_a_definition_error(self, text: str) -> None:
        assert mistakes(text)

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["${X}", "s", "Int64"]),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
            max_leaves=8,
        ),
        st.sampled_from(["service", "source", "decode", "batch", "window", "alerts", "source.config", "stream"]),
    )
    def test_any_data_in_any_block_gives_no_other_error(self, data: object, place: str) -> None:
        """JSON is YAML, so data of any shape can be put into any place of the file."""
        blink: dict[str, object] = {
            "service": {"stream_schema": [{"stream": "s", "columns": [{"name": "a", "databrewType": "Int16"}]}]},
            "source": {"driver": "websocket", "config": {"url": "wss://h"}},
        }
        if place == "source.config":
            blink["source"] = {"driver": "websocket", "config": data}
        elif place == "stream":
            blink["service"] = {"stream_schema": [data]}
        else:
            blink[place] = data
        assert all(mistake.message for mistake in mistakes(json.dumps(blink)))
