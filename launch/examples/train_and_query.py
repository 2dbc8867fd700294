"""Train a team, draw how it learned, ask the rule what it would do: python launch/examples/train_and_query.py [UPDATES]"""

import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

import dadc_net

# Train. The same seed gives the same digests in `dadc run mabc`.
curve = []
updates = int(sys.argv[1]) if len(sys.argv) > 1 else 200
learned = dadc_net.simulate("mabc", updates=updates, seed=1, on_update=lambda now: curve.append(now.reward_per_step))
print("digest", learned.digests[1])

# Plot.
plt.plot(range(1, len(curve) + 1), curve)
plt.xlabel("update")
plt.ylabel("reward per step")
plt.savefig("learning.png")

# Query: three steps of an episode in which nobody, then agent 1, then agent 2 transmits.
rule = learned.rule()
menu = rule.problem.family.entries
for common in ([0, 0, 0], [1, 0, 0], [0, 1, 0]):
    print("common", common, "prescription:", menu[int(rule.prescription([common])[0])])
rule.begin()
print("both have a packet: actions", rule.act([[0, 0, 0]], [[[1]], [[1]]])[0])
