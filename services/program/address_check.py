"""Whether the addresses of a directory are ones that notify can use. Nothing is sent, and no address is in what is said."""

import importlib.util
from collections.abc import Callable, Iterator

from contracts.directory import Contacts
from services.program.directory_check import Found, Place

NOT_UNDERSTOOD = "no kind of address that can be used: write an Apprise address, as in mailto://..., or local for this machine's pager"


def unusable(contacts: Contacts) -> Found:
    """Yield what is wrong with addresses. Where Apprise is not installed nothing is found: there no notice is sent either."""
    if importlib.util.find_spec("apprise") is None:
        return
    understands = _understands()
    for place, address in _placed(contacts):
        if not understands(address):
            yield place, NOT_UNDERSTOOD


def _understands() -> Callable[[str], bool]:
    from services.notify.apprise_carrier import understands  # noqa: PLC0415 - `directory check` works where notify's libraries are not installed
    from services.notify.carriers import ITS_ID, LOCAL  # noqa: PLC0415

    return lambda address: address == LOCAL or understands(address.replace(ITS_ID, "an-id"))


def _placed(contacts: Contacts) -> Iterator[tuple[Place, str]]:
    for person_id, methods in contacts.people.items():
        for method, address in methods.items():
            yield ("people", person_id, "methods", method, "address"), address.get_secret_value()
    for centre_id, address in contacts.standing_alarms.items():
        yield ("centres", centre_id, "standing_alarm"), address.get_secret_value()
