"""Committed digests of the self-test, per algorithm. A change of one is a breaking change of the package.

Made by ``python -m tests.golden.regenerate REASON``; the commit that changes them says why.
"""

GOLDEN: dict[str, str] = {
    "learner actor-critic": "68b2cacd2908fd2652ccadbb8d20561a92b22dca6b3345bbe51efdd94eaaa8dc",
    "learner ppo": "652418750ef6159e0098abd9595c5664081b632f9fd25f3787dab8518cb43b12",
    "learner trpo": "7356e95b749f48f6e6eb268077f0e4aa35f941c7085b31d931a8d713c9ce935c",
    "learner q-actor-critic": "03d5b7c1d379b2c09a05f99b23da083f55e8fe406c86f7b97307258bc1f6d156",
    "learner ais-planning": "022672023bfe4a2a05f15f55d647b38c0eb5decd9593c3cf0cb59679c40a6d05",
}
