"""What lives are made of, and where the numbers are from.

A number is from the study that its docstring names, or it is *chosen*: plausible, in the range that studies report,
and not to be cited. All of them can be changed, since no conclusion may hang on one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

Family = Literal["hawkes", "sessions", "queue", "poisson"]
FAMILIES: Final[tuple[Family, ...]] = get_args(Family)
"""Where the bursts come from. Attacks are trained on some and tested on another.

``hawkes``: messages cause messages, with a heavy-tailed delay: self-exciting processes (A. G. Hawkes, "Spectra of some
self-exciting and mutually exciting point processes", Biometrika 58, 1971; for conversations N. Masuda, T. Takaguchi,
N. Sato and K. Yano, "Self-exciting point process modeling of conversation event sequences", in "Temporal Networks",
Springer 2013).

``sessions``: now and then a session begins, by day and not by night, and in it messages follow at a steady rate
(R. D. Malmgren, D. B. Stouffer, A. E. Motter and L. A. N. Amaral, "A Poissonian explanation for heavy tails in e-mail
communication", PNAS 105, 2008).

``queue``: people answer what is most urgent first, so that waiting times have a power law with exponent 1
(A.-L. Barabási, "The origin of bursts and heavy tails in human dynamics", Nature 435, 2005; A. Vázquez et al.,
"Modeling bursts and heavy tails in human dynamics", Physical Review E 73, 2006).

``poisson``: nobody is like that. Messages are independent, at a constant rate, day and night; what attacks can reach is
then known in closed form, and they are calibrated with it.
"""


@dataclass(frozen=True, slots=True)
class Habit:
    """What a client does by itself. `ping`: seconds between two (XEP-0199) on a quiet link, 0 for none. `typing`,
    `receipts`, `markers`: whether it sends them; `csi`: tells when nobody looks (XEP-0352); `away`: minutes without use
    after which it says so, 0 for never; `sm`: resumes."""

    form: Literal["phone", "desktop", "web"]
    ping: float
    typing: bool = True
    receipts: bool = True
    markers: bool = True
    csi: bool = False
    away: float = 0.0
    sm: bool = True


HABITS: Final[dict[str, Habit]] = {
    "conversations": Habit("phone", 300.0, csi=True),
    "monal": Habit("phone", 0.0, csi=True),
    "quicksy": Habit("phone", 300.0, markers=False, csi=True),
    "dino": Habit("desktop", 150.0, csi=False),
    "gajim": Habit("desktop", 120.0, csi=True, away=10.0),
    "profanity": Habit("desktop", 60.0, markers=False, away=10.0),
    "poezio": Habit("desktop", 60.0, markers=False, sm=False),
    "converse": Habit("web", 60.0, csi=True, away=5.0),
}
"""Models, each with the name of the client it is like. The pings of Conversations (PING_MAX_INTERVAL), profanity
(``/autoping``), poezio (``connection_check_interval``) and converse.js (``ping_interval``) are those programs'
defaults; everything else is chosen. What real ones send at their start is in `lab/startups/`."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Raises ValueError for what cannot be."""

    family: Family = "hawkes"
    squeeze: float = 1.0
    """Compression of the calendar: a day lasts 86,400/squeeze seconds. What people decide to do (conversations, logins,
    reconnects, new contacts, files) comes so much more often; what is done at the speed of hands, eyes and programs
    (typing, reading, answering, pings) keeps its speed. So a minute looks like hours of somebody who has `squeeze`
    times as many conversations, one beside the other: gaps within conversations are real, gaps between them are not.
    One has ten fingers still: where texts would overlap they wait, and from about 60 on fewer are sent than asked."""
    start_hour: float = 9.0
    """Hour of a Monday, UTC, at second 0."""
    rhythm: bool = True
    """Day, night and weekend. Never for ``poisson``."""
    background: bool = True
    """Whatever devices do by themselves and people do not say: logins and what they fetch, pings, presence, client
    state. Without it all devices are there and say nothing of it: for simulations of many weeks."""
    consequences: bool = True
    """Typing, receipts, markers, reactions, corrections, files."""

    messages: float = 40.0
    """Texts that somebody sends a day, mean. Chosen: students with WhatsApp send more, elders with SMS fewer
    (A. Rosenfeld, S. Sina, D. Sarne, O. Avidov, S. Kraus, "WhatsApp usage patterns and prediction of demographic
    characteristics without access to message content", Demographic Research 39, 2018, for how much they differ)."""
    spread: float = 0.8
    """Sigma of the log-normal distribution of activity over people. Chosen."""
    talk: float = 5.0
    """Texts in a conversation, mean; the distribution is the family's. Chosen; conversations of instant messaging are
    short (E. Isaacs, A. Walendowski, S. Whittaker, D. J. Schiano, C. Kamm, "The character, functions, and styles of
    instant messaging in the workplace", CSCW 2002)."""
    answer: float = 25.0
    """Seconds, about the median of what passes before an answer within a conversation. Chosen; most messages that are
    answered soon are answered within a minute (D. Avrahami, S. E. Hudson, "Responsiveness in instant messaging:
    predictive models supporting inter-personal communication", CHI 2006)."""
    tail: float = 1.1
    """Exponent of the tail of answers (``hawkes``): P(later than t) falls like t to the minus tail. Chosen, near the
    exponents of 1 and 1.5 of inter-event times (Vázquez et al. 2006)."""

    contacts: float = 12.0
    """Mutual contacts with whom something is ever said, mean: between the circles of 9-15 and 30-45 (W.-X. Zhou,
    D. Sornette, R. A. Hill, R. I. M. Dunbar, "Discrete hierarchical organization of social group sizes", Proceedings of
    the Royal Society B 272, 2005)."""
    degree_tail: float = 2.5
    """Tail of the number of contacts: a shifted power law, as J.-P. Onnela et al. fitted ("Structure and tie strengths
    in mobile communication networks", PNAS 104, 2007); their tail is steeper, that of instant messengers heavier
    (J. Leskovec, E. Horvitz, "Planetary-scale views on a large instant-messaging network", WWW 2008). Chosen."""
    tie_tail: float = 0.9
    """How unequal a person's ties are: density with exponent 1.9, cut off (Onnela et al. 2007)."""
    mixing: float = 0.2
    """Share of contacts that are chosen without regard to communities, much as A. Lancichinetti, S. Fortunato and
    F. Radicchi have it ("Benchmark graphs for testing community detection algorithms", Physical Review E 78, 2008); who
    has more contacts than the community has people finds more of them outside. Chosen."""
    closure: float = 0.3
    """Share of those within it that are a contact's contact (P. Holme, B. J. Kim, "Growing scale-free networks with
    tunable clustering", Physical Review E 65, 2002). Chosen."""
    community: float = 40.0
    """People of a community, mean of a heavy-tailed distribution. Chosen."""
    elsewhere: float = 0.3
    """Share of communities that live in another time zone. Chosen."""

    room_share: float = 0.25
    """Of texts that go to rooms. Chosen; group chats are a considerable part of WhatsApp's traffic (M. Seufert,
    T. Hoßfeld, A. Schwind, V. Burger, P. Tran-Gia, "Group-based communication in WhatsApp", IFIP Networking 2016)."""
    rooms: float = 0.3
    """Rooms there are for each person. Chosen."""
    room_size: float = 8.0
    """Members, mean of a heavy-tailed distribution. Chosen."""

    length: float = 28.0
    """Characters of a text, median. Chosen."""
    length_spread: float = 1.0
    """Sigma of its log-normal distribution. That texts people write to each other are log-normal in length:
    P. Sobkowicz, M. Thelwall, K. Buckley, G. Paltoglou, A. Sobkowicz, "Lognormal distributions of user post lengths in
    Internet discussions - a consequence of the Weber-Fechner law?", EPJ Data Science 2, 2013. The value is chosen."""
    longest: int = 4000
    """Characters. Longer texts are cut to it; one in two million is."""
    file_share: float = 0.03
    """Of texts that come with a file. Chosen."""
    file_size: float = 180_000.0
    """Bytes of a file, median. Chosen: a photograph as messengers shrink it."""
    file_spread: float = 1.4
    """Sigma of the body of file sizes, which is log-normal (A. B. Downey, "The structural cause of file size
    distributions", MASCOTS 2001). Chosen."""
    file_tail: float = 1.2
    """Exponent of its tail, a Pareto distribution, for one file in ten (M. E. Crovella, A. Bestavros, "Self-similarity
    in World Wide Web traffic: evidence and possible causes", IEEE/ACM Transactions on Networking 5, 1997, for such
    tails). The value is chosen."""
    largest_file: int = 20_000_000
    """Bytes. Chosen: a limit of upload services."""
    reaction_share: float = 0.06
    """Of texts that get one. Chosen."""
    correction_share: float = 0.03
    """Of texts that are corrected. Chosen."""

    phone_speed: float = 36.2
    """Words (of five characters) a minute, mean (K. Palin, A. M. Feit, S. Kim, P. O. Kristensson, A. Oulasvirta, "How
    do people type on mobile devices? Observations from a study with 37,000 volunteers", MobileHCI 2019)."""
    desk_speed: float = 51.6
    """The same with a keyboard (V. Dhakal, A. M. Feit, P. O. Kristensson, A. Oulasvirta, "Observations on typing from
    136 million keystrokes", CHI 2018)."""
    reading_speed: float = 238.0
    """Words a minute (M. Brysbaert, "How many words do we read per minute? A review and meta-analysis of reading rate",
    Journal of Memory and Language 109, 2019)."""
    notice: float = 45.0
    """Seconds until somebody looks who does not have the conversation open, median. About half of those notifications
    that are dealt with are within half a minute (A. Sahami Shirazi et al., "Large-scale assessment of mobile
    notifications", CHI 2014), and most are seen within minutes (M. Pielot, K. Church, R. de Oliveira, "An in-situ study
    of mobile phone notifications", MobileHCI 2014). The value is chosen."""
    notice_spread: float = 1.6
    """Sigma of its log-normal distribution. Chosen."""
    checks: float = 30.0
    """Times a day that somebody looks at the phone's client for nothing. Chosen; sessions of applications are short,
    72 seconds in the mean (M. Böhmer, B. Hecht, J. Schöning, A. Krüger, G. Bauer, "Falling asleep with Angry Birds,
    Facebook and Kindle: a large scale study on mobile application usage", MobileHCI 2011)."""

    second_device: float = 0.5
    """Share of people with one. Chosen."""
    third_device: float = 0.12
    """Share with another one. Chosen."""
    outages: float = 3.0
    """Times a day that a phone is gone for some minutes. Chosen."""
    resumes: float = 6.0
    """Times a day that a device's link breaks and is back at once. Chosen: changes of network."""
    pings: float = 1.0
    """Factor of the rate of pings; 0 for none."""
    statuses: float = 0.5
    """Changes of somebody's presence by hand, a day. Chosen."""
    publishes: float = 1.0
    """Publications (avatar, bookmark, keys) of a device, a day. Chosen."""
    subscribes: float = 0.1
    """New contacts of a person, a day. Chosen."""
    scrolls: float = 1.5
    """Times a day that a person pages back in an archive. Chosen."""
    unknown: float = 0.15
    """Probability that a device does not have a contact's keys (or picture) at the first message of the plan.
    Chosen."""

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"family: one of {', '.join(FAMILIES)}, not {self.family!r}")
        for name in ("squeeze", "messages", "answer", "contacts", "community", "room_size", "length", "file_size",
                     "phone_speed", "desk_speed", "reading_speed", "notice", "tail", "degree_tail", "tie_tail",
                     "file_tail"):  # fmt: skip
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name}: more than 0")
        for name in ("mixing", "closure", "elsewhere", "room_share", "file_share", "reaction_share", "correction_share",
                     "second_device", "third_device", "unknown"):  # fmt: skip
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: from 0 to 1")
        for name in ("spread", "length_spread", "file_spread", "notice_spread", "rooms", "checks", "outages", "resumes",
                     "pings", "statuses", "publishes", "subscribes", "scrolls"):  # fmt: skip
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name}: at least 0")
        if not 1 < self.talk < 1000:
            raise ValueError("talk: more than 1")
        if self.longest < 1 or self.largest_file < 1:
            raise ValueError("longest, largest_file: at least 1")

    @property
    def day(self) -> float:
        """Seconds of one."""
        return 86_400.0 / self.squeeze
