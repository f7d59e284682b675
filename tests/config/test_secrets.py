from __future__ import annotations

import copy
import pickle

import pytest

from gateway.config import secrets
from gateway.config.secrets import EnvRef, FileRef, Secret
from gateway.config.wording import MASK


def test_a_secret_shows_itself_only_when_asked():
    secret = Secret("hunter2")
    assert secret.reveal() == "hunter2"
    for shown in (str(secret), repr(secret), f"{secret}", f"{secret:>20}", "%s" % secret, repr({"password": secret})):  # noqa: UP031
        assert "hunter2" not in shown
        assert MASK in shown


def test_secrets_are_values():
    assert Secret("a") == Secret("a") != Secret("b")
    assert len({Secret("a"), Secret("a")}) == 1
    assert copy.copy(Secret("a")) == Secret("a")
    assert pickle.loads(pickle.dumps(Secret("a"))) == Secret("a")  # noqa: S301 - our own


@pytest.mark.parametrize(
    ("value", "ref"),
    [({"env": "X"}, EnvRef("X")), ({"file": "a/b"}, FileRef("a/b")), ("hunter2", Secret("hunter2"))],
)
def test_reference(value, ref):
    assert secrets.parse_ref(value) == ref


@pytest.mark.parametrize(
    "value", ["", {}, {"env": ""}, {"env": 5}, {"env": "X", "file": "y"}, {"vault": "hunter2"}, ["hunter2"], 5, None]
)
def test_no_reference_and_no_word_of_the_value(value):
    with pytest.raises(ValueError, match="must be") as caught:
        secrets.parse_ref(value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "text"), [("hunter2\n", "hunter2"), ("hunter2\r\n", "hunter2"), (" a b \n\n", " a b \n")]
)
def test_a_file_counts_from_the_configuration_and_loses_one_newline(tmp_path, content, text):
    (tmp_path / "password").write_bytes(content.encode())
    assert secrets.resolve(FileRef("password"), base=tmp_path, environ={}) == Secret(text)


def test_an_absolute_path_stays_what_it_is(tmp_path):
    (tmp_path / "password").write_text("hunter2")
    assert secrets.resolve(FileRef(str(tmp_path / "password")), base=tmp_path / "x", environ={}) == Secret("hunter2")


def test_an_environment_variable_and_a_literal(tmp_path):
    assert secrets.resolve(EnvRef("X"), base=tmp_path, environ={"X": "hunter2"}) == Secret("hunter2")
    assert secrets.resolve(Secret("hunter2"), base=tmp_path, environ={}) == Secret("hunter2")


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        (EnvRef("X"), 'the environment variable "X" is not set'),
        (EnvRef("EMPTY"), 'the environment variable "EMPTY" is empty'),
        (FileRef("none"), 'cannot read the file "none": No such file or directory'),
        (FileRef("empty"), 'the file "empty" is empty'),
        (FileRef("binary"), 'the file "binary" is not UTF-8 text'),
        (FileRef("a\0b"), "the path of the file is not a path"),
    ],
)
def test_what_cannot_be_fetched(tmp_path, ref, message):
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"hunter2\xff")
    with pytest.raises(ValueError, match=message) as caught:
        secrets.resolve(ref, base=tmp_path, environ={"EMPTY": ""})
    assert caught.value.__cause__ is None or "hunter2" not in repr(caught.value.__cause__)


@pytest.mark.parametrize(("mode", "exposed"), [(0o600, False), (0o640, False), (0o644, True), (0o604, True)])
def test_a_file_that_everybody_can_read_is_exposed(tmp_path, mode, exposed):
    path = tmp_path / "password"
    path.write_text("hunter2")
    path.chmod(mode)
    assert (secrets.exposed(FileRef("password"), base=tmp_path) is not None) is exposed


def test_a_literal_is_exposed_and_the_environment_is_not(tmp_path):
    assert "hunter2" not in (secrets.exposed(Secret("hunter2"), base=tmp_path) or "hunter2")
    assert secrets.exposed(EnvRef("X"), base=tmp_path) is None


def test_a_binary_file(tmp_path):
    (tmp_path / "client.p12").write_bytes(b"\x30\xff")
    assert secrets.read_bytes("client.p12", base=tmp_path) == b"\x30\xff"
    with pytest.raises(ValueError, match=r'cannot read the file "other\.p12": No such file or directory'):
        secrets.read_bytes("other.p12", base=tmp_path)
    with pytest.raises(ValueError, match="the path of the file is not a path"):
        secrets.read_bytes("a\0b", base=tmp_path)


def test_a_file_without_end(tmp_path):
    (tmp_path / "large").write_bytes(bytes(1 << 20))
    assert len(secrets.read_bytes("large", base=tmp_path)) == 1 << 20
    with pytest.raises(ValueError, match='the file "/dev/zero" is larger than 1 MiB: it is something else'):
        secrets.read_bytes("/dev/zero", base=tmp_path)
