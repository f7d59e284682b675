from __future__ import annotations

import pytest

from tests.lab.commands import run
from tests.lab.errors import CommandError


def test_output_is_returned_and_input_is_given():
    assert run(["cat"], text="words") == "words"


def test_failure_carries_status_and_words():
    with pytest.raises(CommandError, match=r"exit status 3: no good") as caught:
        run(["sh", "-c", "echo no good >&2; exit 3"])
    assert caught.value.status == 3
