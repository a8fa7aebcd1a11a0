"""Multi-user chat (XEP-0045): rooms as values and the rules of who may do what in them.

`state.Rooms` holds the rooms of one service and what they may ask of the server; `dispatch` takes what is addressed to
them. Everything but queries of an archive runs to its end at once.
"""
