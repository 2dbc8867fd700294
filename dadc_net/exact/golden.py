"""Committed digests of the self-test, per primitive. A change of one is a breaking change of the package.

Made by ``python -m tests.golden.regenerate REASON``; the commit that changes them says why.
"""

GOLDEN: dict[str, str] = {
    "product": "465e2d2a82e58f7a9c2d9fad2b31996d48f4cc9424e8b06535f4943c4f215991",
    "sum": "35f168f24aa6c33ef790ab036f26368d572f83987d37a33676de4e18bc17ef8a",
    "tanh": "ebe34f7f697ad7a5c57e022e33892cb3ca7dd2d71d388e03552fc943d2121d36",
    "exp": "b9e74ec3e5e514179cd8259fed8f22634507cb0f70751d273f9aa5ab2f5b3ace",
    "log": "ee80d8562eaed8fa7b45925c9a6bc99f4443838e9aa2244d9a40c1752d04d5bc",
    "slow-path": "a15d2ba9a260f7bb6c6a7b023420cb710f43b332b8bd0d25f879090b54a0ab4a",
    "ieee": "e9439cfdd63a1688edb09d127aff1c9ff61db64f6663ab60aa056dfe568a1537",
    "scan": "63fe18034482f9e0057cd828f2f0bcf73bdce51e0546e575c142caed2099e9ed",
    "adam": "39d2fcecec975ad84f11683b832a509e6f15f4a0fa86ce48db4aa3aa32542b23",
    "streams": "a2d35900b7b354d7c706f911e83c521b851330b12e199bff1d82801b2ab45960",
    "hashes": "f6224ff8d013393de0b7f448b96fcac79f63243ac7d4065d7a868857a9670159",
}
