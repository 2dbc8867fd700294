"""A manifest for Kubernetes: a Job for the server, an Indexed Job for K agents, and who may talk to whom.

Jobs, because a run ends, and because a Job can tell exit codes apart: a pod that was killed, evicted or told to try again is
replaced, one that was refused or that diverged fails the Job. (A StatefulSet would start it again for ever.)

An agent's key is chosen by its index: the secret of all agents is mounted by a path that holds the index, so a container
sees one folder of it. What it sees is copied by the first container into memory, because the modes of a mounted secret are
the cluster's business and not those that a key must have.
"""

from __future__ import annotations

import json
from string import Template

from dadc_net.deployment.team import PORT, START_SECONDS, STOP_SECONDS, TMP_MIB, USER_ID, Team, health_command, mebibytes
from dadc_net.errors import FINAL_EXIT_CODES

_HEAD = Template("""\
# A whole run on a Kubernetes cluster, 1.29 or newer. Made by: $made_by
#
#   dadc keys dadc-keys -K $agents --folders                       where you apply from
#   kubectl create secret generic dadc-server --from-file=dadc-keys/server
#   kubectl create secret generic dadc-agents --from-file=server.pub=dadc-keys/agent-1/server.pub \\
#     --from-file=team.seed=dadc-keys/agent-1/team.seed \\
#     $key_files
#   kubectl apply -f FILE
#   kubectl logs -f job/dadc-environment                      the digest is its last line
#   kubectl delete -f FILE                                    end it; this also forgets the server's journal
#
# The image $image must be one that the cluster can fetch. The server's journal is on a volume of its own. An agent's is
# in its pod; one whose pod is replaced computes the run again from the server's log.
apiVersion: v1
kind: Service
metadata:
  name: dadc-environment
  labels: {app.kubernetes.io/name: dadc-net}
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector: {app.kubernetes.io/name: dadc-net, app.kubernetes.io/component: environment}
  ports:
    - {name: dadc, port: $port, targetPort: $port}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: dadc-environment-state
  labels: {app.kubernetes.io/name: dadc-net}
spec:
  accessModes: [ReadWriteOnce]
  resources:
    requests: {storage: 5Gi}
---
# Agents talk to the server and to nobody else; the server talks to nobody of itself.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: dadc-environment
  labels: {app.kubernetes.io/name: dadc-net}
spec:
  podSelector:
    matchLabels: {app.kubernetes.io/name: dadc-net, app.kubernetes.io/component: environment}
  policyTypes: [Ingress, Egress]
  ingress:
    - from:
        - podSelector:
            matchLabels: {app.kubernetes.io/name: dadc-net, app.kubernetes.io/component: agent}
      ports:
        - {protocol: TCP, port: $port}
  egress: []
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: dadc-agent
  labels: {app.kubernetes.io/name: dadc-net}
spec:
  podSelector:
    matchLabels: {app.kubernetes.io/name: dadc-net, app.kubernetes.io/component: agent}
  policyTypes: [Ingress, Egress]
  ingress: []
  egress:
    - to:
        - podSelector:
            matchLabels: {app.kubernetes.io/name: dadc-net, app.kubernetes.io/component: environment}
      ports:
        - {protocol: TCP, port: $port}
    - ports:                        # names are looked up wherever the cluster's name server is
        - {protocol: UDP, port: 53}
        - {protocol: TCP, port: 53}
""")

