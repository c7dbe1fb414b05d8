"""Golden pairs: a file in `cases` holds what a user writes and what it becomes, or the mistakes they see.

Sections start with `=== NAME`. The first is pylb.yaml, others whose names end like a file's are files beside
it; `environment` holds variables. Then comes what must be true:

    draft         lines `path = JSON` that must be in the draft, as far as it is told
    whole draft   all lines, none more
    mistakes      all of them, in order; ` -- ` is followed by the hint
    warnings      the same, for a valid file

A new case is a new file. Names such as app.test resolve to 192.0.2.1; those that end in `.invalid` do not.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pylb.config import Mistake, load, verdict

CASES = sorted((Path(__file__).parent / "cases").glob("*.txt"))


def sections(case: Path) -> dict[str, str]:
    parts = case.read_text().split("=== ")[1:]
    return {head.strip(): body for head, _, body in (part.partition("\n") for part in parts)}


def resolve(host: str) -> list[str]:
    if host.endswith(".invalid"):
        raise OSError(-2, "Name or service not known")
    return ["192.0.2.1"]


def flatten(value: object, path: str = "") -> Iterator[str]:
    """`{"a": [1]}` -> `a[0] = 1`."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from flatten(inner, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list) and value:
        for at, inner in enumerate(value):
            yield from flatten(inner, f"{path}[{at}]")
    else:
        yield f"{path} = {json.dumps(value)}"


def shown(mistake: Mistake) -> str:
    return f"{mistake.place}: {mistake.message}" + (f" -- {mistake.hint}" if mistake.hint else "")


def is_file(section: str) -> bool:
    return section.endswith((".yaml", ".html", ".txt", ".pem", ".key"))


def lines(text: str | None) -> list[str]:
    return [line for line in (text or "").splitlines() if line.strip()]


def outcome(main: Path, environ: dict[str, str]) -> tuple[list[str], list[str], list[str]]:
    """The draft's lines, mistakes and warnings, as the user of the file gets them."""
    errors, warnings = verdict.check(lambda: load(main, environ=environ), resolve=resolve)
    if errors:
        return [], [shown(mistake) for mistake in errors], []
    draft = load(main, environ=environ).draft(resolve=resolve, descriptors=2064)
    return list(flatten(json.loads(draft))), [], [shown(warning) for warning in warnings]


@pytest.mark.parametrize("case", CASES, ids=[case.stem for case in CASES])
def test_what_a_user_writes_becomes_what_the_case_says(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = sections(case)
    monkeypatch.chdir(tmp_path)
    for name, text in parts.items():
        if is_file(name):
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(text)
    environ = dict(line.split("=", 1) for line in lines(parts.get("environment")))
    found = outcome(Path("pylb.yaml"), environ)
    draft, mistakes, warnings = ([line.replace(str(tmp_path), "/here") for line in part] for part in found)
    assert mistakes == lines(parts.get("mistakes"))
    assert warnings == lines(parts.get("warnings"))
    if "whole draft" in parts:
        assert draft == lines(parts["whole draft"])
    missing = [line for line in lines(parts.get("draft")) if line not in draft]
    assert missing == [], "\n".join(draft)


def test_every_case_says_what_must_be_true() -> None:
    known = {"draft", "whole draft", "mistakes", "warnings", "environment"}
    for case in CASES:
        names = set(sections(case))
        assert names & (known - {"environment"}), case
        assert all(name in known or is_file(name) for name in names), case
