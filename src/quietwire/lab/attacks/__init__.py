"""Attacks on links: what somebody learns who sees sizes and times. They import traces, no code of what they attack.

Each is retrained for every defence and told its parameters (`told.Told`), chosen on validation data, and measured on
people it has never seen. Labels of those who are held out go to `figures` and nowhere else.
"""
