"""dadc-net: decentralised actor, decentralised critic, as processes that agree bit for bit.

K agent processes learn one team policy without a central critic, actor or parameter server: each runs the same virtual
coordinator on the same common information. In reading order:

    exact         the same bits on every host: grid arithmetic, random streams, digests
    team          the problem: environments, information structures, prescription menus
    planning      exact optima of the coordinated system
    coordinator   the learner: state approximator, critic, actor. Common information only
    node          the two roles, agent and environment server, without I/O
    wire          bytes and sockets
    runtime       processes, files, launcher, simulation, consistency check
    cli           the commands

ARCHITECTURE.md tells one time step as a story.
"""

__version__ = "0.1.0"
