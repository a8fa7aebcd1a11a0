"""People who do not exist: a seeded generator of lives on XMPP, with the shape that studies have found in real ones.

`plan(seed, users, seconds, Parameters(...))` gives a `Plan`: who there is, with which devices, contacts and rooms, and
everything that happens, in order. The same arguments give the same plan, on every machine. What numbers rest on stands
where they are (`parameters.py`); those that no study is named for are chosen, and say so.
"""

from quietwire.lab.people.life import plan
from quietwire.lab.people.model import KINDS, Device, Happening, Kind, Person, Plan, PlanError, Room
from quietwire.lab.people.parameters import FAMILIES, HABITS, Habit, Parameters

__all__ = [
    "FAMILIES",
    "HABITS",
    "KINDS",
    "Device",
    "Habit",
    "Happening",
    "Kind",
    "Parameters",
    "Person",
    "Plan",
    "PlanError",
    "Room",
    "plan",
]
