"""The virtual coordinator as a deterministic state machine over common information.

``receive`` takes one common record and returns what the team does next. Given the settings and the shared seed, its
state is a function of the records alone: no clock, no file, no local information, no other randomness. K agents that
receive the same records therefore hold the same bits, and feeding the log again gives any past state back.

On receipt of record t (DESIGN: "One step, exactly"):

    x_t = rho(x_{t-1}, z_t, theta_{t-1})           a begin sets x_{t-1} = 0 and theta_{t-1} = 0
    if t = n T, n >= 1:
        close batch n with R_{t-1}; x_t above, made with the old parameters, is its bootstrap state
        update: state approximator (4), then critic (5) and actor (6)
        x_t = rho(x_{t-1}, z_t, theta_{t-1})       again, from the carried x_{t-1}, with the new parameters
    theta_t ~ psi(x_t) with words (t, copy, 0 ..) of the coordinator stream: one for a menu, one per factor or dimension;
    uniformly in the first ``learner.uniform_share`` of the run

A coordinator that was put in a learned rule's place (``begin_with``) may be frozen: then no update changes anything, and
theta_t is the rule's best or drawn from it. Records, batches and digests are as ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dadc_net.coordinator.ais import covariance, rank, spread
from dadc_net.coordinator.algorithm import Algorithm, Parts, Scores
from dadc_net.coordinator.batch import Batch
from dadc_net.coordinator.encoder import encoder
from dadc_net.coordinator.encoder_replay import EncoderReplay
from dadc_net.coordinator.memory import ReplayMemory
from dadc_net.coordinator.networks.parameters import ParameterGroup
from dadc_net.coordinator.prescription import Act, Theta, theta_space
from dadc_net.coordinator.reward_scale import RewardScale
from dadc_net.coordinator.settings.coordinator import CoordinatorSettings
from dadc_net.coordinator.window import Window
from dadc_net.errors import InvariantError, MismatchError, NumericError
from dadc_net.exact import canonical
from dadc_net.exact.array import Array
from dadc_net.exact.digest import digest
from dadc_net.exact.entering import CodeTable, Entered, EnteringStep, EntryStep, Rows
from dadc_net.exact.streams import Stream
from dadc_net.team.common_record import CommonRecord
from dadc_net.team.spaces import space_from_plain
from dadc_net.team.used_choices import UsedChoices


class UpdateReport(NamedTuple):
    """What one update did."""

    update: int
    learner_digest: bytes
    """Empty where digests were not asked for."""
    tensors: dict[str, bytes]
    """Full tensor name -> digest, in the order of the learner digest; empty likewise."""
    losses: dict[str, float]


class Decision(NamedTuple):
    """What follows from one record."""

    prescriptions: Theta | None
    """theta_t as it is played: int64 [E] entries of a menu, int64 [E, F] choices, or float64 [E, D]; None at a run's last
    record."""
    ais: Array
    """[E, X] x_t"""
    update: UpdateReport | None


class OpenBatch(NamedTuple):
    """A batch whose rows somebody fills at once."""

    step: int
    """The newest record, whose entries are drawn."""
    row: int
    """Its row."""
    rows: Rows
    """The window's own."""
    codes: Array
    """[Z, F] of common observations"""
    act: EntryStep
    ais: Array
    """[E, X] x_t of the newest record"""


