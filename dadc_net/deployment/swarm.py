"""A stack for Docker Swarm: ``docker stack deploy`` for K agents on the hosts of a swarm."""

from __future__ import annotations

import json
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
)

_HEAD = Template("""\
# A whole run on the hosts of a swarm. Made by: $made_by
#
#   dadc keys dadc-keys -K $agents --folders                     where you deploy from
#   docker stack deploy -c FILE dadc
#   docker service logs -f dadc_environment                 the digest is its last line
#   docker stack rm dadc                                    end it; the volumes stay on their hosts
#
# Every host needs the image under its name $image. Keys and the shared seed are secrets of the swarm: each service is
# handed its own, in memory. A volume stays on the host where it was made, so a service that is moved to another host begins
# with an empty one: an agent computes the run again from the server's log, but the server must stay where its journal is.
# Give its host the label first:
#
#   docker node update --label-add dadc=server HOST
#
# Swarm starts again what ends other than with 0. DADC_RESTART lets a party that was refused, or that diverged, end with 0.
version: "3.9"

x-party: &party
  image: $image
  init: true
  user: "$user:$user"
  read_only: true
  cap_drop:
    - ALL
  stop_grace_period: ${grace}s
  logging:
    driver: json-file
    options:
      max-size: ${log}m
      max-file: "$log_files"
  healthcheck:
    test: $health
    interval: 10s                   # Swarm tells others a service's address once it is healthy
    timeout: 15s
    retries: 3
    start_period: ${start}s

x-deploy: &deploy
  replicas: 1
  restart_policy:
    condition: on-failure
    delay: 5s
  resources:
    limits:
      memory: ${memory}
      pids: 256

services:
  environment:
    <<: *party
    environment:
      DADC_RESTART: on-failure
      OMP_NUM_THREADS: "1"
    command: $command
    deploy:
      <<: *deploy
      endpoint_mode: dnsrr          # the name is the container's address: there is one, and no load to balance
      placement:
        constraints:
          - node.labels.dadc == server
    volumes:
      - server-state:/state
      - &tmp {type: tmpfs, target: /tmp, tmpfs: {size: $tmp}}
    secrets:
""")

_AGENT = Template("""
  agent-$agent:
    <<: *party
    environment:
      DADC_AGENT_ID: "$agent"
      DADC_RESTART: on-failure
      OMP_NUM_THREADS: "1"
    command: $command
    deploy:
      <<: *deploy
    volumes:
      - agent-$agent-state:/state
      - *tmp
    secrets:
""")

_GRANT = Template("""\
      - source: $secret
        target: /run/dadc/$name
        uid: "$user"
        mode: 0400
""")

_KEYS = "/run/dadc"


def stack_file(team: Team, made_by: str) -> str:
    """Text of a stack file; ``made_by`` is the command that made it."""
    secrets = {f"server-{name.replace('.', '-')}": f"server/{name}" for name in ("server.key", "authorised.toml")}
    secrets |= {"server-pub": "agent-1/server.pub", "team-seed": "agent-1/team.seed"}
    secrets |= {f"agent-{agent}-key": f"agent-{agent}/agent-{agent}.key" for agent in team.ids}
    head = _HEAD.substitute(
        made_by=made_by,
        agents=team.agents,
        image=team.image,
        user=USER_ID,
        tmp=TMP_MIB * 2**20,
        grace=STOP_SECONDS,
        log=LOG_MIB,
        log_files=LOG_FILES,
        health=json.dumps(["CMD", *health_command("/state")]),
        start=START_SECONDS,
        memory=team.memory,
        command=_list(team.server_command(_KEYS, "/state")),
    )
    parts = [head, _grants({"server-server-key": "server.key", "server-authorised-toml": "authorised.toml"})]
    command = _list(team.agent_command("environment", _KEYS, "/state"))
    for agent in team.ids:
        own = {f"agent-{agent}-key": f"agent-{agent}.key", "server-pub": "server.pub", "team-seed": "team.seed"}
        parts += [_AGENT.substitute(agent=agent, command=command), _grants(own)]
    parts.append("\nvolumes:\n  server-state:\n" + "".join(f"  agent-{agent}-state:\n" for agent in team.ids))
    parts.append("\nsecrets:\n")
    parts += [f"  {name}:\n    file: ./dadc-keys/{path}\n" for name, path in secrets.items()]
    parts.append("\nnetworks:\n  default:\n    driver: overlay\n")
    return "".join(parts)


def _grants(secrets: dict[str, str]) -> str:
    return "".join(_GRANT.substitute(secret=secret, name=name, user=USER_ID) for secret, name in secrets.items())


def _list(arguments: list[str]) -> str:
    """A list in YAML, each ``$`` twice, because the deploying client replaces variables."""
    return json.dumps(arguments).replace("$", "$$")
