"""Units for systemd: a server, a template for agents, and a target that starts those of this host."""

from __future__ import annotations

from string import Template

from dadc_net.deployment.team import PORT, STOP_SECONDS, Team, mebibytes
from dadc_net.errors import FINAL_EXIT_CODES

_PREFIX = "/opt/dadc"
"""Where the units look for the commands: a virtual environment, as in the image."""

_SERVICE = Template("""\
[Service]
Type=exec
ExecStart=$command
DynamicUser=yes
StateDirectory=$name
StateDirectoryMode=0700
CacheDirectory=$name
Environment=OMP_NUM_THREADS=1 NUMBA_CACHE_DIR=%C/$name
$credentials

# A party that was killed, or told to try again (75), comes back. One that was refused or that diverged would be again.
Restart=on-failure
RestartSec=5
RestartPreventExitStatus=$final
SuccessExitStatus=130
TimeoutStopSec=$grace

# Its own folders, its own memory, the network, and nothing else. MemoryDenyWriteExecute is missing, because numba, where it
# is installed, compiles kernels; ProcSubset=pid is, because torch reads /proc/cpuinfo. libzmq asks for the names of network
# interfaces by AF_NETLINK, and aborts where it may not.
MemoryMax=${memory}M
MemorySwapMax=0
TasksMax=256
LimitCORE=0
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
DevicePolicy=closed
ProtectProc=invisible
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
""")

_SERVER = Template("""\
# The environment server. Made by: $made_by
#
#   python3 -m venv $prefix && $prefix/bin/pip install dadc-net
#   $prefix/bin/dadc keys keys -K $agents --folders            anywhere; then carry each folder to its host:
#   keys/server  to /etc/dadc/server  here,  keys/agent-N  to /etc/dadc/agent-N  on agent N's host, owned by root, mode 0700
#   systemctl start dadc-env                             journalctl -u dadc-env: the digest is the last line
[Unit]
Description=dadc-net: environment server of $agents agents
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

$service
[Install]
WantedBy=multi-user.target
""")

_AGENT = Template("""\
# Agent %i. Made by: $made_by
#
#   systemctl start dadc-agent@2                         or dadc-agents.target, for all agents on one host
[Unit]
Description=dadc-net: agent %i
Wants=network-online.target
After=network-online.target dadc-env.service
StartLimitIntervalSec=0
PartOf=dadc-agents.target

$service
[Install]
WantedBy=multi-user.target
""")

_TARGET = Template("""\
# All $agents agents on this host. Made by: $made_by
[Unit]
Description=dadc-net: agents 1 to $agents
Wants=$wants

[Install]
WantedBy=multi-user.target
""")


def units(team: Team, server: str, made_by: str) -> dict[str, str]:
    """File name -> text.

    Args:
        team: who takes part; its image is not used.
        server: host of the environment server, as the agents' hosts name it.
        made_by: the command that made them.
    """
    loopback = server in ("127.0.0.1", "localhost")
    bind = f"tcp://{server if loopback else '0.0.0.0'}:{PORT}"
    serve = ["dadc-env", *team.task_arguments, "--bind", bind, "--keys", "%d", "--state-dir", "%S/dadc-env"]
    join = ["dadc-agent", "--id", "%i", "--server", f"tcp://{server}:{PORT}", "--keys", "%d"]
    join += ["--seed-file", "%d/team.seed", "--state-dir", "%S/dadc-agent-%i"]
    join += ["--structure", team.structure] if team.structure else []
    own = _service(team, "dadc-env", serve, "/etc/dadc/server", ("server.key", "authorised.toml"))
    agent = _service(team, "dadc-agent-%i", join, "/etc/dadc/agent-%i", ("agent-%i.key", "server.pub", "team.seed"))
    wants = " ".join(f"dadc-agent@{agent}.service" for agent in team.ids)
    return {
        "dadc-env.service": _SERVER.substitute(made_by=made_by, prefix=_PREFIX, agents=team.agents, service=own),
        "dadc-agent@.service": _AGENT.substitute(made_by=made_by, service=agent),
        "dadc-agents.target": _TARGET.substitute(made_by=made_by, agents=team.agents, wants=wants),
    }


def _service(team: Team, name: str, command: list[str], folder: str, files: tuple[str, ...]) -> str:
    return _SERVICE.substitute(
        name=name,
        command=f"{_PREFIX}/bin/" + " ".join(_quoted(word, team) for word in command),
        credentials="\n".join(f"LoadCredential={file}:{folder}/{file}" for file in files),
        final=" ".join(str(code) for code in FINAL_EXIT_CODES),
        grace=STOP_SECONDS,
        memory=mebibytes(team.memory),
    )


def _quoted(word: str, team: Team) -> str:
    """A word of a command line of systemd; of the user's own words, nothing is replaced by it."""
    if word in (team.task, team.structure, *team.options):
        word = word.replace("%", "%%").replace("$", "$$")
    if word and not set(word) & set(" \"'\\;"):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