class Coordinator:
    """One replica of the learner."""

    def __init__(self, settings: CoordinatorSettings, shared_seed: bytes) -> None:
        """``shared_seed``: bytes from ``exact.streams.seed_bytes``, equal for all agents."""
        self.settings = settings
        self.space = space_from_plain(settings.common_space)
        self.stream = Stream("coordinator", shared_seed)
        initial = Stream("initial-parameters/ais", shared_seed)
        self.theta = theta_space(settings.theta_space, settings.plays_corners, settings.factored.beam_width)
        self.approximator = encoder(settings, self.space, self.theta, initial)
        parts = Parts(settings, self.space, self.theta, self.approximator, shared_seed)
        self.algorithm: Algorithm = settings.spec.load()(parts)
        self.groups: tuple[ParameterGroup, ...] = (self.approximator.group, *self.algorithm.groups)
        """All parameters: of the state approximator first, then the algorithm's."""
        self.parameters: tuple[Array, ...] = tuple(group.values for group in self.groups)
        """The flat vectors [P] of all parameter groups; they change in place."""
        self.last_step = settings.updates * settings.learner.batch_lock_steps
        """Index of the run's last record."""
        self._batch_steps = settings.learner.batch_lock_steps
        for group in self.groups:
            group.set_step_rule(settings.schedule.optimiser, settings.schedule.parameter_bound)
        copies, steps = settings.learner.num_envs, settings.learner.batch_lock_steps
        self.rewards = RewardScale(copies, settings.discount, settings.learner.scale_rewards)
        self._replay: EncoderReplay | None = None
        if settings.ais.replay_windows > 0 and self.algorithm.learns_ais_on_policy:
            self._replay = EncoderReplay(parts)
        self._next_step = 0
        self._prepare_acting(0)
        self._ais: Array = np.zeros((copies, self.approximator.size))
        self._previous: Array = np.zeros((copies, self.theta.code_size))
        credit = UsedChoices(settings.revealed) if settings.revealed else None
        self._window = Window(steps, copies, self.space, self.theta, self.approximator.size, credit)
        self._table: tuple[Rows, CodeTable] | None = self._window.tabulated()

    def _prepare_acting(self, update: int) -> None:
        """Take the parameters that update ``update`` left into use; 0: the first ones."""
        frozen = self.settings.start.frozen
        explored = self.settings.updates if frozen else update
        self._encode = self.approximator.behaviour()
        own, is_uniform = self.algorithm.own(explored), not frozen and self.settings.is_uniform(update)
        self._is_uniform = is_uniform
        if frozen == "greedy":
            self._act = self._greedily(self.algorithm.greedy(), own)
        else:
            self._act = self.theta.act(self._encode, None if is_uniform else self.algorithm.behaviour(explored), own)

    def _greedily(self, scores: Scores, own: Array) -> Act:
        def act(inputs: Array, keep: Array, previous: Array, _noise: NDArray[Any]) -> tuple[Array, Theta]:
            ais = self._encode(inputs, keep, previous)
            return ais, self.theta.greedy(scores(ais), own)

        return act

    def receive(self, record: CommonRecord, digests: bool = True) -> Decision:
        """Advance by one record; ``digests``: whether an update is told with them, which takes a tenth of it.

        Raises:
            InvariantError: if a record is missing or repeated.
            NumericError: if a reward is not finite.
        """
        step = record.step
        if step != self._next_step:
            raise InvariantError(f"the coordinator expected record {self._next_step} and was given {step}")
        update, row = divmod(step, self._batch_steps)
        decision = self._enter(row, record) if row else None
        if decision is not None:
            return decision
        if b"\0" in np.isfinite(record.rewards).tobytes():
            raise NumericError(
                f"the rewards of record {step} hold NaN or infinity. They come from the environment. "
                "Correct the environment's reward."
            )
        self._next_step += 1
        closes = step > 0 and row == 0
        inputs, keep = self._window.store(self._batch_steps if closes else row, record, self._previous)
        return self._decide(step, inputs, keep, update if closes else 0, digests)

    def _enter(self, row: int, record: CommonRecord) -> Decision | None:
        """``receive`` within a batch, by one kernel; None where there is none, or it is not sure: ``store`` follows."""
        step, common, rewards, begin, ended, cut = record
        act, table = self._act, self._table
        if table is None or cut is not None or not isinstance(act, EnteringStep):
            return None
        rows, codes = table
        noise = self.theta.noise(self.stream, step, len(common), False)
        found = act.enter(row, Entered(common, rewards, begin, ended), codes, rows, self._previous, self._ais, noise)
        if found is None:
            return None
        self._next_step += 1
        self._ais, played, self._previous = found
        return Decision(played, self._ais, None)

    def open_batch(self) -> OpenBatch | None:
        """The batch that is open, for whoever fills the rest of it at once; None where that is done record by record."""
        newest, act = self._next_step - 1, self._act
        if newest < 0 or self._table is None or not isinstance(act, EntryStep) or not act.suits_playing(len(self._ais)):
            return None
        rows, table = self._table
        return OpenBatch(newest, newest % self._batch_steps, rows, table.codes, act, self._ais.copy())

    def close_batch(self, ais: Array, digests: bool = True) -> Decision:
        """``receive`` of what closes a batch whose rows were all filled; ``ais`` [E, X]: x_t of the last record but one."""
        if self._table is None:
            raise InvariantError("a batch was closed that nobody can fill at once")
        rows, _ = self._table
        step = (self._next_step - 1) // self._batch_steps * self._batch_steps + self._batch_steps
        self._next_step, self._ais, self._previous = step + 1, ais, self.theta.codes(rows.drawn[-1])
        return self._decide(step, rows.inputs[-1], rows.keep[-1], step // self._batch_steps, digests)

    def _decide(self, step: int, inputs: Array, keep: Array, update: int, digests: bool) -> Decision:
        """What follows from record ``step``, which is in the window and closes batch ``update``; 0: none."""
        carried, report, row = self._ais, None, step % self._batch_steps
        if update:
            report = self._update(update, carried, digests)
        if step == self.last_step:
            return Decision(None, self._ais, report)
        noise = self.theta.noise(self.stream, step, len(inputs), self._is_uniform)
        self._ais, drawn = self._act(inputs, keep, carried, noise)
        self._window.prescriptions[row] = drawn
        self._previous = self.theta.codes(drawn)
        return Decision(self.theta.played(drawn), self._ais, report)

    def _update(self, update: int, carried: Array, digests: bool) -> UpdateReport:
        """Close the batch and learn from it; x_t is made again from ``carried`` [E, X], x_{t-1} of the old parameters."""
        losses = {} if self.settings.start.frozen else self._learn(update)
        self._prepare_acting(update)
        self._ais = self._encode(*self._window.begin(carried), carried)
        if not digests:
            return UpdateReport(update, b"", {}, losses)
        tensors = self.tensor_digests()
        return UpdateReport(update, _root(tensors), tensors, losses)

    def _learn(self, update: int) -> dict[str, float]:
        """Update ``update`` from the batch in the window; losses by name."""
        batch = self._window.batch()
        self.rewards.observe(batch)
        batch = replace(batch, reward_scale=self.rewards.value)
        states, losses = self._improve_ais(batch, update)
        varied = covariance(states[:-1].reshape(-1, states.shape[2]))
        losses |= {"ais_spread": spread(varied), "ais_rank": float(rank(varied))}
        losses |= self.algorithm.improve(batch, states, update)
        if self.settings.learner.scale_rewards:
            losses["reward_scale"] = batch.reward_scale
        return losses

    def _improve_ais(self, batch: Batch, update: int) -> tuple[Array, dict[str, float]]:
        """The batch's AIS [T+1, E, X], and the losses of a step on it, unless the algorithm takes that from a memory."""
        if self._replay is not None:
            self._replay.improve(batch, update)
        if self.algorithm.learns_ais_on_policy:
            return self.approximator.improve(batch, self.settings, update)
        return self.approximator.encode(batch), {}

    @property
    def memory(self) -> ReplayMemory | None:
        """What is learned from again: the algorithm's memory, or the state approximator's."""
        return self.algorithm.memory if self._replay is None else self._replay.memory

    @property
    def _state(self) -> dict[str, NDArray[Any]]:
        """Arrays beside parameters and what is carried, not copied."""
        return {**self.algorithm.state(), **self.algorithm.kept(), **self.rewards.state()}

    def tensor_digests(self) -> dict[str, bytes]:
        """Full name -> digest of every tensor of the learner's state."""
        carried = {
            "carried/ais": self._ais,
            "carried/prescriptions": self._previous,
            "carried/next-step": np.array([self._next_step], dtype=np.int64),
        }
        memory = self.memory
        remembered = {} if memory is None else {"memory": memory.head}
        return {
            **{name: value for group in self.groups for name, value in group.tensor_digests().items()},
            **{name: digest(canonical.encode_array(array)) for name, array in {**self._state, **carried}.items()},
            **remembered,
        }

    def digest(self) -> bytes:
        """Digest of the whole learner state; holds no run id, host or time."""
        return _root(self.tensor_digests())

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """A copy of the whole state, by name; ``restore`` of it gives an equal learner."""
        memory = self.memory
        return {
            **{name: array for group in self.groups for name, array in group.snapshot().items()},
            **{name: array.copy() for name, array in self._state.items()},
            **({} if memory is None else memory.snapshot()),
            "carried/ais": self._ais.copy(),
            "carried/prescriptions": self._previous.copy(),
            "carried/next-step": np.array([self._next_step], dtype=np.int64),
            **self._window.snapshot(),
        }

    def restore(self, snapshot: Mapping[str, NDArray[Any]]) -> None:
        """Take the whole state from ``snapshot``."""
        for group in self.groups:
            group.restore(snapshot)
        self.algorithm.restore_state(snapshot)
        for name, array in self.algorithm.kept().items():
            array[...] = snapshot[name]
        self.rewards.restore(snapshot)
        if self.memory is not None:
            self.memory.restore(snapshot)
        self._ais = snapshot["carried/ais"].copy()
        self._previous = snapshot["carried/prescriptions"].copy()
        self._next_step = int(snapshot["carried/next-step"][0])
        self._window.restore(snapshot)
        self._prepare_acting(max(0, self._next_step - 1) // self.settings.learner.batch_lock_steps)

    def rule(self) -> dict[str, NDArray[Any]]:
        """A copy of what the learned rule consists of, by name: parameters, the algorithm's state, the unit of values."""
        groups = {name: array for group in self.groups for name, array in group.parameters().items()}
        return {name: array.copy() for name, array in {**groups, **self.algorithm.state(), **self.rewards.unit()}.items()}

    def restore_rule(self, snapshot: Mapping[str, NDArray[Any]]) -> None:
        """Take from ``snapshot`` what the learned rule consists of; what else there is stays, and so does what acts."""
        for group in self.groups:
            group.restore_parameters(snapshot)
        self.algorithm.restore_state(snapshot)
        self.rewards.restore_unit(snapshot)

    def begin_with(self, rule: Mapping[str, NDArray[Any]]) -> None:
        """Begin a run with a learned ``rule``: optimiser, memory and schedules are new.

        Raises:
            MismatchError: if it was learned with other networks, or another algorithm.
        """
        own = {name: array.shape for name, array in self.rule().items()}
        given = {name: array.shape for name, array in rule.items()}
        differing = [name for name in dict.fromkeys([*own, *given]) if own.get(name) != given.get(name)]
        if differing:
            name = differing[0]
            raise MismatchError(
                f"the learned rule does not fit this learner: the tensor {name} has the shape {_shape(given.get(name))} in "
                f"it and {_shape(own.get(name))} here, and so with {len(differing)} tensors. No step was taken. Give the "
                "algorithm, the sizes of networks and learner.scale_rewards that it was learned with."
            )
        self.restore_rule(rule)
        self._prepare_acting(0)


def _shape(shape: tuple[int, ...] | None) -> str:
    return "none" if shape is None else str(list(shape))


def _root(tensors: Mapping[str, bytes]) -> bytes:
    return digest(b"dadc-net learner", *(name.encode("utf-8") + value for name, value in tensors.items()))
