"""README and pages: every command in them runs, every name in them exists, and what is generated is up to date."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import click
import pytest

from dadc_net.cli.key_texts import defaults, section_of, sections
from dadc_net.cli.main import dadc
from dadc_net.cli.parties import agent_command, environment_command
from dadc_net.config import resolve
from dadc_net.errors import error_for_exit_code
from dadc_net.team.structures.by_name import BUILT_IN
from dadc_net.team.tasks import TASKS
from tests.docs.console import HOUSE, PAGES, ROOT, Block, blocks, matches, run_blocks
from tests.docs.references import REGENERATE, all_commands
from tests.docs.regenerate import place, written
from tests.process.commands import command, environment

ENTRY = {"dadc": dadc, "dadc-env": environment_command, "dadc-agent": agent_command}
LANES = ("", "long")
SHELLS = ("console", "sh")
"""What a fence with commands may say; sh is the README's two commands, which every check of this project types."""
NAME = {page: page.name for page in PAGES}


def consoles(page: Path, lane: str) -> list[Block]:
    return [block for block in blocks(page) if block.kind == "console" and block.how == lane]


def with_lane(lane: str) -> list[Path]:
    return [page for page in PAGES if consoles(page, lane)]


@pytest.mark.process
@pytest.mark.parametrize("page", with_lane(""), ids=NAME.get)
def test_commands_of_a_page(page: Path, tmp_path: Path) -> None:
    assert run_blocks(consoles(page, ""), tmp_path, 110) == []


@pytest.mark.process
@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", with_lane("long"), ids=NAME.get)
def test_long_commands_of_a_page(page: Path, tmp_path: Path) -> None:
    chosen = [block for block in blocks(page) if block.kind == "console" and block.how in ("", "long")]
    assert run_blocks(chosen, tmp_path, 880) == []


@pytest.mark.process
@pytest.mark.long
@pytest.mark.timeout(1500)
def test_the_figures_of_the_readme(tmp_path: Path) -> None:
    """What the README's first command ends with, line by line, but for the speed; a simulation gives the same."""
    ended = subprocess.run(
        command("dadc", "simulate", "mabc"), cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=1480
    )
    told = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    figures, speed, rest = ended.stdout.partition("\nspeed ")
    assert speed, ended.stderr
    assert [line for line in figures.splitlines() if not any(one.startswith(line) for one in told)] == []
    (digest,) = re.findall(r"[0-9a-f]{64}", rest)
    assert {f"agent {agent}        {digest}" for agent in (1, 2)} <= set(told)


@pytest.mark.process
def test_a_page_that_promises_too_much_is_caught(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- test: file told.txt -->\n```\none\ntwo\n```\n\n```console\n$ cat told.txt\none\n...\n$ cat told.txt\nthree\n"
        "$ false\n$ echo $?\n1\n$ false\n```\n",
        encoding="utf-8",
    )
    found = run_blocks(consoles(page, ""), tmp_path, 20)
    assert [complaint.splitlines()[:2] for complaint in found] == [
        ["$ cat told.txt", "printed:"],
        ["$ false", "ended with 1:"],
    ]


def test_three_points_stand_for_anything() -> None:
    assert matches(["a ... c", "...", "d"], ["a b c", "x", "y", "d"])
    assert matches(["...", "d"], ["d"])
    assert not matches(["a ... c"], ["a b"])
    assert not matches(["a"], ["a", "b"])


@pytest.mark.parametrize("page", PAGES, ids=NAME.get)
def test_every_block_of_commands_is_run_somewhere(page: Path) -> None:
    for block in blocks(page):
        where = f"{page.name}:{block.line}"
        assert block.kind not in {"bash", "shell", "text"}, f"{where}: write commands as console"
        assert block.kind != "sh" or page.name == "README.md", f"{where}: only the README's two commands are sh"
        if block.how.startswith("by "):
            path, _, function = block.how.removeprefix("by ").partition("::")
            tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
            assert function in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, where
        elif not block.how.startswith("file "):
            assert block.how in LANES, f"{where}: {block.how}"
        assert block.kind != "console" or block.commands, f"{where}: no command"


