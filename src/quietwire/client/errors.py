"""What can go wrong for a user of the client. Each is one line, without a password, key or foreign address in it."""

from __future__ import annotations

from quietwire.core.errors import QuietwireError


class ClientError(QuietwireError):
    """Base. `str()` of it is one line for the user."""


class StoreError(ClientError):
    """The store cannot be opened: wrong passphrase, used by another process, damaged, or not ours."""


class LoginError(ClientError):
    """The server refused the password, or offers no mechanism that we accept."""


class LinkError(ClientError):
    """No connection: nobody there, no TLS, or a certificate that does not fit."""


class NoDevices(ClientError):
    """None of the recipient's devices could read the message: nothing was sent."""


class RequestError(ClientError):
    """The server answered an IQ with an error, or not at all (`condition` ``remote-server-timeout``)."""

    def __init__(self, condition: str) -> None:
        super().__init__(f"the server answered: {condition}")
        self.condition = condition
