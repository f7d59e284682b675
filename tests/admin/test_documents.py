"""Every key of the API's JSON is documented."""

import re
from pathlib import Path
from typing import get_type_hints, is_typeddict

import pytest

from gateway.admin import documents
from gateway.admin.book.activity import ActivityKind
from gateway.model import DriverState, FailureReason, LineLevel

OPERATING = (Path(__file__).parents[2] / "docs" / "operating.md").read_text()
DOCUMENTS = [value for value in vars(documents).values() if is_typeddict(value)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.__name__)
def test_every_key_is_documented(document):
    api = OPERATING.partition("## The API")[2]
    assert {key for key in get_type_hints(document) if f"`{key}`" not in api and f'"{key}"' not in api} == set()


def test_every_request_is_documented(fake):
    paths = {route.path for route in (*fake.api.questions(), *fake.api.changes(str))}
    assert len(paths) > 5
    named = OPERATING.replace("{forward}", "{name}").replace("`…/activity", "`GET /api/v1/activity")
    named = re.sub(r"`…/(disable|disconnect)`", r"`POST /api/v1/tunnels/{name}/\1`", named)
    assert paths == set(re.findall(r"`(?:GET|POST) (/api/v1/[^`]+)`", named))


@pytest.mark.parametrize("words", [FailureReason, ActivityKind, DriverState, LineLevel])
def test_every_word_is_documented(words):
    assert {word for word in words if f"`{word}`" not in OPERATING} == set()
