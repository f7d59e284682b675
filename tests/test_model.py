from __future__ import annotations

import dataclasses
import inspect
import pickle
from enum import StrEnum

import pytest

from gateway import model
from gateway.model import Cause, Endpoint, KeepAlive, ListenAddress

VALUES = [
    each for each in vars(model).values() if inspect.isclass(each) and each.__module__.startswith(f"{model.__name__}.")
]
FROZEN = [each for each in VALUES if dataclasses.is_dataclass(each)]
ENUMS = [each for each in VALUES if issubclass(each, StrEnum)]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Endpoint("10.0.0.1", 80), "10.0.0.1:80"),
        (Endpoint("db.example", 5432), "db.example:5432"),
        (Endpoint("fd00::1", 80), "[fd00::1]:80"),
        (ListenAddress(None, 33000), "*:33000"),
        (ListenAddress("0.0.0.0", 33000), "0.0.0.0:33000"),
        (ListenAddress("::", 33000), "[::]:33000"),
    ],
)
def test_an_address_is_written_as_people_write_it(value: Endpoint | ListenAddress, text: str):
    assert str(value) == text


@pytest.mark.parametrize("kind", FROZEN, ids=lambda kind: kind.__name__)
def test_values_are_frozen_slotted_and_named(kind: type):
    parameters = kind.__dataclass_params__  # type: ignore[attr-defined]
    assert parameters.frozen
    assert "__slots__" in vars(kind)
    assert all(field.kw_only for field in dataclasses.fields(kind))


@pytest.mark.parametrize("kind", ENUMS, ids=lambda kind: kind.__name__)
def test_enums_are_words_that_can_be_labels(kind: type[StrEnum]):
    for member in kind:
        assert member.value == member.name.lower()


@pytest.mark.parametrize("cause", Cause)
def test_verdicts_may_be_wrong_all_other_causes_are_facts(cause: Cause):
    assert cause.hard is (cause not in {Cause.PROBES, Cause.STALL, Cause.TARGET_SILENT, Cause.QUALITY})


def test_keepalive_gives_up_before_a_nat_forgets():
    keepalive = KeepAlive()
    assert keepalive.idle + keepalive.interval * keepalive.count < 120


def test_what_crosses_to_a_worker_pickles():
    key = ("hello", Endpoint("10.0.0.1", 80))
    table = model.RoutingTable(
        generation=1,
        forwards=(model.ForwardSpec(name="hello", ports=(), tunnels=("a",)),),
        paths={"a": model.Path(tunnel="a", interface="tun-a", ifindex=7)},
        choices={key: model.Choice(tunnels=("a",))},
        addresses={"10.0.0.1": ("10.0.0.1",)},
    )
    assert pickle.loads(pickle.dumps(table)) == table  # noqa: S301 - our own
