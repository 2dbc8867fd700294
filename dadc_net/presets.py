"""Presets per task and algorithm: what a run uses when nobody says otherwise. They are data, not code.

    tuned      what was found to work best; the default. It is empty where nothing was tuned.
    paper      every number of Appendix E as printed
    theorem    the iterations (4) to (6) under the conditions of Theorem 4 and Assumption 1

Each is dotted sections as in a TOML file. Everything that is not listed keeps the default of its settings class.

Where ``paper`` must differ from what is printed, or the paper is silent:
* E.1 prints a GRU of 5 units after a linear layer of 5; so are all widths here. lambda of L_AIS is not printed: 0.5.
* L_nu is a mean here and printed as a sum; equation (4) descends here and is printed as ascent (see ``coordinator.ais``).
* The target x_{t+1} of L_nu is not detached, as printed. The AIS collapses, here as in every prototype.
* The multi-access critic's own layer is 5 units; trace decay 1, entropy bonus 0, no clipping: none is printed.
* The length of a run is not printed but drawn (Fig. 2): 1,000 updates of 300 steps for the broadcast problem.
* The broadcast problem begins afresh after 300 steps, a batch; E.1 prints that its horizon is infinite and no restart.
* PPO's epochs, clip and advantage estimator are not printed for the broadcast problem: ChainerRL's defaults, 10 and 0.2.
* NAF's numbers for the broadcast problem are those of the implementation that E.1 names as its base: 2 layers of 128, Adam
  0.001, target rate 0.001, noise 0.3, 5 steps of 128 transitions per environment step, norm at most 1. Its batch
  normalisation and the tanh on mu are left out, its squared error is smooth L1, and its noise is independent over time.
  How theta is played is printed nowhere: as two chances. The state approximator learns from the same windows, of which
  there are 16 with 8 counted steps each; a run of 300,000 steps, as drawn, takes hours.
* Demand response (E.2) names ChainerRL for what is not printed: advantages normalised, lambda 0.97, clip 0.2, 10 epochs, KL
  0.01, damping 0.1, target rate 0.01; minibatches of a batch are the whole batch here. Runs of 40,000 steps are as drawn.
  The stream never restarts. NAF's rectifiers are cut off at 8, and its noise is independent over time.
* E.2 prints one tanh in the value network; here both its layers have one, as the policy's. It prints 6 neurons for NAF's L;
  here L is a whole lower triangle, 21 (see ``coordinator.networks.naf``).
"""

from __future__ import annotations

from typing import Any

from dadc_net.errors import ConfigError

PRESET_NAMES = ("tuned", "paper", "theorem")

_PAPER_AIS = {
    "size": 5,
    "loss": "next-ais-nll",
    "detach_target": False,
    "reward_loss_weight": 0.5,
    "learning_rate": 0.08,
    "final_learning_rate_share": 1.0,
    "gradient_norm": 0.0,
}
_PAPER_MABC_LEARNER = {
    "num_envs": 1,
    "batch_steps": 300,
    "hidden_size": 5,
    "learning_rate": 0.01,
    "final_learning_rate_share": 1.0,
    "trace_decay": 1.0,
    "entropy_weight": 0.0,
}

_MEAN_FIELD = {"encoder": "none", "feature_scale": 2.0}
"""The mean field is the state (E.2). Centred, and four times as wide as a share: an optimal rule turns within a tenth."""
_TOWERS = {"hidden_size": 64, "hidden_layers": 2, "shared_trunk": False, "entropy_weight": 0.0}
_TUNED_LOADS = {
    **_TOWERS,
    "num_envs": 40,
    "batch_steps": 400,
    "learning_rate": 0.001,
    "trace_decay": 0.8,
    "normalise_advantages": True,
    "value_loss_weight": 1.0,
}
_PAPER_LOADS_EVALUATION = {"monte_carlo_trajectories": 10}
_PAPER_LOADS = {
    **_TUNED_LOADS,
    "num_envs": 1,
    "batch_steps": 200,
    "learning_rate": 0.0003,
    "final_learning_rate_share": 1.0,
    "trace_decay": 0.97,
}

