"""Whether notify can use the addresses of a directory, and reaches all whom they name. Nothing is sent, and no address is in what is said."""

import importlib.util
from collections.abc import Callable, Iterator

from contracts.directory import Contacts
from services.program.directory_check import Found, Place

NOT_UNDERSTOOD = "no kind of address that can be used: write an Apprise address, as in mailto://..., or local for this machine's pager"


def unusable(contacts: Contacts) -> Found:
    """Yield what is wrong with addresses. Where Apprise is not installed nothing is found: there no notice is sent either."""
    if importlib.util.find_spec("apprise") is None:
        return
    wrong_with = _wrong_with()
    for place, address in _placed(contacts):
        wrong = wrong_with(address)
        if wrong is not None:
            yield place, wrong


def _wrong_with() -> Callable[[str], str | None]:
    from services.notify.address_targets import unreached  # noqa: PLC0415 - `directory check` works where notify's libraries are not installed
    from services.notify.apprise_carrier import understands  # noqa: PLC0415
    from services.notify.carriers import ITS_ID, LOCAL  # noqa: PLC0415

    def wrong_with(address: str) -> str | None:
        if address == LOCAL:
            return None
        of_a_notice = address.replace(ITS_ID, "an-id")
        return unreached(of_a_notice) if understands(of_a_notice) else NOT_UNDERSTOOD

    return wrong_with


def _placed(contacts: Contacts) -> Iterator[tuple[Place, str]]:
    for person_id, methods in contacts.people.items():
        for method, address in methods.items():
            yield ("people", person_id, "methods", method, "address"), address.get_secret_value()
    for centre_id, address in contacts.standing_alarms.items():
        yield ("centres", centre_id, "standing_alarm"), address.get_secret_value()
