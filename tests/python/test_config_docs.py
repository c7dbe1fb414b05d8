"""What is generated from the model is current, whole, and true of the examples."""

import json
from pathlib import Path

import pytest
import yaml
from pylb import cli
from pylb.config import docs, load
from pylb.config.model import Settings

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((Path(cli.__file__).parent / "examples").glob("*/pylb.yaml"))


def test_the_page_of_every_key_is_current() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    assert page == docs.page(), "run: pylb schema --format markdown > docs/configuration.md"


def test_the_page_has_a_row_for_every_key_of_the_schema() -> None:
    page = docs.page()
    schema = docs.schema()
    for section in (schema, *schema["$defs"].values()):
        for key in section.get("properties", {}):
            assert f"| `{key}` |" in page


def test_the_yaml_on_the_page_is_valid(tmp_path: Path) -> None:
    file = tmp_path / "pylb.yaml"
    file.write_text(docs.page().split("```yaml\n")[1].split("```")[0])
    assert load(file, environ={}).warnings == ()


def test_the_schema_says_what_a_user_writes_not_what_it_becomes() -> None:
    schema = docs.schema()
    timeouts = schema["$defs"]["HttpTimeouts"]["properties"]
    assert timeouts["head"]["default"] == "10s"
    assert timeouts["head"]["type"] == "string"
    assert "null" not in json.dumps(schema)
    kinds = [kind.get("type") for kind in schema["$defs"]["HttpListener"]["properties"]["bind"]["anyOf"]]
    assert kinds == ["string", "array"]


@pytest.mark.parametrize("file", EXAMPLES, ids=[file.parent.name for file in EXAMPLES])
def test_examples_are_valid_and_without_warnings(file: Path) -> None:
    assert load(file, environ={}).warnings == ()


def test_what_the_starter_has_commented_out_is_valid_too(tmp_path: Path) -> None:
    starter = next(file for file in EXAMPLES if file.parent.name == "default").read_text()
    shown = [
        line.split("# ", 1)[1] for line in starter.splitlines() if line.startswith("# ") and ": {" in line
    ]
    file = tmp_path / "pylb.yaml"
    file.write_text(starter + "\n".join(shown))
    assert set(yaml.safe_load(file.read_text())) <= set(Settings.model_fields)
    load(file, environ={})
