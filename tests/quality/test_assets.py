"""The built files are those of the sources, they are named by their content, and no template needs
more than the content security policy allows."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from affiliate.config import ROOT

BUILT = ROOT / "static" / "dist"
FRONTEND = ROOT / "frontend"
# Mails are not under our policy: mail programs know no style sheets.
MAILS = set(ROOT.glob("templates/mail/*"))
TEMPLATES = sorted(set((ROOT / "templates").rglob("*.html")) - MAILS)


def test_a_rebuild_gives_the_committed_files(tmp_path):
    node = shutil.which("node")
    if not node or not (FRONTEND / "node_modules").exists():
        pytest.skip("no Node or no frontend/node_modules: get Node 20, then `make assets`")

    subprocess.run([node, FRONTEND / "build.mjs", tmp_path / "dist"], check=True, timeout=120)

    assert contents(tmp_path / "dist") == contents(BUILT), "run `make assets`"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_manifest_names_exactly_the_files_there_are():
    manifest = json.loads((BUILT / "manifest.json").read_text())

    there = {path.name for path in BUILT.iterdir()} - {"manifest.json", "THIRD_PARTY.md"}
    assert set(manifest.values()) == there


def test_versions_are_exact_and_no_registry_is_named():
    package = json.loads((FRONTEND / "package.json").read_text())
    lock = (FRONTEND / "package-lock.json").read_text()

    for version in package["devDependencies"].values():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert '"resolved"' not in lock
    assert json.loads(lock)["packages"][""]["devDependencies"] == package["devDependencies"]


def test_the_first_page_is_light_enough_for_a_slow_phone():
    manifest = json.loads((BUILT / "manifest.json").read_text())
    names = ("app.css", "app.js", "htmx.js", "hx-sse.js")

    assert sum(packed(BUILT / manifest[name]) for name in names) < 60_000


def packed(path: Path) -> int:
    import gzip

    return len(gzip.compress(path.read_bytes()))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_templates_keep_to_the_content_security_policy(path):
    text = re.sub(r"{#.*?#}|{%.*?%}", "", path.read_text(), flags=re.S)

    assert not re.search(r"\sstyle=|\son\w+=|javascript:|hx-on|hx-vals=.js:|<style", text)
    for attributes in re.findall(r"<script([^>]*)>", text):
        data = re.search(r'type="application/(ld\+)?json"', attributes)
        assert "src=" in attributes or data


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_every_icon_that_is_named_is_there(path):
    names = re.findall(r"""icon\(["']([a-z0-9-]+)["']""", path.read_text())

    for name in names:
        assert (ROOT / "templates" / "components" / "icons" / f"{name}.svg").exists(), name
