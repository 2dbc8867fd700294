"""The paper, claim by claim: each test cites what it checks, and states it anew in plain Python, fractions or NumPy.

    printed, broadcast, one_update    Section 5, Appendix D.1, and a learner's update, written down for the tests

Not walked here, because nothing implements it: equations (7) to (9) and Theorem 6, which are steps of a proof; the bounds in
total variation and KL of Section 4 and Appendix B; periodic sharing, which is not built in; E.1's NAF-DQN, whose network is
that of code the paper refers to. The convergence that Theorem 4 asserts is a limit; what a test can check are its
conditions. Figure 2's curves are a sweep of hours (launch/figure-2.toml).
"""
