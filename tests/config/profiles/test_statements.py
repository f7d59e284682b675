from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.profiles import statements
from gateway.config.profiles.statements import Statement, SyntaxFaultError, Unreadable


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        ("  \t ", []),
        ("# all of it", []),
        ("; all of it", []),
        ("client", ["client"]),
        ("client # and more", ["client"]),
        ("remote\tvpn.example.com  1194", ["remote", "vpn.example.com", "1194"]),
        ("a b;c d#e ;f", ["a", "b;c", "d#e"]),
        ('a "b c" ""', ["a", "b c", ""]),
        ("a 'b \"c\\d'", ["a", 'b "c\\d']),
        ('a "b\\"c\\\\d"', ["a", 'b"c\\d']),
        ("a b\\ c", ["a", "b c"]),
        ('a"b c', ['a"b', "c"]),
        ('a "b"c', ["a", "b", "c"]),
        ('\\"a b', ['"a', "b"]),
        ("# \x07 in a comment harms nobody", []),
    ],
)
def test_words_as_openvpn_finds_them(line, words):
    assert statements.split(line) == words


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('a "b', "not closed"),
        ("a 'b", "not closed"),
        ("a b\\c", "a backslash stands before nothing that needs one"),
        ("a b\\", "a backslash stands before nothing that needs one"),
        ("a b\x00c", "a control character"),
        ("a\x0bb", "a control character"),
        ("a " + "hunter2" * 40, "longer than 256 bytes"),
    ],
)
def test_lines_that_cannot_be_read(line, why):
    with pytest.raises(SyntaxFaultError, match=why) as caught:
        statements.split(line)
    assert "hunter" not in str(caught.value)


def test_a_file():
    text = (
        "\ufeffclient\r\n--remote vpn.example.com 1194\n\n<ca>\r\n  AA # no comment\nBB\n  </ca> whatever\n"
        "# the end\n<cert>\n</cert>\n<key>\nAA\n"
    )
    assert list(statements.read(text)) == [
        Statement(line=1, name="client"),
        Statement(line=2, name="remote", arguments=("vpn.example.com", "1194")),
        Statement(line=4, name="ca", inline="  AA # no comment\nBB\n"),
        Statement(line=9, name="cert", inline=""),
        Unreadable(line=11, why="<key> has no </key>"),
    ]


def test_what_is_no_name_is_not_shown():
    (line, tag) = statements.read("MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ\n<MIIE>\nx")
    assert isinstance(line, Statement)
    assert line.shown == "this line"
    assert isinstance(tag, Unreadable)
    assert "MIIE" not in tag.why
    assert Statement(line=1, name="tls-auth").shown == "tls-auth"


@given(st.lists(st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" \t\"'\\#;"), max_size=12)))
def test_what_is_written_is_read_as_it_was_meant(arguments):
    statement = Statement(line=1, name="option", arguments=tuple(arguments))
    written = statement.render()
    if len(written.encode()) <= statements.LINE_MAX:
        assert list(statements.read(written)) == [statement]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=60))
def test_a_block_is_read_as_it_was_written(body):
    statement = Statement(line=1, name="ca", inline=body + "\n")
    if "</" not in body:
        assert list(statements.read(statement.render())) == [statement]


@pytest.mark.skipif(shutil.which("openvpn") is None, reason="openvpn is not installed")
@pytest.mark.parametrize("before", ["", " ", "\f", "\v\r", "A" * 255, " " * 510], ids=repr)
def test_a_file_cannot_end_its_block_and_go_on_with_options(tmp_path, before):
    """Not even as OpenVPN reads it: in pieces, and with blanks of all kinds before an end."""
    file = tmp_path / "client.ovpn"
    body = f"{before}</ca>\nplugin /nonesuch.so\n<ca>\n"
    file.write_text(Statement(line=1, name="ca", inline=body).render() + "\nproto marked\n")
    run = subprocess.run(["openvpn", "--config", file], capture_output=True, text=True, check=False, timeout=10)
    assert "'marked'" in run.stdout
    assert "nonesuch" not in run.stdout


@given(st.text(max_size=200))
def test_any_text_is_read_to_its_end(text):
    for one in statements.read(text):
        assert one.line >= 1


@pytest.mark.skipif(shutil.which("openvpn") is None, reason="openvpn is not installed")
def test_openvpn_reads_a_word_as_it_is_meant(tmp_path):
    """A word with everything in it that has a meaning comes back in OpenVPN's complaint about it."""
    word = "b \"c' \\d #e ;f"
    file = tmp_path / "client.ovpn"
    file.write_text(Statement(line=1, name="proto", arguments=(word,)).render() + "\n")
    run = subprocess.run(["openvpn", "--config", file], capture_output=True, text=True, check=False, timeout=10)
    assert f"'{word}'" in run.stdout
