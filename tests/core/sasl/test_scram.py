from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scram_client import ScramClient

from quietwire.core.sasl.failure import MAX_MESSAGE, SaslFailure
from quietwire.core.sasl.scram import MAX_NONCE, MECHANISMS, Scram, Success, make_nonce
from quietwire.core.sasl.verifier import HASHES, Verifier, base_mechanism, decoy, derive

SALT = b"0123456789abcdef"
BINDINGS = {"tls-server-end-point": b"\x01" * 32, "tls-exporter": b"\x02" * 32, "tls-unique": b"\x03" * 12}
VERIFIERS = {
    name: Verifier(SALT, 8, keys.stored_key, keys.server_key)
    for name in HASHES
    for keys in [derive("pencil", SALT, 8, name)]
}


def server(mechanism: str = "SCRAM-SHA-256", *, advertised_plus: bool = True, nonce: str = "servernonce") -> Scram:
    return Scram(mechanism, BINDINGS, nonce, advertised_plus)


def fails(condition: str, call: object, *args: bytes) -> None:
    with pytest.raises(SaslFailure) as caught:
        call(*args)  # type: ignore[operator]
    assert caught.value.condition == condition


def login(client: ScramClient, scram: Scram, verifier: Verifier) -> Success:
    scram.first(client.first())
    return scram.final(client.final(scram.challenge(verifier)))


