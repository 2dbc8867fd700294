"""Committed digests of the self-test, per algorithm. A change of one is a breaking change of the package.

Made by ``python -m tests.golden.regenerate REASON``; the commit that changes them says why.
"""

GOLDEN: dict[str, str] = {
    "learner actor-critic": "68b2cacd2908fd2652ccadbb8d20561a92b22dca6b3345bbe51efdd94eaaa8dc",
    "learner actor-critic, factored theta": "05a7b17135fa7b8629ddb05b60888b4cedb0ce8d04a6ef26fb475bdebff0dd35",
    "learner actor-critic, continuous theta": "769f86003a1a03c7cad54ee463585cc6d38a791f2545065761dd720e4f9b6d75",
    "learner ppo": "652418750ef6159e0098abd9595c5664081b632f9fd25f3787dab8518cb43b12",
    "learner ppo, factored theta": "b4cc24c2b740e650a2d828537fdce23b751a8510882bd8e6a5a8f8814e8ac612",
    "learner ppo, continuous theta": "bf632cc479c1bc171497dd2c9affdd0ea44d6cdd1d5c8c8cc4b0d3c691a7e977",
    "learner trpo": "7356e95b749f48f6e6eb268077f0e4aa35f941c7085b31d931a8d713c9ce935c",
    "learner trpo, factored theta": "95e2c02853e7aab715c2ef1a10bcf180d58f28598a9e5ea4b17a471f4c1de475",
    "learner trpo, continuous theta": "33ddc1bb97752dd3e0373ac7ec715eefbb65cd9258471edb1240216d64e925dc",
    "learner q-actor-critic": "03d5b7c1d379b2c09a05f99b23da083f55e8fe406c86f7b97307258bc1f6d156",
    "learner q-actor-critic, factored theta": "2a181b397cb7c31be1326007b2435a5363afb5887ca29812880ddbfcf6cc8f77",
    "learner ais-planning": "dc56c6a36b38fb170219c7dcfb7293dbe7a8ef348a83a4aa44f92beb86e12b4a",
    "learner ais-planning, factored theta": "32f9c7ee6c3620f09824862945944c88197aaddd636c1a388f79ab0e16af07a9",
    "learner naf-dqn, continuous theta": "0966eba5701b1fdc77c8b70a93cd21fc7c3118b3393cff21885ec2c2ac57fdfa",
    "learner naf-dqn, corners of theta": "b84a7e9619fae725cfde3fc7e62e06758a9bbf63e2d1ecb438746e370a3ee03e",
}
