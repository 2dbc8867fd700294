"""Write the generated pages anew: ``python -m tests.docs.regenerate``."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from dadc_net.cli.main import dadc
from tests.docs.console import HOUSE, ROOT
from tests.docs.references import pages
from tests.docs.results_tables import with_tables


def written() -> dict[str, str]:
    """Every generated file, by its path below the repository's root, and what it must hold."""
    made = {path.relative_to(HOUSE.parent).as_posix(): text for path, text in pages().items()}
    printed = CliRunner().invoke(dadc, ["config", "mabc"], catch_exceptions=False)
    made["launch/multi-access-broadcast.toml"] = printed.stdout
    for name in ("algorithms-and-results.md", "performance.md"):
        page = HOUSE / "docs" / name
        made[page.relative_to(HOUSE.parent).as_posix()] = with_tables(page.read_text(encoding="utf-8"))
    return made


def place(name: str) -> Path:
    """Where the file is that has this name in the repository; the package may be installed elsewhere."""
    return (HOUSE.parent if name.startswith("dadc_net/") else ROOT) / name


def main() -> None:
    """Write them."""
    for name, text in written().items():
        place(name).write_text(text, encoding="utf-8")
        print(f"wrote {name}")


if __name__ == "__main__":
    main()