VECTORS = {
    "SCRAM-SHA-1": (  # RFC 5802 §5
        "QSXCR+Q6sek8bf92",
        "3rfcNHYJY1ZVvWVs7j",
        b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
        b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ),
    "SCRAM-SHA-256": (  # RFC 7677 §3
        "W22ZaJ0SNY7soEsUEjb6gQ==",
        "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ),
}


@pytest.mark.parametrize("mechanism", VECTORS)
def test_vectors_of_the_rfcs(mechanism: str) -> None:
    salt, nonce, client_first, server_first, client_final, server_final = VECTORS[mechanism]
    keys = derive("pencil", base64.b64decode(salt), 4096, mechanism)
    scram = Scram(mechanism, {}, nonce, advertised_plus=False)
    request = scram.first(client_first)
    assert (request.username, request.authzid) == ("user", "")
    verifier = Verifier(base64.b64decode(salt), 4096, keys.stored_key, keys.server_key)
    assert scram.challenge(verifier) == server_first
    success = scram.final(client_final)
    assert success.server_final == server_final
    assert success.client_key == keys.client_key


@pytest.mark.parametrize("mechanism", [m for m in MECHANISMS if m.endswith("-PLUS")])
@pytest.mark.parametrize("kind", BINDINGS)
def test_channel_binding(mechanism: str, kind: str) -> None:
    client = ScramClient(mechanism, "user", "pencil", "abc", flag=f"p={kind}", binding=BINDINGS[kind])
    success = login(client, server(mechanism), VERIFIERS[base_mechanism(mechanism)])
    assert client.check(success.server_final)
    assert success.client_key == client.client_key


@pytest.mark.parametrize("mechanism", HASHES)
@pytest.mark.parametrize(("flag", "advertised_plus"), [("n", True), ("n", False), ("y", False)])
def test_without_channel_binding(mechanism: str, flag: str, advertised_plus: bool) -> None:
    client = ScramClient(mechanism, "user", "pencil", "abc", flag=flag)
    assert client.check(
        login(client, server(mechanism, advertised_plus=advertised_plus), VERIFIERS[mechanism]).server_final
    )


def test_a_downgrade_is_noticed() -> None:
    fails("not-authorized", server().first, b"y,,n=user,r=abc")


def test_the_binding_must_match() -> None:
    """Somebody in between has another certificate, hence other binding data."""
    client = ScramClient("SCRAM-SHA-256-PLUS", "user", "pencil", "abc", flag="p=tls-exporter", binding=b"x" * 32)
    with pytest.raises(SaslFailure, match="not-authorized"):
        login(client, server("SCRAM-SHA-256-PLUS"), VERIFIERS["SCRAM-SHA-256"])


def test_the_gs2_header_is_protected() -> None:
    """Somebody in between turns 'y' into 'n' to hide a downgrade: c= still says 'y'."""
    client = ScramClient("SCRAM-SHA-256", "user", "pencil", "abc", flag="y")
    scram = server()
    scram.first(b"n" + client.first()[1:])
    fails("not-authorized", scram.final, client.final(scram.challenge(VERIFIERS["SCRAM-SHA-256"])))


@pytest.mark.parametrize(
    ("mechanism", "message", "condition"),
    [
        ("SCRAM-SHA-256-PLUS", b"p=tls-novel,,n=user,r=abc", "not-authorized"),
        ("SCRAM-SHA-256-PLUS", b"n,,n=user,r=abc", "malformed-request"),
        ("SCRAM-SHA-256-PLUS", b"y,,n=user,r=abc", "malformed-request"),
        ("SCRAM-SHA-256", b"p=tls-exporter,,n=user,r=abc", "malformed-request"),
        *(
            ("SCRAM-SHA-256", message, "malformed-request")
            for message in (
                b"",
                b"n,,",
                b"n,,n=,r=abc",
                b"n,,n=user,r=",
                b"n,,n=user",
                b"n,,r=abc,n=user",
                b"n,n=user,r=abc",
                b"x,,n=user,r=abc",
                b"n,a=,n=user,r=abc",
                b"n,b=x,n=user,r=abc",
                b"n,,m=x,n=user,r=abc",
                b"n,,n=user,r=abc,m=x",
                b"n,,n=us=er,r=abc",
                b"n,,n=us=2cer,r=abc",
                b"n,,n=us\0er,r=abc",
                b"n,,n=us\xffer,r=abc",
                b"n,,n=user,r=a bc",
                b"n,,n=user,r=abc\n",
                b"n,,n=user,r=abc,",
                b"n,,n=user,r=abc,x",
                b"n,,n=user,r=" + b"a" * (MAX_NONCE + 1),
                b"n,,n=" + b"a" * MAX_MESSAGE + b",r=abc",
            )
        ),
    ],
)
def test_bad_first_messages(mechanism: str, message: bytes, condition: str) -> None:
    fails(condition, server(mechanism).first, message)


def test_names_are_unescaped_and_extensions_ignored() -> None:
    request = server().first("n,a=a=3D=2Cb,n=j=2Cü=3D2C,r=abc,x=y,z=1=2".encode())
    assert (request.username, request.authzid) == ("j,ü=2C", "a=,b")
    client = ScramClient("SCRAM-SHA-1", "a,b=c", "pencil", "abc", authzid="x=y")
    scram = server("SCRAM-SHA-1")
    request = scram.first(client.first())
    assert (request.username, request.authzid) == ("a,b=c", "x=y")
    assert client.check(scram.final(client.final(scram.challenge(VERIFIERS["SCRAM-SHA-1"]))).server_final)


def test_bad_final_messages() -> None:
    client = ScramClient("SCRAM-SHA-256", "user", "pencil", "abc")
    probe = server()
    probe.first(client.first())
    good = client.final(probe.challenge(VERIFIERS["SCRAM-SHA-256"])).decode()
    proof = good.partition(",p=")[2]
    short = base64.b64encode(b"x" * 31).decode()
    for message, condition in [
        ("", "malformed-request"),
        (good.replace("c=", "d="), "malformed-request"),
        (good.replace("c=biws", "c=bi!s"), "malformed-request"),
        (good.replace("c=biws", "c=biw"), "malformed-request"),
        (good.replace("c=biws", "c=eSws"), "not-authorized"),
        (good.replace("r=abc", "r=abd"), "not-authorized"),
        (good.replace("servernonce", ""), "not-authorized"),
        (good.replace(",p=", ",x=1,p="), "not-authorized"),
        (good.replace(",p=", ",m=1,p="), "malformed-request"),
        (good.replace(proof, short), "malformed-request"),
        (good.replace(proof, "A" * 43 + "="), "not-authorized"),
        (good + ",x=1", "malformed-request"),
        (good.replace(",p=" + proof, ""), "malformed-request"),
        ("a" * MAX_MESSAGE + good, "malformed-request"),
    ]:
        scram = server()
        scram.first(client.first())
        scram.challenge(VERIFIERS["SCRAM-SHA-256"])
        fails(condition, scram.final, message.encode())
        fails("malformed-request", scram.final, good.encode())  # spent


@pytest.mark.parametrize("mechanism", HASHES)
def test_wrong_password_and_unknown_user_get_the_same_answers(mechanism: str) -> None:
    for password, verifier in (("pen", VERIFIERS[mechanism]), ("pencil", decoy(b"s" * 32, "user", mechanism, 8))):
        client, scram = ScramClient(mechanism, "user", password, "abc"), server(mechanism)
        scram.first(client.first())
        challenge = scram.challenge(verifier)
        assert len(challenge) == len(f"r=abcservernonce,s={base64.b64encode(SALT).decode()},i=8")
        fails("not-authorized", scram.final, client.final(challenge))


def test_steps_out_of_order_fail() -> None:
    fails("malformed-request", server().final, b"c=biws,r=abcservernonce,p=AAAA")
    scram = server()
    scram.first(b"n,,n=user,r=abc")
    fails("malformed-request", scram.first, b"n,,n=user,r=abc")
    with pytest.raises(SaslFailure):
        server().challenge(VERIFIERS["SCRAM-SHA-256"])


def test_unknown_mechanism_and_foreign_verifier() -> None:
    with pytest.raises(SaslFailure, match="invalid-mechanism"):
        Scram("SCRAM-SHA-512", {}, "n", advertised_plus=False)
    scram = server("SCRAM-SHA-1")
    scram.first(b"n,,n=user,r=abc")
    with pytest.raises(ValueError, match="another mechanism"):
        scram.challenge(VERIFIERS["SCRAM-SHA-256"])


def test_nonces_can_be_sent() -> None:
    assert make_nonce(lambda n: b"\xfb" * n) == base64.b64encode(b"\xfb" * 18).decode()
    assert "," not in make_nonce(bytes)


def test_secrets_do_not_show() -> None:
    client = ScramClient("SCRAM-SHA-256", "user", "pencil", "abc")
    scram = server()
    request = scram.first(client.first())
    success = scram.final(client.final(scram.challenge(VERIFIERS["SCRAM-SHA-256"])))
    assert "user" not in repr(request)
    assert "client_key" not in repr(success)


tokens = st.lists(
    st.sampled_from(
        [b"n", b"y", b"p=tls-exporter", b",", b"a=", b"n=", b"r=", b"c=", b"p=", b"m=", b"=2C", b"=", b"x", b"\0"]
    )
    | st.sampled_from([b"biws", b"abc", b"servernonce", b"\xff", b"A" * 43 + b"="]),
    max_size=16,
).map(b"".join)


@settings(max_examples=500)
@given(st.sampled_from(MECHANISMS), st.binary(max_size=64) | tokens, st.binary(max_size=64) | tokens)
def test_no_input_raises_anything_but_a_failure(mechanism: str, first: bytes, final: bytes) -> None:
    try:
        server(mechanism).first(first)
    except SaslFailure:
        pass
    scram = server(mechanism)
    scram.first(b"p=tls-unique,,n=a,r=abc" if mechanism.endswith("PLUS") else b"n,,n=a,r=abc")
    scram.challenge(VERIFIERS[base_mechanism(mechanism)])
    with pytest.raises(SaslFailure):
        scram.final(final)


@settings(max_examples=50)
@given(
    st.sampled_from(MECHANISMS),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
)
def test_every_name_arrives_as_it_was_typed(mechanism: str, username: str, authzid: str) -> None:
    plus = mechanism.endswith("-PLUS")
    flag, binding = ("p=tls-unique", BINDINGS["tls-unique"]) if plus else ("n", b"")
    client = ScramClient(mechanism, username, "pencil", "abc", flag=flag, binding=binding, authzid=authzid)
    scram = server(mechanism)
    request = scram.first(client.first())
    assert (request.username, request.authzid) == (username, authzid)
    final = scram.final(client.final(scram.challenge(VERIFIERS[base_mechanism(mechanism)])))
    assert client.check(final.server_final)
