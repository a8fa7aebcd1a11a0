from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from quietwire.core.jid import parse_jid
from quietwire.server import landing
from quietwire.server.http import Response
from quietwire.server.invitations import Invitation

URI = "xmpp:lena@a.example?roster;preauth=token;ibr=y"


class Reader(HTMLParser):
    """Tags with their attributes, and the text; complains of what is not closed."""

    VOID = ("meta", "input", "path")

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(response.body.decode())
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def invitation(inviter: str = "lena@a.example", *, register: bool = True, name: str = "") -> Invitation:
    return Invitation(parse_jid(inviter), 1_000_080_000, register, True, name)


def links(reader: Reader) -> list[str | None]:
    return [attributes.get("href") for tag, attributes in reader.tags if tag == "a"]


def test_it_says_who_invites_and_has_the_link_three_times() -> None:
    response = landing.show(invitation(), URI, "a.example")
    reader = Reader(response)
    assert response.status == 200
    assert "lena invites you to chat" in reader.text
    assert URI in links(reader)
    assert URI in reader.text
    assert "9 September 2001" in reader.text
    [code] = [attributes for tag, attributes in reader.tags if tag == "svg" and attributes.get("class") == "qr"]
    assert "viewbox" in code


def test_it_loads_nothing_and_runs_nothing() -> None:
    for response in (
        landing.show(invitation(), URI, "a.example", problem="x"),
        landing.done("tom@a.example", "a.example", "lena@a.example", "CODE"),
        landing.recover("a.example", problem="no", name="tom"),
        landing.recovered("tom@a.example", "a.example"),
        landing.over("a.example"),
    ):
        reader = Reader(response)
        assert not {tag for tag, _ in reader.tags} & {"script", "img", "link", "iframe", "object", "base"}
        assert not [
            a for _, attributes in reader.tags for a in attributes if a.startswith("on") or a in ("src", "style")
        ]
        assert not re.search(r"url\(|@import", response.body.decode())
        policy = response.headers["Content-Security-Policy"]
        [style] = re.findall(r"<style>(.*?)</style>", response.body.decode(), re.DOTALL)
        assert f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'" in policy
        assert policy.startswith("default-src 'none'")
        assert response.headers["Cache-Control"] == "no-store"


def test_what_others_chose_is_escaped() -> None:
    nasty = "<script>alert(1)</script>"
    body = landing.show(invitation(), f"xmpp:{nasty}'\"", "a.example", problem=nasty, name=f'"{nasty}').body.decode()
    assert nasty not in body
    assert nasty not in landing.done(nasty, nasty, nasty, "CODE").body.decode()
    assert nasty not in landing.recover(nasty, problem=nasty, name=nasty).body.decode()
    assert nasty not in landing.recovered(nasty, nasty).body.decode()


@pytest.mark.parametrize(("name", "fixed"), [("carol", True), ("", False)])
def test_a_promised_name_stands_in_the_form(name: str, fixed: bool) -> None:
    reader = Reader(landing.show(invitation(name=name), URI, "a.example", name="typed"))
    [field] = [attributes for tag, attributes in reader.tags if tag == "input" and attributes["name"] == "name"]
    assert field["value"] == (name or "typed")
    assert ("readonly" in field) is fixed


def test_without_the_right_to_register_there_is_no_form() -> None:
    reader = Reader(landing.show(invitation(register=False), URI, "a.example"))
    assert "form" not in [tag for tag, _ in reader.tags]


def test_an_invitation_of_the_server_names_nobody() -> None:
    assert "You are invited to a.example" in Reader(landing.show(invitation("a.example"), URI, "a.example")).text


def test_what_was_wrong_stands_with_the_form_at_the_top() -> None:
    body = landing.show(invitation(), URI, "a.example", status=400, problem="Taken.").body.decode()
    assert body.index("Taken.") < body.index("Open the invitation")
    assert body.count("<form") == 1


def test_an_invitation_that_is_over() -> None:
    response = landing.over("a.example")
    assert response.status == 404
    assert "over" in Reader(response).text