_PRESETS: dict[tuple[str, str, str], dict[str, Any]] = {
    # An AIS of 5 units, the paper's size and the settings' own default, reaches the same median, but one seed in five
    # stays near blind round-robin; with 16 units none of ten did.
    ("tuned", "mabc", "actor-critic"): {
        "updates": 2500,
        "learner": {"num_envs": 64, "batch_steps": 640},
        "ais": {"size": 16},
    },
    ("tuned", "mabc", "ppo"): {
        "updates": 1200,
        "learner": {"num_envs": 64, "batch_steps": 1280, "learning_rate": 0.005},
        "ais": {"size": 16},
    },
    ("tuned", "mabc", "trpo"): {
        "updates": 1200,
        "learner": {"num_envs": 64, "batch_steps": 1280},
        "ais": {"size": 16},
    },
    ("tuned", "mabc", "q-actor-critic"): {
        "updates": 2344,
        "learner": {"num_envs": 64, "batch_steps": 640, "learning_rate": 0.005, "trace_decay": 0.9, "entropy_weight": 0.05},
        "ais": {"size": 16},
        "q": {"critic_learning_rate": 0.01},
    },
    # 469 x 640 = 300,160 environment steps. What limits this algorithm is the model, not V: with V fitted further at the end
    # the rule hardly changed. The model's error at one and the same belief differed from history to history, and many
    # short windows made it smaller than few long ones with as many steps; so did smaller steps, and twice as many. (With
    # windows of 16 steps some seeds are better, but two in five stayed at a gap of 3 %; of 12, none of eight did.)
    # Prescriptions that cost 0.01 to 0.03 must be told apart, so all that are nearly best are tried often to the end:
    # temperature 0.1 and three in ten at random.
    ("tuned", "mabc", "ais-planning"): {
        "updates": 469,
        "learner": {"num_envs": 64, "batch_steps": 640},
        "ais": {
            "size": 16,
            "reward_input": "outcome",
            "learning_rate": 0.003,
            "final_learning_rate_share": 0.02,
            "gradient_norm": 1.0,
        },
        "planning": {
            "model_steps": 8,
            "windows": 128,
            "window": 12,
            "warm_up": 4,
            "value_steps": 16,
            "exploration": 0.3,
            "final_exploration": 0.3,
            "final_temperature": 0.1,
        },
    },
    # 300,160 environment steps. Q is convex in the chance that one device is given, because what the team learns of its
    # buffer is worth something: its maxima lie at corners, and no concave quadratic resembles it in between. Fitted over
    # the whole box to the exact Q, the quadratic's best point is worse than blind round-robin; at the corners it fits.
    ("tuned", "mabc", "naf-dqn"): {
        "updates": 469,
        "prescriptions": "opportunity",
        "learner": {"num_envs": 64, "batch_steps": 640},
        "ais": {"size": 16, "reward_input": "outcome", "learning_rate": 0.003, "gradient_norm": 1.0},
        "naf": {
            "plays": "corners",
            "memory_steps": 1_000_000,
            "steps": 8,
            "windows": 128,
            "window": 12,
            "warm_up": 4,
            "learning_rate": 0.003,
            "target_rate": 0.02,
            "noise": 2.0,
            "final_noise": 0.6,
        },
    },
    # 150 x 400 = 60,000 environment steps. Forty copies: as good as eight, and a hundred real processes have a fifth of the
    # lock-steps to make. Batches of 5 lock-steps instead of 10 are worse: all copies are of one age, and a batch has fewer.
    ("tuned", "demand-response", "ppo"): {
        "updates": 150,
        "ais": _MEAN_FIELD,
        "learner": _TUNED_LOADS,
        "ppo": {"epochs": 10},
        "gaussian": {"learning_rate": 0.01},
    },
    ("tuned", "demand-response", "trpo"): {"updates": 150, "ais": _MEAN_FIELD, "learner": _TUNED_LOADS},
    ("tuned", "demand-response", "actor-critic"): {"updates": 300, "ais": _MEAN_FIELD, "learner": _TUNED_LOADS},
    # 937 x 64 = 59,968 environment steps. A quadratic fits Q in logits only nearby: the memory must forget what was tried
    # with wide noise. Seeds that have found no good neighbourhood by then stay behind, and wide noise at first and many
    # copies make them rare. So few steps are learned by heart, noise and all, if each comes up often. At 16 gradient steps
    # an update the gap is 1.3 % on the default parameters (6.9 % with everything remembered), but 12 % where costs and
    # dynamics differ; at 4 it is 3.0 % and 2.5 %.
    ("tuned", "demand-response", "naf-dqn"): {
        "updates": 937,
        "ais": _MEAN_FIELD,
        "learner": {"num_envs": 32, "batch_steps": 64},
        "naf": {
            "memory_steps": 10_000,
            "steps": 4,
            "windows": 64,
            "hidden_size": 100,
            "target_rate": 0.02,
            "noise": 0.5,
        },
    },
    ("paper", "demand-response", "ppo"): {
        "updates": 200,
        "env": {"restart_steps": 0},
        "evaluation": _PAPER_LOADS_EVALUATION,
        "ais": {"encoder": "none"},
        "learner": _PAPER_LOADS,
        "ppo": {"epochs": 10, "clip": 0.2},
        "gaussian": {"learning_rate": 0.0003},
    },
    ("paper", "demand-response", "trpo"): {
        "updates": 200,
        "env": {"restart_steps": 0},
        "evaluation": _PAPER_LOADS_EVALUATION,
        "ais": {"encoder": "none"},
        "learner": _PAPER_LOADS,
        "trpo": {"value_learning_rate": 0.001},
    },
    ("paper", "demand-response", "naf-dqn"): {
        "updates": 10_000,
        "env": {"restart_steps": 0},
        "evaluation": _PAPER_LOADS_EVALUATION,
        "ais": {"encoder": "none"},
        "learner": {"num_envs": 1, "batch_steps": 4},
        "naf": {
            "steps": 1,
            "windows": 200,
            "hidden_size": 100,
            "activation": "relu",
            "final_learning_rate_share": 1.0,
        },
    },
    ("paper", "mabc", "actor-critic"): {"updates": 1000, "learner": _PAPER_MABC_LEARNER, "ais": _PAPER_AIS},
    ("paper", "mabc", "ppo"): {
        "updates": 1000,
        "learner": _PAPER_MABC_LEARNER,
        "ais": _PAPER_AIS,
        "ppo": {"epochs": 10, "clip": 0.2},
    },
    ("paper", "mabc", "naf-dqn"): {
        "updates": 300_000,
        "prescriptions": "opportunity",
        "learner": {"num_envs": 1, "batch_steps": 1},
        "ais": _PAPER_AIS,
        "naf": {
            "memory_steps": 1_000_000,
            "first_steps": 640,
            "steps": 5,
            "windows": 16,
            "window": 12,
            "warm_up": 4,
            "hidden_size": 128,
            "final_learning_rate_share": 1.0,
            "target_rate": 0.001,
            "noise": 0.3,
            "final_noise": 0.3,
            "gradient_norm": 1.0,
        },
    },
    # Plain gradient steps whose sizes fall at three rates; Q as printed in (5) and (6), parameters in a box. Only the loss
    # is not the paper's: a collapsed AIS would converge too, to a constant.
    ("theorem", "mabc", "q-actor-critic"): {
        "updates": 2344,
        "learner": {"num_envs": 64, "batch_steps": 640, "learning_rate": 0.5, "trace_decay": 0.0, "entropy_weight": 0.0},
        "ais": {"size": 16, "learning_rate": 1.0, "gradient_norm": 0.0},
        "q": {"critic_learning_rate": 0.5, "bootstrap": "sampled", "gradient": "sampled", "baseline": False},
        "schedule": {
            "kind": "robbins-monro",
            "optimiser": "sgd",
            "ais_exponent": 0.6,
            "critic_exponent": 0.75,
            "actor_exponent": 0.9,
            "parameter_bound": 10.0,
        },
    },
}


def preset(task: str, algorithm: str, name: str = "tuned") -> dict[str, Any]:
    """Defaults of ``algorithm`` on ``task``; empty where nothing was tuned.

    Raises:
        ConfigError: if there is no preset of this name for them.
    """
    found = _PRESETS.get((name, task, algorithm))
    if found is None and name != "tuned":
        known = sorted(f"{t} {a}" for n, t, a in _PRESETS if n == name)
        raise ConfigError(
            f"preset is {name!r}, which does not exist for the algorithm {algorithm} on the task {task}. "
            + (f"It exists for {', '.join(known)}." if known else f"Choose one of {', '.join(PRESET_NAMES)}.")
        )
    return found or {}
