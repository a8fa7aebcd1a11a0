from __future__ import annotations

import base64
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from quietwire.core.errors import ConfigError
from quietwire.core.jid import parse_jid
from quietwire.seal.uploads import name_of
from quietwire.server.modules.xep0030_disco import MODULE as DISCO
from quietwire.server.modules.xep0363_http_upload import MODULE, NS, PURPOSE, read
from quietwire.server.uploads import DAY, SLOTS, TABLE, Row, Uploads
from quietwire.testing.assembly import Assembly, Client
from quietwire.testing.web import FakeFiles

CLASS = 32_768
BARE = parse_jid("alice@a.example")


class House:
    def __init__(self, **settings: Any) -> None:
        self.files = FakeFiles()
        self.uploads = Uploads(self.files)
        self.built = Assembly(
            (MODULE, DISCO),
            settings={"http-upload": settings},
            extra={"uploads": self.uploads, "web": "https://a.example:5443"},
        )
        self.built.add("alice@a.example")
        self.alice = self.built.log_in("alice@a.example/x")

    def ask(
        self, size: Any = 10, name: str = "a.png", more: str = "", inner: str = "", who: Client | None = None
    ) -> ET.Element:
        client = who or self.alice
        request = f"<request xmlns='{NS}' filename='{name}' size='{size}'{more}>{inner}</request>"
        client.write(f"<iq type='get' id='1' to='upload.a.example'>{request}</iq>")
        (answer,) = client.take()
        return ET.fromstring(answer)

    def slot(self, **asked: Any) -> str:
        answer = self.ask(**asked)
        assert answer.get("type") == "result", ET.tostring(answer)
        put, get = answer[0]
        assert put.attrib == get.attrib
        return put.attrib["url"]

    def name(self, url: str) -> bytes:
        return name_of(base64.urlsafe_b64decode(url.split("/")[4]))

    def rows(self) -> list[Row]:
        found = self.built.store.scan(TABLE, b"alice@a.example").result()
        return [Row.from_bytes(value) for _, value in found]


def condition(answer: ET.Element) -> tuple[str, str]:
    error = answer.find("error")
    assert error is not None
    return error.get("type", ""), error[0].tag.rpartition("}")[2]


def test_a_slot_is_an_address_that_only_its_owner_knows() -> None:
    house = House()
    url = house.slot(name="très cool.jpg", more=" content-type='image/jpeg'")
    assert url.startswith("https://a.example:5443/upload/")
    assert url.endswith("/tr%C3%A8s%20cool.jpg")
    assert len(url.split("/")[4]) == 32
    slot = house.uploads.take(house.name(url), house.built.now)
    assert slot is not None
    assert (slot.owner, slot.size, slot.type) == (BARE, 10, "image/jpeg")
    assert slot.expires == house.built.now + 30 * DAY
    assert slot.until == house.built.now + 300


def test_a_name_cannot_be_a_path() -> None:
    assert House().slot(name="../../etc/passwd?x#y").endswith("/..%2F..%2Fetc%2Fpasswd%3Fx%23y")


def test_the_row_says_size_class_and_days_and_neither_name_nor_token() -> None:
    house = House()
    url = house.slot(name="secret.png")
    ((key, value),) = house.built.store.scan(TABLE, b"alice@a.example").result()
    assert key == house.name(url)
    today = int(house.built.now // DAY)
    assert Row.from_bytes(value) == Row(today, today + 30, CLASS)
    assert base64.urlsafe_b64decode(url.split("/")[4]) not in key + value


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ({"more": " content-type='text/plain; charset=utf-8'"}, "text/plain"),
        ({"more": " content-type='IMAGE/PNG'"}, "image/png"),
        ({"more": " content-type='nonsense'"}, ""),
        ({"more": " content-type='a/b&#10;X: y'"}, ""),
        ({"more": f" content-type='a/{'b' * 300}'"}, ""),
    ],
)
def test_types_that_are_none_are_not_taken(asked: dict[str, str], kind: str) -> None:
    house = House()
    slot = house.uploads.take(house.name(house.slot(**asked)), house.built.now)
    assert slot is not None
    assert slot.type == kind


