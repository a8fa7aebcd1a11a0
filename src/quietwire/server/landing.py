"""The page that an invitation's link opens (XEP-0379 §3.3), and the one where a recovery code is used: one HTML file
each, without scripts, that loads nothing else.

The first has what somebody needs who has never heard of XMPP: who invites, which programs there are, the invitation as
link, as QR code and as text, and a form that makes an account without any program yet.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from html import escape
from string import Template
from typing import Final

import segno

from quietwire.server.http import Response
from quietwire.server.invitations import Invitation
from quietwire.server.registration import MIN_PASSWORD

RECOVER: Final = "/recover"
"""Where the form for recovery codes is."""
CLIENTS: Final = (
    ("Android", (("Conversations", "https://conversations.im/"), ("Cheogram", "https://cheogram.com/"))),
    ("iPhone, iPad", (("Monal", "https://monal-im.org/"), ("Siskin", "https://siskin.im/"))),
    ("Linux", (("Dino", "https://dino.im/"), ("Gajim", "https://gajim.org/"))),
    ("Windows", (("Gajim", "https://gajim.org/"),)),
    ("Mac", (("Monal", "https://monal-im.org/"), ("Beagle", "https://beagle.im/"))),
)
"""Well-kept ones that understand invitations and encrypt."""

_STYLE: Final = """
:root{color-scheme:light dark;--paper:#f4f1ea;--card:#fffdf8;--ink:#1f2a30;--soft:#5d6b70;--line:#ddd6c8;--deep:#1d5c63;
--glow:#e8f0ee;--warn:#9b3d2c}
@media(prefers-color-scheme:dark){:root{--paper:#12191c;--card:#1a2428;--ink:#e9ece8;--soft:#9fb0b1;--line:#2e3c41;
--deep:#7cc7bd;--glow:#20333a;--warn:#f0957f}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:17px/1.55 ui-rounded,"SF Pro Rounded",system-ui,sans-serif;
padding:clamp(1rem,5vw,4rem) 1rem}
main{max-width:46rem;margin:auto}
.mark{display:flex;align-items:center;gap:.6rem;color:var(--soft);font-size:.95rem;letter-spacing:.01em}
.mark svg{width:1.7rem;height:1.7rem;color:var(--deep)}
h1{font-size:clamp(1.9rem,6vw,2.9rem);line-height:1.12;letter-spacing:-.025em;margin:1.4rem 0 .6rem;font-weight:680;
text-wrap:balance}
h2{font-size:1.12rem;margin:0 0 .5rem;font-weight:640}
p{margin:.4rem 0}
.lead{color:var(--soft);font-size:1.08rem;max-width:36rem}
.card{background:var(--card);border:1px solid var(--line);border-radius:20px;padding:clamp(1.1rem,4vw,1.9rem);
margin-top:1.3rem}
.act{display:grid;gap:1.6rem;grid-template-columns:1fr auto;align-items:center}
.qr{display:block;width:11.5rem;height:11.5rem;border-radius:14px;background:#fff}
.go{display:block;text-align:center;background:var(--deep);color:var(--card);text-decoration:none;font-weight:640;
padding:.95rem 1.3rem;border-radius:14px;margin:.9rem 0;border:0;font-size:1.05rem;font-family:inherit;
width:100%;cursor:pointer}
.go:hover{filter:brightness(1.12)}
.go:focus-visible,input:focus-visible,a:focus-visible,summary:focus-visible{outline:3px solid var(--deep);
outline-offset:3px}
.small{color:var(--soft);font-size:.92rem}
code{font:.82rem/1.5 ui-monospace,monospace;overflow-wrap:anywhere;background:var(--glow);
padding:.5rem .7rem;border-radius:10px;display:block;user-select:all;margin-top:.4rem}
.card>code:only-child{font-size:1.15rem;margin:0}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.35rem 1.2rem;margin:.6rem 0 0}
dt{color:var(--soft)}dd{margin:0}
a{color:var(--deep);text-underline-offset:.18em}
ol{list-style:none;counter-reset:n;padding:0;margin:0}
ol>li{counter-increment:n;padding-left:2.9rem;position:relative;margin:0 0 1.3rem}
ol>li:last-child{margin-bottom:0}
ol>li::before{content:counter(n);position:absolute;left:0;top:-.1rem;width:2rem;height:2rem;border-radius:50%;
background:var(--glow);color:var(--deep);display:grid;place-items:center;font-weight:680}
label{display:block;margin:.8rem 0 0;font-weight:560}
input{width:100%;font:inherit;padding:.7rem .9rem;border-radius:12px;border:1px solid var(--line);
background:var(--paper);color:inherit;margin-top:.25rem}
.name{display:flex;align-items:center;gap:.5rem}.name span{color:var(--soft);white-space:nowrap;margin-top:.25rem}
.no{color:var(--warn);font-weight:600}
summary{cursor:pointer;font-weight:640;font-size:1.12rem}
footer{color:var(--soft);font-size:.9rem;margin-top:1.6rem}
@media(max-width:38rem){.act{grid-template-columns:1fr}.qr{margin:auto;width:min(16rem,70vw);height:auto;aspect-ratio:1}
.act>.scan{order:2;text-align:center}}
"""

_MARK: Final = (
    '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" '
    'aria-hidden="true"><path d="M4 5.5h16v10.5H11l-4.5 3.8V16H4z" stroke-linejoin="round"/>'
    '<path d="M8 10.7h1.6l1.3-2.2 1.9 4.2 1.2-2h2"/></svg>'
)

_PAGE: Final = Template(
    """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex"><meta name="color-scheme" content="light dark"><title>$title</title>
<style>$style</style></head>
<body><main><div class="mark">$mark<span>$domain</span></div>
$body
</main></body></html>
"""
)

_INVITATION: Final = Template(
    """<h1>$heading</h1>
<p class="lead">$lead</p>
$first
<section class="card act"><div><h2>You have a chat app that knows XMPP?</h2>
<a class="go" href="$uri">Open the invitation</a>
<p class="small">Nothing happens? Then there is no such app on this device yet: see below, and come back to this page.
</p></div><div class="scan">$qr<p class="small">or scan it with the app</p></div></section>
<section class="card"><ol>
<li><h2>Get an app</h2><p class="small">Any program for XMPP will do. These know what to do with this page, and encrypt
what you write so that only your friends can read it.</p><dl>$clients</dl></li>
<li><h2>Come back here</h2><p class="small">Tap “Open the invitation”, or scan the code.$account</p></li>
</ol></section>
$form
<section class="card"><h2>The invitation as text</h2>
<p class="small">For an app that asks for a link. Who has it can use it: pass it on to nobody.</p><code>$uri</code>
</section>
<footer><p>Good for one person, until $until.</p>
<p>This page keeps no record of your visit. It has no scripts and loads nothing from elsewhere.</p></footer>"""
)

_FORM: Final = Template(
    """<section class="card"><details$open><summary>Or make your account right here</summary>
$problem<form method="post" autocomplete="on"><label>Name
<span class="name"><input name="name" required maxlength="255" autocapitalize="none" spellcheck="false"
autocomplete="username" value="$name"$fixed><span>@$domain</span></span></label>
<label>Password <input name="password" type="password" required minlength="$minimum"
autocomplete="new-password"></label>
<label>The same password again <input name="again" type="password" required minlength="$minimum"
autocomplete="new-password"></label>
<button class="go">Make the account</button></form>
<p class="small">At least $minimum characters. Nobody can tell you the password later; your app will ask for it once.
</p></details></section>"""
)

_DONE: Final = Template(
    """<h1>Welcome.</h1>
<p class="lead">Your account is ready. Its address is also how friends find you:</p>
<section class="card"><code>$jid</code></section>
<section class="card"><h2>Write this down</h2>
<p class="small">Your recovery code, shown only now. If you forget your password, <a href="$recover">it opens your
account again</a> with your contacts and messages in it. Nobody can do that without it, and who has it can read them.
</p>
<code>$code</code></section>
<section class="card"><ol>
<li><h2>Get an app</h2><dl>$clients</dl></li>
<li><h2>Sign in</h2><p class="small">Choose “I have an account already”, and give the address and your password.
$contact</p></li></ol></section>"""
)

_RECOVER: Final = Template(
    """<h1>Forgot your password?</h1>
<p class="lead">With your recovery code you get a new one, and your contacts and messages stay.</p>
<section class="card">$problem<form method="post" autocomplete="on"><label>Name
<span class="name"><input name="name" required maxlength="255" autocapitalize="none" spellcheck="false"
autocomplete="username" value="$name"><span>@$domain</span></span></label>
<label>Recovery code <input name="code" required maxlength="100" autocapitalize="characters" spellcheck="false"
autocomplete="off" placeholder="XXXX-XXXX-XXXX-XXXX-XXXX-XXXX-XXXX"></label>
<label>New password <input name="password" type="password" required minlength="$minimum"
autocomplete="new-password"></label>
<label>The same password again <input name="again" type="password" required minlength="$minimum"
autocomplete="new-password"></label>
<button class="go">Set the new password</button></form>
<p class="small">Your code goes on to hold. Apps that are signed in will ask for the new password.</p></section>
<footer><p>Without the code: an app that is still signed in can set a new password. If there is none, only whoever runs
this server can help, and only by emptying the account.</p></footer>"""
)

_RECOVERED: Final = Template(
    """<h1>Done.</h1>
<p class="lead">Sign in with your new password. Everything is still there.</p>
<section class="card"><code>$jid</code></section>"""
)

_OVER: Final = Template(
    """<h1>This invitation is over.</h1>
<p class="lead">It was used already, was taken back, or its time has run out. Ask whoever sent it for a new one.</p>"""
)

_HEADERS: Final = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    + "'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
}


def show(
    invitation: Invitation, uri: str, domain: str, *, status: int = 200, problem: str = "", name: str = ""
) -> Response:
    """The invitation. `problem`: why the form was refused, for people; `name`: what was typed."""
    inviter = invitation.inviter.local
    heading = f"{inviter} invites you to chat" if inviter else f"You are invited to {domain}"
    lead = "Private messages, pictures and calls in an app of your choice, without a phone number."
    register = invitation.register
    form = ""
    if register:
        form = _FORM.substitute(
            open=" open" if problem else "",
            problem=f'<p class="no" role="alert">{escape(problem)}</p>' if problem else "",
            name=escape(invitation.name or name),
            fixed=" readonly" if invitation.name else "",
            domain=escape(domain),
            minimum=MIN_PASSWORD,
        )
    body = _INVITATION.substitute(
        heading=escape(heading),
        lead=lead,
        uri=escape(uri),
        qr=qr(uri),
        clients=_clients(),
        account=" The app makes your account and keeps its password." if register else "",
        first=form if problem else "",
        form="" if problem else form,
        until=f"{datetime.fromtimestamp(invitation.expires - 1, UTC):%-d %B %Y}",
    )
    return _response(status, heading, domain, body)


def done(jid: str, domain: str, inviter: str, code: str) -> Response:
    """The account was made. `inviter`: the address of who is in the contact list already, or ''. `code`: opens it when
    the password is lost."""
    contact = f"You will find {escape(inviter)} there already." if inviter else ""
    body = _DONE.substitute(jid=escape(jid), clients=_clients(), contact=contact, code=code, recover=RECOVER)
    return _response(200, "Welcome", domain, body)


def recover(domain: str, *, status: int = 200, problem: str = "", name: str = "") -> Response:
    """The form for a recovery code. `problem`: why it was refused, for people; `name`: what was typed."""
    body = _RECOVER.substitute(
        problem=f'<p class="no" role="alert">{escape(problem)}</p>' if problem else "",
        name=escape(name),
        domain=escape(domain),
        minimum=MIN_PASSWORD,
    )
    return _response(status, "Forgot your password?", domain, body)


def recovered(jid: str, domain: str) -> Response:
    """The account has its new password."""
    return _response(200, "Done", domain, _RECOVERED.substitute(jid=escape(jid)))


def over(domain: str) -> Response:
    """The same for a token that was never given out and for one that is used."""
    return _response(404, "This invitation is over", domain, _OVER.substitute())


def qr(uri: str) -> str:
    """The QR code as an inline ``<svg/>``."""
    code = segno.make(uri, error="m", micro=False)
    return code.svg_inline(
        border=3, dark="#14282c", light="#fff", omitsize=True, svgclass="qr", lineclass=None, title="QR code"
    )


def _clients() -> str:
    def links(entries: tuple[tuple[str, str], ...]) -> str:
        return ", ".join(f'<a href="{url}" rel="noreferrer">{name}</a>' for name, url in entries)

    return "".join(f"<dt>{system}</dt><dd>{links(entries)}</dd>" for system, entries in CLIENTS)


def _response(status: int, title: str, domain: str, body: str) -> Response:
    page = _PAGE.substitute(title=escape(title), style=_STYLE, mark=_MARK, domain=escape(domain), body=body)
    return Response(status, page.encode(), _HEADERS)
