"""dadc selftest: does this host compute the team's bits?"""

from __future__ import annotations

import click

from dadc_net.cli import shell


@click.command("selftest")
@shell.json_option
def selftest_command(as_json: bool) -> int:
    """Known-answer test of this host's arithmetic and random streams; exit 0 or 11."""
    from dadc_net.errors import SelftestError
    from dadc_net.runtime.host import host_facts, selftest

    result, facts = selftest(), host_facts()
    if as_json:
        shell.print_json(
            {
                "ok": result.ok,
                "digest": result.digest.hex(),
                "fingerprint": facts,
                "failures": list(result.failures),
                "digests": {name: value.hex() for name, value in result.digests.items()},
            }
        )
    else:
        width = max(map(len, [*facts, *result.digests]))
        for name, value in facts.items():
            click.echo(f"{name:{width}} {value}")
        for name, digest in result.digests.items():
            click.echo(f"{name:{width}} {digest.hex()[:16]}")
        verdict = "ok" if result.ok else f"FAILED: {', '.join(result.failures)}"
        click.echo(f"{'self-test':{width}} {verdict}\n{'digest':{width}} {result.digest.hex()}")
    return 0 if result.ok else SelftestError.exit_code
