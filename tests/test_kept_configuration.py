"""What a configuration may hold is written and read back equal, or refused before a run begins."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Optional

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dadc_net import config as configuration
from dadc_net.config import RunConfig, build, resolve
from dadc_net.errors import ConfigError, UsageError
from dadc_net.exact import canonical
from dadc_net.exact.streams import seed_bytes
from dadc_net.runtime.problem import environment_digest
from dadc_net.schema import differences, from_plain, to_plain
from dadc_net.team.multi_access_broadcast import MultiAccessBroadcastParameters
from dadc_net.team.tasks import TASKS, Task
from dadc_net.toml_text import read_toml, without_none, write_toml


def test_differences_are_told_in_few_characters() -> None:
    """Theta may have thousands of bounds, and a task hundreds of keys."""
    told = differences({"low": [-5.0] * 999, "updates": 3}, {"low": [-5.0] * 998, "updates": 4})
    assert told.endswith("updates = 3 (given 4)")
    assert "... (5994 characters)" in told
    assert len(told) < 300
    many = {str(key): key for key in range(20)}
    assert differences(many, {}).endswith("and 12 more")
    assert differences(many, dict(many)) == ""


# --- TOML ---------------------------------------------------------------------------------------------------------

NUMBERS = st.integers() | st.integers(-(10**400), 10**400) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
TABLES = st.dictionaries(st.text(), VALUES, max_size=5)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text(), TABLES | VALUES, max_size=6))
def test_plain_data_comes_back_from_toml_as_it_was(plain: dict[str, Any]) -> None:
    assert canonical.encode(read_toml(write_toml(plain))) == canonical.encode(plain)


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(categories=["Cs", "Cc", "Lu"])))
def test_text_is_written_or_refused(text: str) -> None:
    plain = {"a": {"b": text}}
    if any("\ud800" <= character <= "\udfff" for character in text):
        with pytest.raises(ConfigError, match=r"^a\.b cannot be written"):
            write_toml(plain)
    else:
        assert read_toml(write_toml(plain)) == plain


@pytest.mark.parametrize("value", [None, b"bytes", {1}, 10**5000, object(), "\ud800"], ids=lambda v: type(v).__name__)
def test_what_toml_cannot_hold_is_refused_with_its_key(value: object) -> None:
    for plain in ({"s": {"k": [1, value]}}, {"s": {"x": 1, "k": [[value]]}}):
        with pytest.raises(ConfigError, match=r"s\.k cannot be written"):
            write_toml(plain)


def test_nothing_is_a_key_that_is_not_there() -> None:
    assert write_toml({"a": None, "s": {"k": None, "n": {"x": None}}}) == "\n[s]\nn = {}\n"
    assert without_none({"a": None, "s": {"k": None}, "l": [None]}) == {"s": {}, "l": [None]}


# --- a user's own parameters -------------------------------------------------------------------------------------


class Colour(enum.IntEnum):
    """Stands for a number."""

    RED = 3


class Word(enum.StrEnum):
    """Stands for a text."""

    YES = 'ye"s'


@dataclass(frozen=True)
class Inner:
    """A table inside the section."""

    depth: int = 2
    names: tuple[str, ...] = ("a", "b\n")


ODD_DEFAULTS: dict[str, tuple[Any, Any]] = {
    "np_float": (float, np.float64(0.1)),
    "np_float32": (float, np.float32(0.1)),
    "np_int": (int, np.int64(-3)),
    "np_bool": (bool, np.bool_(True)),
    "np_string": (str, np.str_("word")),
    "int_for_float": (float, 1),
    "np_int_for_float": (float, np.int64(1)),
    "own_np_float": (np.float64, np.float64(0.1)),
    "own_np_float32": (np.float32, np.float32(0.1)),
    "own_np_int": (np.uint8, np.uint8(255)),
    "own_np_bool": (np.bool_, np.bool_(False)),
    "array": (tuple[float, ...], np.array([0.1, -0.0])),
    "table": (tuple[tuple[int, ...], ...], np.array([[1, 2], [3, 4]])),
    "empty": (tuple[int, ...], ()),
    "none_at_all": (tuple[()], ()),
    "any_tuple": (tuple, (1, "a", (2.0,))),
    "mixed": (tuple[int, str, tuple[float, bool]], (1, "x", (0.5, True))),
    "negative_zero": (float, -0.0),
    "tiny": (float, 5e-324),
    "large": (float, 1.7976931348623157e308),
    "huge": (int, 2**200),
    "path": (Path, Path("folder with space/ü\"'#.csv")),
    "posix_path": (PurePosixPath, PurePosixPath("/a\nb")),
    "text_path": (str, Path("x")),
    "text": (str, "quotes \" ' \\ and\nlines\r\n\ttab \x00\x1f\x7f\x85\u2028\ufeff🎲"),
    "nothing": (str | None, None),
    "old_nothing": (Optional[int], None),  # noqa: UP045 - what users write
    "something": (int | None, 4),
    "either": (int | str, "three"),
    "choice": (Literal["a", "b"], "b"),
    "number_of_an_enum": (int, Colour.RED),
    "text_of_an_enum": (str, Word.YES),
    "inner": (Inner, Inner(5, ('"',))),
    "inners": (tuple[Inner, ...], (Inner(), Inner(1))),
    "mapping": (dict[str, Any], {"a b": 1, "": [1.5, {"c": "d"}]}),
    "listed": (list[int], [np.int64(1), 2]),
    "anything": (Any, (np.float64(1.0), "x")),
}


def task_with(**odd: tuple[Any, Any]) -> Task:
    """The broadcast problem, whose parameters have these further ones: name -> (annotation, default)."""
    fields = [
        (name, hint, dataclasses.field(default_factory=lambda d=default: d))
        for name, (hint, default) in odd.items()
    ]
    kind = dataclasses.make_dataclass("Odd", fields, bases=(MultiAccessBroadcastParameters,), frozen=True)
    return replace(TASKS["mabc"], name="odd", parameters_type=kind)


def of(monkeypatch: pytest.MonkeyPatch, task: Task, given: Mapping[str, Any] | None = None) -> RunConfig:
    monkeypatch.setattr(configuration, "load_task", lambda _: task)
    return build({"task": "user.module:odd", "env": given or {}})


def same(one: RunConfig, other: RunConfig) -> bool:
    seed = seed_bytes(1)
    digests = [(c.settings.digest(), environment_digest(c, seed), canonical.encode(c.to_plain())) for c in (one, other)]
    values = [[getattr(c.parameters, field.name) for field in dataclasses.fields(c.parameters)] for c in (one, other)]
    kinds = [[(type(value), repr(value)) for value in of] for of in values]
    return digests[0] == digests[1] and kinds[0] == kinds[1]


@pytest.mark.parametrize("name", ODD_DEFAULTS)
def test_every_default_is_written_and_read_back_equal(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = of(monkeypatch, task_with(odd=ODD_DEFAULTS[name]))
    path = tmp_path / "kept.toml"  # As one's own file: what a run leaves behind may not name code by itself.
    path.write_text(config.to_toml(), encoding="utf-8")
    assert same(resolve(str(path)), config)
    assert same(build(config.to_plain()), config)  # as the server's process is told it


def test_what_a_task_computes_with_is_what_its_folder_says(monkeypatch: pytest.MonkeyPatch) -> None:
    task = task_with(a=(float, np.float32(0.1)), b=(np.float32, 0.1), c=(float, 1), d=(str, Path("p")), e=(Path, "p"))
    found = of(monkeypatch, task).parameters
    assert (type(found.a), found.a) == (float, 0.10000000149011612)
    assert (type(found.b), type(found.c), found.d, found.e) == (np.float32, float, "p", Path("p"))


REFUSED: dict[str, tuple[Any, Any, str]] = {
    "nan": (float, math.nan, "must be finite"),
    "np_inf": (float, np.float64(math.inf), "must be finite"),
    "nan_somewhere": (Any, ((1.0, np.nan),), r"env\.odd\[0\]\[1\] is nan"),
    "float32_overflow": (np.float32, 1e300, "not of type float32"),
    "uint8_overflow": (np.uint8, 256, "not of type uint8"),
    "longdouble": (float, np.longdouble(1), "a longdouble"),
    "own_longdouble": (np.longdouble, 1.0, "not of type longdouble"),
    "complex": (complex, 1j, "a complex"),
    "bytes": (bytes, b"x", "a bytes"),
    "set": (set[int], {1}, "a set"),
    "function": (Any, len, "builtin_function"),
    "number_for_text": (str, 3, "not of type str"),
    "long_number_for_text": (str, 10**5000, "too long to show, which is not of type str"),
    "none_for_float": (float, None, "not of type float"),
    "none_in_a_tuple": (tuple[int | None, ...], (1, None), r"env\.odd cannot be written"),
    "none_in_a_mapping": (dict[str, Any], {"a": None}, "would be read back as"),
    "keys_that_are_numbers": (dict[int, int], {1: 2}, "a dict"),
    "integer_of_5000_digits": (int, 10**5000, r"env\.odd cannot be written"),
    "integer_beyond_floats": (float, 10**400, "no float can hold"),
    "half_a_pair": (str, "\ud83d", r"env\.odd cannot be written"),
    "path_that_is_not_text": (Path, Path("\udcff"), r"env\.odd cannot be written"),
    "unknown_annotation": (list[int], 3, "not of type"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_kept_is_refused_with_its_key(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hint, default, words = REFUSED[name]
    with pytest.raises(ConfigError, match=words) as error:
        of(monkeypatch, task_with(odd=(hint, default)))
    assert "env" in str(error.value)
    assert len(str(error.value)) < 2000


def test_parameters_that_do_not_keep_what_they_are_given_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Doubling(MultiAccessBroadcastParameters):
        def __post_init__(self) -> None:
            object.__setattr__(self, "success_reward", 2 * self.success_reward)

    with pytest.raises(ConfigError, match="would be read back as"):
        of(monkeypatch, replace(TASKS["mabc"], parameters_type=dataclass(frozen=True)(Doubling)))
    with pytest.raises(ConfigError, match=r"env is .*would be read back as"):  # a default that is not None, set to None
        of(monkeypatch, task_with(odd=(int | None, 3)), {"odd": None})


HINTS = st.sampled_from(
    [float, int, str, bool, tuple[float, ...], tuple[str, ...], tuple[tuple[int, ...], ...], Any, float | str]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HINTS, VALUES | st.floats() | st.text(st.characters()) | st.builds(np.float64, st.floats()) | st.none())
def test_any_value_is_kept_or_refused(monkeypatch: pytest.MonkeyPatch, hint: Any, value: Any) -> None:
    task = task_with(odd=(hint, value))
    try:
        config = of(monkeypatch, task)
    except ConfigError:
        return
    assert same(build(read_toml(config.to_toml())), config)
    kind = task.parameters_type
    assert to_plain(from_plain(kind, to_plain(config.parameters), "")) == to_plain(config.parameters)


# --- what a user gives --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["env=5", "env.success_reward=3"], "env is a section, and was set to 5"),
        (["updates=3\nalgorithm='ppo'"], "is not of the form|not TOML"),
        (["env.success_reward=1" + "0" * 5000], "0{400}.*not of type float"),
        (["env.success_reward=1" + "0" * 400], "no float can hold"),
        (["env.success_reward=nan"], "must be finite"),
        (["env.arrival_probabilities=" + "[" * 3000], "not TOML"),
    ],
)
def test_values_of_set_are_used_whole_or_refused(overrides: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        resolve("mabc", overrides)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b'task = "mabc"\n# \xff', "no text in UTF-8 .*Save it as UTF-8"),
        ('task = "mabc"'.encode("utf-16"), "no text in UTF-8 .*Save it as UTF-8"),
        (b'task = "mabc"\nupdates = 1' + b"0" * 5000, "not valid TOML"),
        (b'task = "mabc"\nx = ' + b"[" * 5000, "nested too deep"),
    ],
)
def test_a_file_that_is_not_toml_is_a_sentence(raw: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_bytes(raw)
    with pytest.raises(ConfigError, match=words):
        resolve(str(tmp_path / "t.toml"))


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_bytes(b'\xef\xbb\xbftask = "mabc"\nupdates = 5\n')
    assert resolve(str(tmp_path / "t.toml")).settings.updates == 5
