"""Write the generated pages anew: ``python -m tests.docs.regenerate``."""

from __future__ import annotations

from click.testing import CliRunner

from dadc_net.cli.main import dadc
from tests.docs.console import ROOT
from tests.docs.references import pages
from tests.docs.results_tables import with_tables


def written() -> dict[str, str]:
    """Every generated file, by its path below the repository's root, and what it must hold."""
    made = {path.relative_to(ROOT).as_posix(): text for path, text in pages().items()}
    printed = CliRunner().invoke(dadc, ["config", "mabc"], catch_exceptions=False)
    made["launch/multi-access-broadcast.toml"] = printed.stdout
    page = ROOT / "dadc_net/docs/algorithms-and-results.md"
    made[page.relative_to(ROOT).as_posix()] = with_tables(page.read_text(encoding="utf-8"))
    return made


def main() -> None:
    """Write them."""
    for name, text in written().items():
        (ROOT / name).write_text(text, encoding="utf-8")
        print(f"wrote {name}")


if __name__ == "__main__":
    main()
