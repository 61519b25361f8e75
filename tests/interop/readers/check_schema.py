"""Holds a JSON document (stdin) to a JSON Schema: check_schema.py SCHEMA. Exits with 1 and what is wrong."""

import json
import pathlib
import sys

import jsonschema

schema = json.loads(pathlib.Path(sys.argv[1]).read_text())
validator = jsonschema.validators.validator_for(schema, default=None)
if validator is None:
    sys.exit(f"unknown dialect: {schema.get('$schema')}")
validator.check_schema(schema)
checked = validator(schema, format_checker=validator.FORMAT_CHECKER)
errors = [f"{error.json_path}: {error.message}" for error in checked.iter_errors(json.load(sys.stdin))]
if errors:
    sys.exit("\n".join(errors))