@pytest.mark.parametrize(
    "asked",
    [{"size": "x"}, {"size": "0"}, {"size": "-1"}, {"size": ""}, {"size": "9" * 19}, {"size": "٣"}, {"name": ""},
     {"name": "ä" * 300}],
)  # fmt: skip
def test_what_is_no_request(asked: dict[str, str]) -> None:
    assert condition(House().ask(**asked)) == ("modify", "bad-request")


def test_a_file_that_is_too_large_is_told_how_large_it_may_be() -> None:
    house = House(size=1000, daily=CLASS, total=CLASS)
    answer = house.ask(size=1001)
    assert condition(answer) == ("modify", "not-acceptable")
    assert answer.findtext(f"error/{{{NS}}}file-too-large/{{{NS}}}max-file-size") == "1000"
    assert house.rows() == []
    house.slot(size=1000)


def stamp(answer: ET.Element) -> str | None:
    retry = answer.find(f"error/{{{NS}}}retry")
    return None if retry is None else retry.get("stamp")


def test_the_daily_quota_is_over_at_midnight() -> None:
    house = House(size=1000, daily=2 * CLASS)
    house.slot()
    house.slot()
    answer = house.ask()
    assert condition(answer) == ("wait", "resource-constraint")
    assert stamp(answer) == "2001-09-10T00:00:00Z"
    house.built.pass_time(DAY)
    house.slot()


def test_all_files_of_an_account_together_have_a_quota_too() -> None:
    house = House(size=1000, daily=CLASS, total=2 * CLASS, days=3)
    for _ in range(2):
        house.slot()
        house.uploads.finish(next(iter(house.uploads._slots)))
        house.built.pass_time(DAY)
    answer = house.ask()
    assert condition(answer) == ("wait", "resource-constraint")
    assert stamp(answer) == "2001-09-13T00:00:00Z"
    house.built.pass_time(2 * DAY)
    house.slot()


def test_one_account_does_not_use_up_what_another_may() -> None:
    house = House(size=1000, daily=CLASS, total=CLASS)
    house.slot()
    house.built.add("bob@a.example")
    bob = house.built.log_in("bob@a.example/x")
    assert house.ask(who=bob).get("type") == "result"


def test_promises_are_limited_and_lapse() -> None:
    house = House()
    for _ in range(SLOTS):
        house.slot()
    assert condition(house.ask()) == ("wait", "resource-constraint")
    assert len(house.rows()) == SLOTS
    house.built.pass_time(400)
    assert house.rows() == []
    house.slot()


def test_a_file_may_be_asked_to_expire_earlier() -> None:
    house = House()
    for text, expires in (
        ("2001-09-10T00:00:00Z", 1_000_080_000),
        ("2001-09-10T02:00:00+02:00", 1_000_080_000),
        ("2030-01-01T00:00:00Z", int(house.built.now) + 30 * DAY),
    ):
        url = house.slot(inner=f"<ephemeral xmlns='{PURPOSE}' expire-before='{text}'/>")
        slot = house.uploads.take(house.name(url), house.built.now)
        assert slot is not None
        assert slot.expires == expires
    for text in ("", "tomorrow", "2001-09-10T00:00:00", "2001-09-08T00:00:00Z"):
        assert condition(house.ask(inner=f"<ephemeral xmlns='{PURPOSE}' expire-before='{text}'/>"))[1] == "bad-request"


def test_other_servers_users_may_look_but_have_no_place_here() -> None:
    house = House()
    request = f"<request xmlns='{NS}' filename='a' size='1'/>"
    house.built.receive(f"<iq type='get' id='1' to='upload.a.example'>{request}</iq>", "eve@b.example/x")
    (answer,) = house.built.take_remote()
    assert "forbidden" in answer
    assert house.uploads.count(parse_jid("eve@b.example")) == 0


