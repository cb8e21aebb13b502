"""The JSON Schema of the definition file, for editors: made from the models and Blink's shape.

Says less than the parser where a schema cannot: it sees neither the environment nor two files at once.
"""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from databrew_ws_dagster.core.definition.contract import Action, allowed_actions
from databrew_ws_dagster.core.definition.model import BLOCKS, StreamDefinition
from databrew_ws_dagster.core.definition.shape import DRIVER, NOT_ACTED_ON, SERVICE_LABELS, SHORTHANDS
from databrew_ws_dagster.core.drift import Drift

_URL_PATTERN = r"^([wW][sS][sS]?://|\$\{)"
_HEADER_NAME_PATTERN = r"^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$"
_REFERENCE = {
    "type": "string",
    "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:[^}]*)?\}",
    "description": "A value from the environment: ${NAME} or ${NAME:default}.",
}


def definition_schema() -> dict[str, Any]:
    """The schema, in draft 2020-12."""
    models = StreamDefinition.model_json_schema(by_alias=True, schema_generator=_WithoutFieldTitles)
    definitions = models["$defs"]
    fields = models["properties"]
    for block, key in SHORTHANDS.items():
        alone = definitions[fields[block]["$ref"].rpartition("/")[2]]["properties"][key]
        fields[block] = {"anyOf": [fields[block], alone]}
    for definition in definitions.values():
        _admit_references(definition)
    _describe_urls(definitions["Source"])
    _describe_open_messages(definitions["Source"])
    _describe_actions(definitions["Contract"])
    for name in ("name", "columns"):
        fields[name] = _with_reference(fields[name])
    definitions["Reference"] = _REFERENCE
    definitions["StreamSchema"] = _stream_schema(fields)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Stream definition of databrew-ws",
        "type": "object",
        "properties": {
            "service": _service(),
            "source": _source(),
            **{key: {"description": f"Not acted on: {why}."} for key, why in NOT_ACTED_ON.items() if "." not in key},
            **{name: fields[name] for name in BLOCKS},
        },
        "required": ["source"],
        "additionalProperties": False,
        "oneOf": [
            {"properties": {place: {"required": ["stream_schema"]}}, "required": [place]}
            for place in ("service", "source")
        ],
        "$defs": definitions,
    }


class _WithoutFieldTitles(GenerateJsonSchema):
    """A key is its own title."""

    def field_title_should_be_set(self, schema: object) -> bool:
        return False


def _service() -> dict[str, Any]:
    not_acted_on = {
        key.removeprefix("service."): {"description": f"Not acted on: {why}."}
        for key, why in NOT_ACTED_ON.items()
        if key.startswith("service.")
    }
    labels = {key: {"description": "Names the pipeline in Blink."} for key in SERVICE_LABELS}
    return {
        "type": "object",
        "properties": {"stream_schema": {"$ref": "#/$defs/StreamSchema"}, **labels, **not_acted_on},
        "additionalProperties": False,
    }


def _source() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "driver": _with_reference({"const": DRIVER}),
            "config": {"$ref": "#/$defs/Source"},
            "stream_schema": {"$ref": "#/$defs/StreamSchema"},
        },
        "required": ["driver", "config"],
        "additionalProperties": False,
    }


def _stream_schema(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": "What the stream's messages look like; one stream to a file.",
        "type": "array",
        "minItems": 1,
        "maxItems": 1,
        "items": {
            "type": "object",
            "properties": {"stream": fields["name"], "columns": fields["columns"]},
            "required": ["stream", "columns"],
            "additionalProperties": False,
        },
    }


def _describe_urls(source: dict[str, Any]) -> None:
    """In a file, one URL stands alone under `url`, and several to fail over between under `urls`."""
    properties = source["properties"]
    properties["urls"]["items"]["pattern"] = _URL_PATTERN
    properties["headers"]["propertyNames"] = {"pattern": _HEADER_NAME_PATTERN}
    source["properties"] = {"url": properties["urls"]["items"], **properties}
    source["required"] = [key for key in source["required"] if key != "urls"]
    source["oneOf"] = [{"required": ["url"]}, {"required": ["urls"]}]


def _describe_open_messages(source: dict[str, Any]) -> None:
    """In a file, an open message without an acknowledgement is its text alone."""
    messages = source["properties"]["open_messages"]
    messages["items"] = {"anyOf": [messages["items"], {"type": "string"}]}


def _describe_actions(contract: dict[str, Any]) -> None:
    """Which actions a drift class may have is a matter of the class."""
    alike: dict[tuple[Action, ...], list[str]] = {}
    for drift in Drift:
        if actions := allowed_actions(drift):
            alike.setdefault(actions, []).append(drift)
    classes = contract["properties"]["classes"]
    del classes["propertyNames"]
    classes["additionalProperties"] = False
    classes["patternProperties"] = {
        f"^({'|'.join(codes)})$": _with_reference({"enum": [str(action) for action in actions]})
        for actions, codes in alike.items()
    }


def _admit_references(definition: dict[str, Any]) -> None:
    for key, schema in definition.get("properties", {}).items():
        definition["properties"][key] = _with_reference(schema)
    if definition.get("enum"):
        enumeration = {**definition}
        definition.clear()
        definition.update(_with_reference(enumeration))


def _with_reference(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, or a reference where the schema alone would not take one."""
    if "items" in schema:
        return {**schema, "items": _with_reference(schema["items"])}
    is_block = "$ref" in schema or schema.get("type") == "object"
    is_any_text = schema.get("type") == "string" and not schema.keys() & {"pattern", "format", "enum", "const"}
    if is_block or is_any_text:
        return schema
    note: dict[str, Any] = {key: schema[key] for key in ("description", "default") if key in schema}
    rule = {key: value for key, value in schema.items() if key not in note}
    options = rule["anyOf"] if rule.keys() == {"anyOf"} else [rule]
    return {**note, "anyOf": [*options, {"$ref": "#/$defs/Reference"}]}
