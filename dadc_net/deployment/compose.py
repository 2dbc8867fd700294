"""A file for Compose: ``docker compose up`` for K agents on one machine. Valid for docker-compose 1.29 and Compose v2."""

from __future__ import annotations

from string import Template

from dadc_net.deployment.team import (
    LOG_FILES,
    LOG_MIB,
    START_SECONDS,
    STOP_SECONDS,
    TMP_MIB,
    USER_ID,
    Team,
    health_command,
    shell_line,
)
from dadc_net.errors import UsageError

AGENTS_MAX = 256
"""Folders that ``launch/Dockerfile`` makes for the key volumes."""

_HEAD = Template("""\
# A whole run in containers: docker compose up. Made by: $made_by
#
# The service keys makes the keys and the shared seed, and ends; then the environment server and $agents agents run to the
# end, and each prints the same learner digest as its last line. Valid for Compose v2 and for docker-compose 1.29.
#
#   DADC_OPTIONS="--updates 100 --algorithm ppo" docker compose up     further options of dadc-env
#   docker compose down; docker compose up                          stop it, and go on later
#   docker compose down -v                                          forget keys, seed and state
#   DADC_RESTART=no docker compose up                               start nothing again, and show every exit code
#
# Who comes back: a party that was killed, or that ended with exit code 75 ("try again") or 130 (the engine was stopped). Who
# does not: a party that was refused or that diverged, since it would be again. Compose starts everything again that ends
# other than with 0, so with DADC_RESTART=on-failure a party ends with 0 where starting again would not help, and names
# the exit code that this stands for in its last line. "docker kill" counts as your own wish: Docker does not undo it.
#
# Secrets: an agent's volume holds its own key, the server's public key and the shared seed; the server's holds its own key
# and the list of those that it admits. The seed of a run is in no command line, variable or image. To bring your own:
#
#   docker compose run --rm -T keys dadc keys /issued -K $agents --folders --seed-file /dev/stdin < team.seed

x-party: &party
$build  image: $image
  init: true                        # a process with number 1 would ignore SIGTERM until Python has its handlers
  user: "$user:$user"
  read_only: true                   # volumes and /tmp can be written, nothing else
  tmpfs:
    - /tmp:size=${tmp}m,mode=1777
  cap_drop:
    - ALL
  security_opt:
    - no-new-privileges:true
  pids_limit: 256
  mem_limit: $memory
  memswap_limit: $memory                 # the same: no swap
  environment: &variables
    DADC_RESTART: $${DADC_RESTART:-on-failure}
    OMP_NUM_THREADS: "1"
  logging:
    driver: json-file
    options:
      max-size: ${log}m
      max-file: "$log_files"
  restart: $${DADC_RESTART:-on-failure}
  stop_grace_period: ${grace}s            # time to tell the other parties and to close the books
  healthcheck:
    test: ["CMD", $health]
    interval: 30s
    timeout: 15s
    retries: 3
    start_period: ${start}s

services:
  keys:
    <<: *party
    # Each party gets a volume with what it needs and nothing else. Run again, this changes nothing.
    command: dadc keys /issued -K $agents --folders
    restart: "no"
    network_mode: none
    healthcheck:
      disable: true
    volumes:
      - server-keys:/issued/server
$issued
  environment:
    <<: *party
    command: >-
      $server
      $${DADC_OPTIONS:-}
    depends_on:
      keys:
        condition: service_completed_successfully
    volumes:
      - server-keys:/keys:ro
      - server-state:/state
""")

_BUILD = """\
  build:
    context: .
    dockerfile: launch/Dockerfile
"""

_AGENT = Template("""
  agent-$agent:
    <<: *party
    environment:
      <<: *variables
      DADC_AGENT_ID: "$agent"
    command: >-
      $command
    depends_on:
      keys:
        condition: service_completed_successfully
      environment:
        condition: service_started    # an agent tries for a minute to reach the server
    volumes:
      - agent-$agent-keys:/keys:ro
      - agent-$agent-state:/state
""")


def compose_file(team: Team, build: bool = True, made_by: str = "") -> str:
    """Text of docker-compose.yml.

    Args:
        team: who takes part.
        build: whether the file says how the image is built from this package's sources.
        made_by: the command that made it.

    Raises:
        UsageError: for more agents than the image has folders for.
    """
    if team.agents > AGENTS_MAX:
        raise UsageError(
            f"-K is {team.agents}, but a file for Compose is for one machine and at most {AGENTS_MAX} agents, for which the "
            "image has folders. Nothing was written. Choose swarm, kubernetes or slurm."
        )
    ids = team.ids
    health = ", ".join(f'"{word}"' for word in health_command("/state"))
    head = _HEAD.substitute(
        made_by=made_by or f"dadc launch compose -K {team.agents}",
        agents=team.agents,
        build=_BUILD if build else "",
        image=team.image,
        user=USER_ID,
        tmp=TMP_MIB,
        memory=team.memory,
        log=LOG_MIB,
        log_files=LOG_FILES,
        grace=STOP_SECONDS,
        start=START_SECONDS,
        health=health,
        issued="".join(f"      - agent-{agent}-keys:/issued/agent-{agent}\n" for agent in ids),
        server=_interpolated(team.server_command("/keys", "/state")),
    )
    command = _interpolated(team.agent_command("environment", "/keys", "/state"))
    agents = "".join(_AGENT.substitute(agent=agent, command=command) for agent in ids)
    volumes = ["server-keys", "server-state", *(f"agent-{agent}-{kind}" for agent in ids for kind in ("keys", "state"))]
    return head + agents + "\nvolumes:\n" + "".join(f"  {volume}:\n" for volume in volumes)


def _interpolated(arguments: list[str]) -> str:
    """A line that Compose, which replaces variables before it splits, gives to the process as it is meant."""
    return shell_line(arguments).replace("$", "$$")