@pytest.mark.parametrize(
    ("kind", "to", "payload"),
    [
        ("set", "upload.a.example", f"<request xmlns='{NS}' filename='a' size='1'/>"),
        ("get", "x@upload.a.example", f"<request xmlns='{NS}' filename='a' size='1'/>"),
        ("get", "upload.a.example/x", f"<request xmlns='{NS}' filename='a' size='1'/>"),
        ("get", "upload.a.example", "<ping xmlns='urn:x'/>"),
    ],
)
def test_anything_else_is_not_served(kind: str, to: str, payload: str) -> None:
    house = House()
    house.alice.write(f"<iq type='{kind}' id='1' to='{to}'>{payload}</iq>")
    (answer,) = house.alice.take()
    assert condition(ET.fromstring(answer))[1] == "service-unavailable"


def test_messages_come_back_and_presence_goes_nowhere() -> None:
    house = House()
    house.alice.write("<presence to='upload.a.example'/>")
    assert house.alice.take() == []
    house.alice.write("<message to='upload.a.example'><body>hi</body></message>")
    (answer,) = house.alice.take()
    assert "service-unavailable" in answer


def test_it_is_found_and_says_how_large_a_file_may_be() -> None:
    house = House(size=1000)
    info = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
    items = info.replace("#info", "#items")
    house.alice.write(f"<iq type='get' id='1' to='a.example'>{items}</iq>")
    assert "jid='upload.a.example'" in house.alice.take()[0]
    house.alice.write(f"<iq type='get' id='1' to='upload.a.example'>{info}</iq>")
    answer = ET.fromstring(house.alice.take()[0])
    space = "{http://jabber.org/protocol/disco#info}"
    identity = answer.find(f".//{space}identity")
    assert identity is not None
    assert (identity.get("category"), identity.get("type")) == ("store", "file")
    features = {feature.get("var") for feature in answer.iter(f"{space}feature")}
    assert {NS, f"{PURPOSE}#message", f"{PURPOSE}#ephemeral"} <= features
    values = {field.get("var"): field.findtext("{jabber:x:data}value") for field in answer.iter("{jabber:x:data}field")}
    assert values == {"FORM_TYPE": NS, "max-file-size": "1000"}
    house.alice.write(f"<iq type='get' id='1' to='upload.a.example'>{items}</iq>")
    assert "type='result'" in house.alice.take()[0]
    house.alice.write(
        f"<iq type='get' id='1' to='upload.a.example'>{info.replace('/>', chr(32) + 'node=' + repr('x') + '/>')}</iq>"
    )
    assert "item-not-found" in house.alice.take()[0]


def test_without_a_web_port_there_is_nothing() -> None:
    built = Assembly((MODULE,))
    built.add("alice@a.example")
    alice = built.log_in("alice@a.example/x")
    alice.write(f"<iq type='get' id='1' to='upload.a.example'><request xmlns='{NS}' filename='a' size='1'/></iq>")
    assert "service-unavailable" in alice.take()[0]


def test_the_disk_is_put_in_order_at_the_start_and_every_day() -> None:
    house = House()
    assert house.files.tidied == 1
    name = house.name(house.slot())
    house.uploads.finish(name)
    house.files.whole = {name, b"orphan"}
    house.built.pass_time(DAY)
    assert house.files.whole == {name}
    house.built.pass_time(31 * DAY)
    assert house.files.whole == set()
    assert house.rows() == []


def test_files_go_with_their_account() -> None:
    house = House()
    name = house.name(house.slot())
    house.uploads.finish(name)
    house.files.whole = {name}
    pending = house.name(house.slot())
    house.built.store.erase(b"alice@a.example")
    house.built.router.erased(BARE)
    assert house.files.whole == set()
    assert house.uploads.take(pending, house.built.now) is None


@pytest.mark.parametrize(
    ("settings", "key"),
    [({"size": 0}, "size"), ({"daily": 5}, "daily"), ({"total": 5}, "total"), ({"days": 0}, "days")],
)
def test_mistakes_in_the_configuration(settings: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(settings)
    assert caught.value.key == key