_JOB = Template("""\
---
apiVersion: batch/v1
kind: Job
metadata:
  name: dadc-$component
  labels: {app.kubernetes.io/name: dadc-net}
spec:
$counting
  podFailurePolicy:
    rules:
      - action: FailJob             # started again, it would end in the same way
        onExitCodes:
          containerName: party
          operator: In
          values: $final
      - action: Ignore              # a drained host is no failure
        onPodConditions:
          - {type: DisruptionTarget, status: "True"}
  template:
    metadata:
      labels: {app.kubernetes.io/name: dadc-net, app.kubernetes.io/component: $component}
    spec:
      restartPolicy: Never          # the Job makes another pod, which podFailurePolicy asks for
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: $grace
      securityContext: {runAsNonRoot: true, runAsUser: $user, runAsGroup: $user, fsGroup: $user,
        fsGroupChangePolicy: OnRootMismatch, seccompProfile: {type: RuntimeDefault}}
      initContainers:
        - name: keys
          image: $image
          command: [sh, -c, "umask 077 && mkdir -p /keys/own && cp -L /issued/* /keys/own/"]
          securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
          resources: {limits: {memory: 64Mi, cpu: "1"}}
          volumeMounts:
            - $issued
            - {name: keys, mountPath: /keys}
      containers:
        - name: party
          image: $image
          command: $command
          env:
            - {name: OMP_NUM_THREADS, value: "1"}
          securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
          resources:
            requests: {memory: ${memory}Mi, cpu: 500m}
            limits: {memory: ${memory}Mi}
$ports          startupProbe:
            exec: {command: $status}
            periodSeconds: 10
            timeoutSeconds: 15
            failureThreshold: $starts
          livenessProbe:
            exec: {command: $status}
            periodSeconds: 30
            timeoutSeconds: 15
          volumeMounts:
            - {name: keys, mountPath: /keys, readOnly: true}
            - {name: state, mountPath: /state}
            - {name: tmp, mountPath: /tmp}
      volumes:
        - name: issued
          secret: $secret
        - name: keys
          emptyDir: {medium: Memory, sizeLimit: 1Mi}
        - name: tmp
          emptyDir: {sizeLimit: ${tmp}Mi}
        - name: state
          $state
""")

_KEYS, _STATE = "/keys/own", "/state/own"
"""Folders of the party's own making, with the modes that it asks for."""
_RETRIES = 1000


def manifest(team: Team, made_by: str) -> str:
    """Text of a manifest; ``made_by`` is the command that made it."""
    ids = team.ids
    files = [f"--from-file=agent-{agent}.key=dadc-keys/agent-{agent}/agent-{agent}.key" for agent in ids]
    head = _HEAD.substitute(
        made_by=made_by, agents=team.agents, key_files=" \\\n#     ".join(files), image=team.image, port=PORT
    )
    server = _job(
        team,
        component="environment",
        counting=f"  backoffLimit: {_RETRIES}",
        command=team.server_command(_KEYS, _STATE),
        issued="{name: issued, mountPath: /issued, readOnly: true}",
        secret="{secretName: dadc-server}",
        state="persistentVolumeClaim: {claimName: dadc-environment-state}",
        ports=f"          ports:\n            - {{name: dadc, containerPort: {PORT}}}\n",
    )
    counting = (
        f"  completionMode: Indexed           # JOB_COMPLETION_INDEX + 1 is the agent's id\n  completions: {team.agents}\n"
        f"  parallelism: {team.agents}\n  backoffLimit: {_RETRIES}"
    )
    agents = _job(
        team,
        component="agent",
        counting=counting,
        command=team.agent_command("dadc-environment", _KEYS, _STATE),
        issued="{name: issued, mountPath: /issued, readOnly: true, subPathExpr: $(JOB_COMPLETION_INDEX)}",
        secret="\n            secretName: dadc-agents\n            items:\n" + "".join(map(_items, ids)).rstrip(),
        state="emptyDir: {}",
        ports="",
    )
    return head + server + agents


def _items(agent: int) -> str:
    names = (f"agent-{agent}.key", "server.pub", "team.seed")
    return "".join(f"              - {{key: {name}, path: {agent - 1}/{name}}}\n" for name in names)


def _job(team: Team, *, command: list[str], **parts: str) -> str:
    return _JOB.substitute(
        parts,
        command=_escaped(command),
        final=json.dumps(FINAL_EXIT_CODES),
        grace=STOP_SECONDS,
        user=USER_ID,
        image=team.image,
        memory=mebibytes(team.memory),
        status=json.dumps([*health_command(_STATE), "--json"]),
        tmp=TMP_MIB,
        starts=START_SECONDS // 10,
    )


def _escaped(arguments: list[str]) -> str:
    """A list in YAML, in which the cluster finds no variable of its own."""
    return json.dumps(arguments).replace("$(", "$$(")
