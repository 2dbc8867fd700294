"""Seeds on real processes: drawn unless somebody says otherwise, the same in all three ways, shown to nobody."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from tests.process.commands import SMALL, Ended, descendants, finish, free_port, run, start, wait_for

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]
FIXED = "20260101"


def parties(cwd: Path, environment: list[str], shared: list[str], options: list[str] | None = None) -> list[Ended]:
    """The server and two agents, started by hand in ``cwd``, to their end."""
    address = f"tcp://127.0.0.1:{free_port()}"
    if not (cwd / "dadc-keys").exists():
        assert run(cwd, "dadc", "keys").code == 0
    started = [start(cwd, "dadc-env", "--bind", address, *environment, *(SMALL if options is None else options))]
    started += [start(cwd, "dadc-agent", "--id", agent, "--server", address, *shared) for agent in ("1", "2")]
    return [finish(process) for process in started]


def digests(ended: list[Ended]) -> set[str]:
    assert [one.code for one in ended] == [0] * len(ended), [one.err for one in ended]
    return {one.out.strip().splitlines()[-1] for one in ended}


def test_keys_come_with_a_seed_for_the_agents(tmp_path: Path) -> None:
    made = run(tmp_path, "dadc", "keys", "k")
    seed = tmp_path / "k" / "team.seed"
    assert made.code == 0
    assert "team.seed" in made.out
    assert "the server must not have it" in made.out
    assert stat.S_IMODE(seed.stat().st_mode) == 0o600
    content = seed.read_text()
    assert len(bytes.fromhex(content)) == 32
    assert run(tmp_path, "dadc", "keys", "k", "-K", "3").code == 0
    assert seed.read_text() == content
    seed.rename(tmp_path / "team.seed")
    again = run(tmp_path, "dadc", "keys", "k", "-K", "4")
    assert "agent-4.key" in again.out
    assert "team.seed" not in again.out
    assert not seed.exists(), "a second seed would part the agents"


def test_files_give_one_digest_in_all_three_ways(tmp_path: Path) -> None:
    assert run(tmp_path, "dadc", "keys").code == 0
    assert run(tmp_path, "dadc", "keys", "another").code == 0
    seeds = ["--env-seed-file", "another/team.seed"], ["--seed-file", "dadc-keys/team.seed"]
    both = [*seeds[0], *seeds[1], *SMALL, "--json"]
    real, simulated = (run(tmp_path, "dadc", way, "mabc", *both) for way in ("run", "simulate"))
    found = digests(parties(tmp_path, *seeds))
    assert found == {real.last["learner_digest"], simulated.last["learner_digest"]}
    assert "environment seed from file" in real.err
    other = run(tmp_path, "dadc", "simulate", "mabc", *seeds[1], *SMALL, "--json")
    assert other.last["learner_digest"] not in found


def test_one_machine_has_a_fixed_environment_seed_and_says_so(tmp_path: Path) -> None:
    plain = run(tmp_path, "dadc", "simulate", "mabc", *SMALL, "--json")
    named = run(tmp_path, "dadc", "simulate", "mabc", "--env-seed", FIXED, *SMALL, "--json")
    assert plain.last["learner_digest"] == named.last["learner_digest"]
    assert f"environment seed {FIXED} (fixed, no secret)" in plain.err


def test_a_server_draws_its_seed_and_keeps_it(tmp_path: Path) -> None:
    """Control: with the public default the digest would be that of ``simulate``."""
    public = run(tmp_path, "dadc", "simulate", "mabc", "--seed", "7", *SMALL, "--json").last["learner_digest"]
    first = digests(parties(tmp_path, [], ["--seed", "7"]))
    seed = tmp_path / "dadc-state/server/environment.seed"
    assert stat.S_IMODE(seed.stat().st_mode) == 0o600
    assert public not in first
    repeated = ["--seed", "7", "--env-seed-file", str(seed), *SMALL, "--json"]
    assert {run(tmp_path, "dadc", "simulate", "mabc", *repeated).last["learner_digest"]} == first
    again = run(tmp_path, "dadc-env", *SMALL)
    assert (again.code, {again.out.strip()}) == (0, first), again.err
    assert run(tmp_path, "dadc-env", "--env-seed", FIXED, *SMALL).code == 11
    seed.rename(tmp_path / "kept")
    gone = run(tmp_path, "dadc-env", *SMALL)
    assert gone.code == 2
    assert "environment.seed is missing" in gone.err
    assert not seed.exists()
    assert run(tmp_path, "dadc-env", "--env-seed-file", "kept", *SMALL).code == 0


@pytest.mark.parametrize(
    ("arguments", "variables", "words"),
    [
        (["--env-seed", "1", "--env-seed-file", "s"], {}, "--env-seed and --env-seed-file were both given"),
        (["--env-seed", "-1"], {}, "--env-seed is not usable"),
        (["--env-seed-file", "nowhere"], {}, "nowhere of --env-seed-file cannot be read"),
        (["--env-seed-file", "short"], {}, "holds 1 bytes"),
        (["--env-seed-file", "open"], {}, "has mode 0644"),
    ],
)
def test_unusable_environment_seeds(
    arguments: list[str], variables: dict[str, str], words: str, tmp_path: Path
) -> None:
    for name, content, mode in (("short", b"7", 0o600), ("open", b"s" * 32, 0o644), ("s", b"s" * 32, 0o600)):
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(mode)
    for command in (["dadc-env"], ["dadc", "simulate", "mabc"]):
        ended = run(tmp_path, *command, *arguments, *SMALL)
        assert ended.code == (12 if arguments[-1] == "open" else 2)
        assert words in ended.err
        assert "Traceback" not in ended.err


def test_a_seed_in_the_environment_beside_a_file_is_named_as_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dadc_net.cli.parties import agent_command
    from dadc_net.errors import UsageError

    monkeypatch.setenv("DADC_SEED", "7")
    with pytest.raises(UsageError, match="DADC_SEED in the environment and --seed-file were both given"):
        agent_command.main(["--id", "1", "--seed-file", str(tmp_path / "s")], standalone_mode=False)
    with pytest.raises(UsageError, match="--seed and --seed-file were both given"):
        agent_command.main(["--id", "1", "--seed", "7", "--seed-file", str(tmp_path / "s")], standalone_mode=False)


def _limit(pid: int) -> str:
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return next(line for line in lines if line.startswith("Max core file size"))


def test_nothing_secret_is_in_the_process_list_in_core_dumps_or_in_logs(tmp_path: Path) -> None:
    assert run(tmp_path, "dadc", "keys").code == 0
    assert run(tmp_path, "dadc", "keys", "another").code == 0
    secrets = [path.read_text().strip() for path in sorted(tmp_path.glob("*/team.seed"))]
    secrets += [path.read_text().split('secret_key = "')[1][:40] for path in sorted(tmp_path.glob("*/*.key"))]
    assert len(secrets) == 8
    seeds = ["--seed-file", "dadc-keys/team.seed"]
    address = f"tcp://127.0.0.1:{free_port()}"
    endless = ["--updates", "2000", "--num-envs", "4", "--set", "learner.batch_steps=40"]
    started = [
        start(tmp_path, "dadc-env", "--bind", address, "--env-seed-file", "another/team.seed", *endless),
        *(start(tmp_path, "dadc-agent", "--id", agent, "--server", address, *seeds) for agent in ("1", "2")),
        start(tmp_path, "dadc", "run", "mabc", *endless, *seeds, "--env-seed-file", "another/team.seed", "--out", "r"),
    ]
    try:
        for log in ("dadc-state/server/metrics.jsonl", "r/server/metrics.jsonl"):
            wait_for(lambda log=log: (tmp_path / log).exists() and (tmp_path / log).stat().st_size, log)
        pids = {pid for process in started for pid in (process.pid, *descendants(process.pid))}
        assert len(pids) >= 8
        for pid in pids:
            shown = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
            assert not any(secret.encode() in shown for secret in secrets)
            assert _limit(pid).split()[4:6] == ["0", "0"]
    finally:
        for process in started:
            process.terminate()
        ended = [finish(process) for process in started]
    assert not any(secret in one.out + one.err for secret in secrets for one in ended)
    for secret in secrets:
        named = subprocess.run(["grep", "-rlF", secret, str(tmp_path)], capture_output=True, text=True).stdout.split()
        folders = {Path(name).relative_to(tmp_path).parent.as_posix() for name in named}
        assert folders <= {"dadc-keys", "another", "r/keys"}, named