def typed(page: Path) -> list[str]:
    """Commands of this package that stand anywhere in a page: in blocks, and in the text."""
    text = page.read_text(encoding="utf-8")
    inline = re.findall(r"`(dadc(?:-env|-agent)? [^`]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))
    lines = [command.text for block in blocks(page) if block.kind == "console" for command in block.commands]
    pieces = [piece.strip() for line in lines for piece in re.split(r"&&|[;&|>]|\bdo\b|^timeout \S+ \S+", line)]
    return [
        *(" ".join(one.split()) for one in inline),
        *(piece for piece in pieces if re.match(r"dadc(-env|-agent)?(\s|$)", piece)),
    ]


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "commands.md"], ids=NAME.get)
def test_commands_and_options_in_the_text_exist(page: Path) -> None:
    wrong = [f"{line}: {word}" for line in typed(page) for word in unknown_words(line)]
    assert wrong == []


def unknown_words(line: str) -> list[str]:
    """Subcommands and options of a command line that do not exist."""
    name, *words = shlex.split(line.split("|")[0])
    command: click.Command = ENTRY[name]
    wrong = []
    while isinstance(command, click.Group) and words and re.fullmatch(r"[a-z]+", words[0]):
        if words[0] not in command.commands:
            return [*wrong, *([words[0]] if command is dadc else [])]
        command = command.commands[words.pop(0)]
    known = {"-h", "--help"} | {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
    return [*wrong, *(word for word in words if re.match(r"--?[A-Za-z]", word) and word.split("=")[0] not in known)]


def test_a_word_that_does_not_exist_is_caught() -> None:
    assert unknown_words("dadc rum mabc") == ["rum"]
    assert unknown_words("dadc run mabc --see 3 --seed=4 -K 2") == ["--see"]
    assert unknown_words("dadc bench journal --rounds 2 --rond 3") == ["--rond"]


@pytest.mark.parametrize("name", written())
def test_what_is_generated_is_up_to_date(name: str) -> None:
    assert written()[name] == place(name).read_text(encoding="utf-8"), f"{name} is stale: run {REGENERATE}"


def test_every_command_stands_in_the_reference() -> None:
    told = (HOUSE / "docs" / "commands.md").read_text(encoding="utf-8")
    assert {name for name, _ in all_commands()} == set(re.findall(r"^## (dadc.*)$", told, re.MULTILINE))


def test_every_exit_code_stands_in_its_page() -> None:
    page = (HOUSE / "docs" / "exit-codes.md").read_text(encoding="utf-8")
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    known = {code for code in range(2, 256) if type(error_for_exit_code(code, "")).__name__ != "DadcError"}
    assert told == known | {0, 1}


def test_every_key_has_a_meaning() -> None:
    found = [*defaults(), *(section_of(f"structure {kind.name}", kind) for kind in BUILT_IN.values())]
    found += [section_of(f"env of {name}", task.parameters_type) for name, task in TASKS.items()]
    assert [f"{section.name}.{key.name}" for section in found for key in section.keys if not key.meaning] == []


@pytest.mark.parametrize("task", ["mabc", "demand-response", "dec-tiger", "tests.user_task:make_task"])
def test_the_annotated_configuration_is_the_run_itself(task: str, tmp_path: Path) -> None:
    from dadc_net.cli.config import annotated

    config = resolve(task, ["learner.num_envs=4"])
    path = tmp_path / "told.toml"
    path.write_text(annotated(config), encoding="utf-8")
    assert resolve(str(path)).to_plain() == config.to_plain()
    told = {section.name for section in sections(config)}
    assert told == {name for name, value in tomllib.loads(annotated(config)).items() if isinstance(value, dict)}


@pytest.mark.parametrize("page", PAGES, ids=NAME.get)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", text):
        if target.startswith(("http:", "https:")):
            continue
        path = page if not target else place(target) if page.parent == ROOT else (page.parent / target).resolve()
        assert path.exists(), f"{page.name} links to {target}"
        if anchor:
            titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}, anchor


def test_the_site_and_its_first_page_name_every_page() -> None:
    site = (ROOT / "launch" / "mkdocs.yml").read_text(encoding="utf-8")
    index = (HOUSE / "docs" / "index.md").read_text(encoding="utf-8")
    for page in (HOUSE / "docs").glob("*.md"):
        assert f"docs/{page.name}" in site, page
        assert page.name == "index.md" or f"]({page.name})" in index, page


def test_the_lanes_of_the_checks_exist() -> None:
    page = (HOUSE / "docs" / "reading-the-code.md").read_text(encoding="utf-8")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    lanes = {marker.partition(":")[0] for marker in settings["markers"]} - {"process", "shared_models", "browser"}
    assert set(re.findall(r"^\$ python -m pytest -m (\w+)", page, re.MULTILINE)) == lanes


def test_the_readme_is_short_enough_to_read() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 190
