"""A batch script for Slurm: the server beside the script, and one task per agent."""

from __future__ import annotations

from string import Template

from dadc_net.deployment.team import Team, mebibytes, shell_line
from dadc_net.errors import FINAL_EXIT_CODES

_SCRIPT = Template("""\
#!/bin/bash
# A whole run as a job of Slurm. Made by: $made_by
#
#   sbatch FILE                     in a folder that all hosts see; the digest is the last line of slurm-JOB.out
#   sbatch --time=8:00:00 FILE      anything of sbatch
#
# Submitted again in the same folder, it goes on with the same run. DADC_RUN is the folder of the run, ./dadc-run by default.
# It needs locks and shared memory maps; where the file system that all hosts see has none, DADC_STATE names a folder of the
# host's own, like /tmp/dadc: an agent that comes to another host then computes the run again from the server's log, but
# the server's journal stays on the host where it was made.
#
# All tasks are of one user, so keys and seed protect the team from other users of the cluster, not its parties from one
# another.
#SBATCH --job-name=dadc
#SBATCH --ntasks=$agents
#SBATCH --cpus-per-task=1
#SBATCH --mem-per-cpu=${memory}M
#SBATCH --open-mode=append
#SBATCH --no-kill
# What stands in single quotes is not for this shell.
# shellcheck disable=SC2016
set -u
umask 077
export OMP_NUM_THREADS=1
export DADC_RUN="$${DADC_RUN:-$$PWD/dadc-run}"
export DADC_STATE="$${DADC_STATE:-$$DADC_RUN}"
port=$$((20000 + SLURM_JOB_ID % 20000))                # so that two jobs can share a host
export DADC_SERVER="tcp://$${SLURMD_NODENAME:-$$(hostname)}:$$port"

mkdir -p "$$DADC_RUN" && dadc keys "$$DADC_RUN/keys" -K $agents --folders || exit

# Runs a party until it has ended for good. Killed, or told to try again (75), it is started again.
keep() {
  local code
  while true; do
    "$$@" && return 0
    code=$$?
    case $$code in
      $final | 130 | 143) return "$$code" ;;
    esac
    echo "$$1 ended with exit code $$code and is started again" >&2
    sleep 5
  done
}
export -f keep

keep dadc-env $task --bind "tcp://0.0.0.0:$$port" \\
  --keys "$$DADC_RUN/keys/server" --state-dir "$$DADC_STATE/server" &
server=$$!
trap 'kill -TERM "$$server" 2>/dev/null' EXIT

# SLURM_PROCID + 1 is the agent's id. The program in quotes is expanded by each task.
srun --kill-on-bad-exit=0 bash -c '
  keys="$$DADC_RUN/keys/agent-$$((SLURM_PROCID + 1))"
  keep dadc-agent --keys "$$keys" --seed-file "$$keys/team.seed" --state-dir "$$DADC_STATE/agent-$$((SLURM_PROCID + 1))"$own
'
agents=$$?
if [ "$$agents" -ne 0 ]; then
  echo "the agents ended with exit code $$agents; the server is stopped" >&2
  exit "$$agents"
fi
wait "$$server"
""")


def batch_script(team: Team, made_by: str) -> str:
    """Text of a script for sbatch; ``made_by`` is the command that made it."""
    own = f" --structure {team.structure}" if team.structure else ""  # Its name needs no quotes, as ``Team`` knows.
    return _SCRIPT.substitute(
        made_by=made_by,
        agents=team.agents,
        memory=mebibytes(team.memory),
        task=shell_line(team.task_arguments),
        final=" | ".join(str(code) for code in FINAL_EXIT_CODES),
        own=own,
    )
