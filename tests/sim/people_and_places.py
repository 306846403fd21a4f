"""The directory of the simulated county: two centres, a clinic, three people, two of them with a second method."""

from contracts.directory import Contacts, Directory

CLINIC = "clinic"
PEOPLE = ("ann", "bob", "cem")
_CENTRE = {"network": "net", "capabilities": ["pci"], "policy": "red", "read_emergency_within_min": 5}
_METHODS = {"ann": ("phone", "chat"), "bob": ("phone",), "cem": ("phone", "chat")}

DIRECTORY = Directory.model_validate(
    {
        "version": "sim-1",
        "centres": {
            "centre": _CENTRE | {"name": "Centre", "standing_number": "555-0100"},
            "city": _CENTRE | {"name": "City", "standing_number": "555-0200"},
        },
        "clinics": {CLINIC: {"name": "Clinic", "network": "net", "travel_min": {"centre": 35, "city": 50}, "lysis_min": 10}},
        "people": {name: {"name": name.title(), "methods": dict.fromkeys(methods, True)} for name, methods in _METHODS.items()},
        "teams": {"all": {"name": "Everybody", "members": list(PEOPLE)}},
        "policies": {"red": {"steps": [{"page": ["person:ann", "person:bob"], "wait_s": 60}, {"page": ["team:all"], "wait_s": 60}]}},
    }
)
CONTACTS = Contacts.model_validate(
    {
        "people": {name: dict.fromkeys(methods, "local") for name, methods in _METHODS.items()},
        "standing_alarms": {"centre": "local", "city": "local"},
    }
)
