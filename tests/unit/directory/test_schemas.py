import jsonschema
import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.directory.checks import CHECKS
from offhook.directory.schemas import SCHEMAS
from offhook.directory.shapes import compile_shape

from .test_validation import names_and_data

OWN_CHECKS = {*CHECKS, "playable", "module_data", ""}


def subschemas(schema):
    yield schema
    for key in ("properties", "patternProperties", "$defs"):
        for below in schema.get(key, {}).values():
            yield from subschemas(below)
    for key in ("additionalProperties", "items"):
        if isinstance(schema.get(key), dict):
            yield from subschemas(schema[key])


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_each_schema_is_one(name):
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["type"] == "object"


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_each_part_is_described_bounded_and_its_check_known(name):
    for schema in subschemas(SCHEMAS[name]):
        if "$ref" in schema:
            continue
        assert schema.get("x-check", "") in OWN_CHECKS
        if schema.get("type") == "string":
            assert "maxLength" in schema or "enum" in schema
        if schema.get("type") == "array":
            assert "maxItems" in schema
        if "default" in schema:
            assert jsonschema.Draft202012Validator(schema).is_valid(schema["default"])
            assert schema["default"] in ({}, []) or not isinstance(schema["default"], (dict, list))


def test_a_recursive_schema_has_a_recursive_shape():
    flow = compile_shape(SCHEMAS["callflow"]).fields["flow"]
    assert flow.fields["children"].others is flow


def found_by_oracle(schema, data):
    """Ours leaves empty keys out of its paths, and makes numbers of keys that look like one."""
    errors = jsonschema.Draft202012Validator(schema).iter_errors(data)
    return {
        (tuple(str(part) for part in error.absolute_path if part != ""), error.validator) for error in errors
    }


def found_by_ours(schema, data):
    errors = jsonschema_rs.Draft202012Validator(schema).iter_errors(data)
    return {(tuple(map(str, error.instance_path)), error.kind.name) for error in errors}


def has_trailing_newline(value) -> bool:
    """Python's `$` matches before one; ours, and ECMA's, do not."""
    if isinstance(value, dict):
        return any(has_trailing_newline(item) for pair in value.items() for item in pair)
    if isinstance(value, list):
        return any(map(has_trailing_newline, value))
    return isinstance(value, str) and value.endswith("\n")


@settings(max_examples=300, deadline=None)
@given(names_and_data)
def test_the_fast_validator_agrees_with_the_oracle(name_and_data):
    name, data = name_and_data
    if not has_trailing_newline(data):
        assert found_by_ours(SCHEMAS[name], data) == found_by_oracle(SCHEMAS[name], data)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=30))
def test_every_pattern_in_a_schema_is_linear_and_matches_alike(text):
    for name in SCHEMAS:
        for schema in subschemas(SCHEMAS[name]):
            if "pattern" in schema and not text.endswith("\n"):
                lone = {"type": "string", "pattern": schema["pattern"]}
                linear = jsonschema_rs.Draft202012Validator(
                    lone, pattern_options=jsonschema_rs.RegexOptions()
                )
                assert linear.is_valid(text) is jsonschema.Draft202012Validator(lone).is_valid(text)
