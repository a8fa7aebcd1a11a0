from __future__ import annotations

from quietwire.core import ns
from quietwire.core.xml import parse, serialise
from quietwire.server.vcard import FOUR, TEMP, to_temp, to_vcard4

CARD = (
    "<vCard xmlns='vcard-temp'><FN>Ada L</FN><N><FAMILY>L</FAMILY><GIVEN>Ada</GIVEN></N><NICKNAME>ada</NICKNAME>"
    "<BDAY>1815-12-10</BDAY><ADR><HOME/><STREET>Street 1</STREET><LOCALITY>London</LOCALITY><CTRY>UK</CTRY></ADR>"
    "<TEL><WORK/><VOICE/><NUMBER>+44 20</NUMBER></TEL><EMAIL><HOME/><USERID>a@l.example</USERID></EMAIL>"
    "<JABBERID>ada@a.example</JABBERID><GEO><LAT>51.5</LAT><LON>-0.1</LON></GEO><TITLE>Countess</TITLE>"
    "<ORG><ORGNAME>Engines</ORGNAME><ORGUNIT>Notes</ORGUNIT></ORG><CATEGORIES><KEYWORD>maths</KEYWORD></CATEGORIES>"
    "<URL>https://l.example/</URL></vCard>"
)
FOUR_CARD = (
    f"<vcard xmlns='{FOUR}'><fn><text>Ada L</text></fn><n><surname>L</surname><given>Ada</given></n>"
    "<nickname><text>ada</text></nickname><bday><date>1815-12-10</date></bday>"
    "<adr><parameters><type><text>home</text></type></parameters><street>Street 1</street><locality>London</locality>"
    "<country>UK</country></adr><tel><parameters><type><text>work</text><text>voice</text></type></parameters>"
    "<text>+44 20</text></tel><email><parameters><type><text>home</text></type></parameters><text>a@l.example</text>"
    "</email><impp><uri>xmpp:ada@a.example</uri></impp><geo><uri>geo:51.5,-0.1</uri></geo>"
    "<title><text>Countess</text></title><org><text>Engines</text><text>Notes</text></org>"
    "<categories><text>maths</text></categories><url><uri>https://l.example/</uri></url></vcard>"
)


def four(card: str) -> str:
    return serialise(to_vcard4(parse(card.encode(), ns.CLIENT)), ns.CLIENT).decode()


def temp(card: str) -> str:
    return serialise(to_temp(parse(card.encode(), ns.CLIENT)), ns.CLIENT).decode()


def test_each_becomes_the_other() -> None:
    assert four(CARD) == FOUR_CARD
    assert temp(FOUR_CARD) == CARD


def test_empty_and_unknown_fields_are_left_out() -> None:
    odd = f"<vCard xmlns='{TEMP}'><FN/><N><GIVEN/></N><TEL><HOME/></TEL><ORG/><GEO><LAT>1</LAT></GEO><MAILER>x</MAILER>"
    assert four(f"{odd}<CATEGORIES/><JABBERID/></vCard>") == f"<vcard xmlns='{FOUR}'/>"
    odd = f"<vcard xmlns='{FOUR}'><fn/><n/><tel/><org/><geo><uri>x</uri></geo><impp><uri>sip:a@b</uri></impp><x/>"
    assert temp(f"{odd}<categories/></vcard>") == f"<vCard xmlns='{TEMP}'/>"


def test_a_number_may_be_an_address() -> None:
    card = f"<vcard xmlns='{FOUR}'><tel><uri>tel:+1-303</uri></tel></vcard>"
    assert temp(card) == f"<vCard xmlns='{TEMP}'><TEL><NUMBER>+1-303</NUMBER></TEL></vCard>"


def test_a_picture_is_not_converted() -> None:
    assert four(f"<vCard xmlns='{TEMP}'><PHOTO><BINVAL>AA==</BINVAL></PHOTO></vCard>") == f"<vcard xmlns='{FOUR}'/>"
