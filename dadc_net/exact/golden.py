"""Committed digests of the self-test, per primitive. A change of one is a breaking change of the package.

Made by ``python -m tests.golden.regenerate REASON``; the commit that changes them says why.
"""

GOLDEN: dict[str, str] = {
    "product": "e13457a36b917f472d0f298c62ccd469fbb4dc7d2fb2fb572280df319d92a056",
    "sum": "16cf141c31f5f9bb4c94cb0d45e1ea8c9c7a49de1122521b6b20da8f380f55a6",
    "tanh": "6d6326f9ad15453a804d27d59b3032a587afb9e2eed64f29ca4c827eed8e10e8",
    "exp": "4f76223542d954c0d07f052f8da9bf70b85d4648dc4fffe37fa882594038057c",
    "log": "0e1ea408c1c35361dc20b107d8f6e37ec32e8e508be655babc4dcc92663365eb",
    "slow-path": "1eb1f8f3a8937f8c3f4440d07cd486d4af611e0e6724fefe57b2f7e7ab2460b7",
    "ieee": "92d1d61eef9725ff81facd6ed1ee5d31717fecbed303f2f1c73b2caf92f817c6",
    "gradients": "80ee7d611ded6f5cdc98a9babd212278e9eb602b9c75c4481c2ffa265dda5ac3",
    "joined": "e9ed2013844b7c7c1d5fd7563237f5289336b2086fb055287347fafe0b06a46f",
    "scan": "e0dc37f034aa11f4eb07f28e12d8c0d7ee2f523e692b802227aac12d702855bf",
    "acting": "ad3789b6e53efe720bc1cf54823cf17679a881a0ae6c1c4f5132264111c55709",
    "adam": "39d2fcecec975ad84f11683b832a509e6f15f4a0fa86ce48db4aa3aa32542b23",
    "streams": "01ac560567eb9e5e7105c6f86ea7e5e9e97a31fb533f280c214e762f215a3110",
    "draws": "009c4fa3ff5675ac27c005675f7c2abaa5efe12d598a6d09e349117f86d48efc",
    "normals": "241b4f68fc95c8b6d05fff0fc2995ead828b44cb5cf1e6cbf7f6c61e28424431",
    "quadratic": "341a28caf59c4323f3ebc83e4259a9d4b93d778f9d1bf41b2c4037b686e7156c",
    "hashes": "9fa61c35897fdbcdc4415110ad6d8e87d6629938e7c0a043386ba43b571998dd",
}
