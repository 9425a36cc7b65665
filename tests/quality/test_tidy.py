"""The house rules that a linter does not know."""

import ast
import re
import statistics
from pathlib import Path

import pytest

from affiliate.config import SECRETS, Settings

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*ROOT.glob("affiliate/**/*.py"), *ROOT.glob("workers/**/*.py")])
NAMES = [str(path.relative_to(ROOT)) for path in SOURCES]
# What a file may say only if it is the home of it. Money is never a float; what is drawn or timed
# may be.
BANNED = {
    ".commit(": {"affiliate/db.py"},
    "datetime.now(": {"affiliate/clock.py"},
    "datetime.utcnow(": set(),
    "time.time(": {"affiliate/links/spool.py"},
    "float(": {"affiliate/links/share.py", "affiliate/bench/redirect.py"},
    "from workers": {"workers/"},
    "import workers": {"workers/"},
    "TODO": set(),
    "FIXME": set(),
    "breakpoint(": set(),
}
LINES_OF_A_FUNCTION = 70
DRAWERS = {"utils", "util", "helpers", "common", "misc", "tools"}


def trees():
    return {name: ast.parse(path.read_text()) for name, path in zip(NAMES, SOURCES, strict=True)}


def functions(tree: ast.Module) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def lines(function: ast.FunctionDef) -> int:
    """From `def` to its last line, without the docstring."""
    documented = ast.get_docstring(function) is not None
    head = function.body[0].end_lineno - function.body[0].lineno + 1 if documented else 0
    return function.end_lineno - function.lineno + 1 - head


@pytest.mark.parametrize("phrase", BANNED)
def test_some_words_have_one_home(phrase):
    strangers = [
        name
        for name, path in zip(NAMES, SOURCES, strict=True)
        if phrase in path.read_text() and not any(name.startswith(home) for home in BANNED[phrase])
    ]

    assert strangers == [], f"{phrase!r} belongs in {BANNED[phrase] or 'no file'}"


def test_functions_are_short():
    every = {
        f"{name}:{function.lineno} {function.name}": lines(function)
        for name, tree in trees().items()
        for function in functions(tree)
    }

    assert {name: count for name, count in every.items() if count > LINES_OF_A_FUNCTION} == {}
    assert statistics.median(every.values()) <= 10


def test_every_module_says_what_it_is_for():
    silent = [
        name for name, tree in trees().items() if tree.body and ast.get_docstring(tree) is None
    ]

    assert silent == []


def test_there_is_no_drawer_for_everything():
    assert [name for name in NAMES if DRAWERS & set(re.split(r"[/.]", name))] == []


def test_every_setting_is_documented():
    text = (ROOT / "docs" / "operate.md").read_text()
    names = [
        "DATABASE_URL" if name == "database_url" else
        "REDIS_URL" if name == "redis_url" else
        f"AFFILIATE_{name.upper()}"
        for name in Settings.model_fields
    ]  # fmt: skip

    assert [name for name in names if f"`{name}`" not in text] == []
    assert [name for name in SECRETS if name not in names] == [], "a secret that is no setting"


def test_the_locks_name_no_address():
    for lock in ROOT.glob("requirements*.lock"):
        assert not re.search(r"https?://|--(extra-)?index-url|--find-links", lock.read_text()), lock
