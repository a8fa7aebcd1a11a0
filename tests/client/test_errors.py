from __future__ import annotations

from quietwire.client import errors


def test_every_error_is_one_of_ours() -> None:
    for kind in (errors.StoreError, errors.LoginError, errors.LinkError, errors.NoDevices, errors.RequestError):
        assert issubclass(kind, errors.ClientError)


def test_a_request_error_names_its_condition() -> None:
    error = errors.RequestError("item-not-found")
    assert error.condition == "item-not-found"
    assert str(error) == "the server answered: item-not-found"
