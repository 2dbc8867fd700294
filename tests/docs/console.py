"""Commands in README and pages: fenced blocks ``console``, run in a shell as they are typed, their output compared.

A block holds prompts with commands, and below each the output that is promised. ``...`` in a line stands for anything, a
line of it for any lines; a command with nothing below it may print what it likes. A prompt is ``$``, or a host's name before
it (``server$``). A command must end with 0, unless ``echo $?`` follows and promises another code. A comment
``<!-- test: WORDS -->`` before a block says how it is run:

    (none)              in the normal lane, in one folder and one shell with the other blocks of its page
    long                in the lane of that marker, after the normal blocks of the page
    by TEST             by another test, which must exist; it takes the commands from the page or names them
    file NAME           the block is no console: it is a file that the commands use
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import dadc_net
from tests.process.commands import SCRIPTS, environment

ROOT = Path(__file__).parents[2]
HOUSE = Path(dadc_net.__file__).parent
PAGES = [ROOT / "README.md", HOUSE / "SECURITY.md", HOUSE / "ARCHITECTURE.md", *sorted((HOUSE / "docs").glob("*.md"))]
_BLOCK = re.compile(
    r"^(?:<!-- test: (?P<how>[^>]*?) -->\n)?```(?P<kind>\w*)[^\n]*\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_PROMPT = re.compile(r"^(?P<host>[a-z][a-z0-9-]*)?\$ +(?P<command>.*)$")
_ENDED = re.compile(r"^<<ended (\d+) (\d+)>>$")


@dataclass
class Command:
    """One command of a block."""

    host: str
    text: str
    promised: list[str] = field(default_factory=list)
    """Lines of output."""


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    kind: str
    """What the fence says: console, py, toml."""
    how: str
    """The comment before it; empty if there is none."""
    text: str

    @property
    def commands(self) -> list[Command]:
        """What a user would type, with what is promised to come."""
        found: list[Command] = []
        for line in self.text.splitlines():
            prompt = _PROMPT.match(line)
            if prompt is not None:
                found.append(Command(prompt["host"] or "", prompt["command"]))
            elif found and found[-1].text.endswith("\\"):
                found[-1].text += "\n" + line
            elif found:
                found[-1].promised.append(line)
        return found


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text[: match.start()].count("\n") + 1, match["kind"], match["how"] or "", match["text"])
        for match in _BLOCK.finditer(text)
    ]


def matches(promised: list[str], printed: list[str]) -> bool:
    """Whether the output is what was promised, where ``...`` stands for anything."""
    lines = [".*" if line.strip() == "..." else re.escape(line.rstrip()).replace(r"\.\.\.", ".*") for line in promised]
    pattern = "".join(f"(?:{line}\n)" if line != ".*" else r"(?:.*\n)*" for line in lines)
    return re.fullmatch(pattern, "".join(f"{line.rstrip()}\n" for line in printed)) is not None


def scripts(made: Path) -> Path:
    """Make a folder for PATH with the installed commands, run by this interpreter whether or not they are installed."""
    made.mkdir()
    programs = {name: f"-c 'from dadc_net.cli.main import {main} as main; main()'" for name, main in SCRIPTS.items()}
    for name, program in {**programs, "python": "", "python3": ""}.items():
        (made / name).write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {program} "$@"\n', encoding="utf-8")
        (made / name).chmod(0o755)
    return made


def run_blocks(chosen: list[Block], folder: Path, timeout: float) -> list[str]:
    """Run the commands of some blocks of one page in one shell, and say what did not come out as promised."""
    work = folder / "work"
    work.mkdir()
    for name in ("launch", "tests", "docker-compose.yml"):
        (work / name).symlink_to(ROOT / name)
    for file in (block for block in blocks(chosen[0].page) if block.how.startswith("file ")):
        (work / file.how.removeprefix("file ")).write_text(file.text, encoding="utf-8")
    commands = [command for block in chosen if block.kind == "console" for command in block.commands]
    lines = ["exec 2>&1"]
    for number, command in enumerate(commands):
        lines += [command.text, f"dadc_code=$?; printf '\\n<<ended %d %d>>\\n' {number} $dadc_code; (exit $dadc_code)"]
    variables = environment() | {
        "PATH": f"{scripts(folder / 'bin')}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(work),
        "COLUMNS": "110",
    }
    variables |= {"NO_COLOR": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)], cwd=work, env=variables, capture_output=True, text=True, timeout=timeout
    )
    return _complaints(commands, done.stdout.splitlines())


def _complaints(commands: list[Command], printed: list[str]) -> list[str]:
    found, begun = [], 0
    for at, line in enumerate(printed):
        ended = _ENDED.match(line)
        if ended is None:
            continue
        number, code = int(ended[1]), int(ended[2])
        command, output = commands[number], printed[begun:at]
        begun = at + 1
        if output and not output[-1]:  # The mark begins a line of its own.
            output.pop()
        asked = number + 1 < len(commands) and commands[number + 1].text == "echo $?"
        if code and not asked:
            found.append(f"$ {command.text}\nended with {code}:\n" + "\n".join(output))
        elif command.promised and not matches(command.promised, output):
            found.append(f"$ {command.text}\nprinted:\n" + "\n".join(output) + "\npromised:\n" + "\n".join(command.promised))
    if sum(_ENDED.match(line) is not None for line in printed) != len(commands):
        found.append("the shell ended early:\n" + "\n".join(printed[begun:]))
    return found
