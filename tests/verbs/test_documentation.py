"""docs/operating.md knows every verb, every option of those about VPN clients, and every reason why one fails."""

import re

import pytest

from gateway.cli import app
from gateway.model import FailureReason
from tests.running import REPOSITORY

PAGE = (REPOSITORY / "docs/operating.md").read_text()
VERBS = {command.name: command.callback for command in app.registered_commands}


@pytest.mark.parametrize("reason", FailureReason)
def test_every_reason_has_a_row_that_says_what_to_do(reason):
    [row] = re.findall(rf"^\| `{reason}` \|.*$", PAGE, re.MULTILINE)
    what, means, remedy = [cell.strip() for cell in row.strip("|").split("|")]
    assert what
    assert means
    assert remedy


@pytest.mark.parametrize(
    "option",
    ["--follow", "--since", "--lines", "--level", "--grep", "--json", "--wait", "--for", "--timeout", "--watch"],
)
def test_every_option_is_on_the_page(option):
    assert re.search(rf"[`\[]{option}\b", PAGE)


@pytest.mark.parametrize("verb", ["status", "explain", "connect", "disconnect", "enable", "disable", "drain-tunnel",
                                  "failback", "drill", "logs", "activity"])  # fmt: skip
def test_every_verb_is_on_the_page(verb):
    assert verb in VERBS
    assert f"`gateway {verb}" in PAGE
