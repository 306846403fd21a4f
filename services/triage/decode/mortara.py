"""Mortara ELI XML (ELI 250, ELI 280, ELI Link): what the library does not tell of it. The format has no public description.

Tried on files that the tests write as the library's authors describe real exports: sixteen bit samples in Base64. Untried, for want of files from
carts: other encodings, and an offset of a channel, which nobody documents; the library leaves it out, and a constant moves no ST."""

from xml.etree.ElementTree import Element

_NOBODY = frozenset(("gender", "sex", "race", "dob", "dobxml", "ageunits"))
_NOT_NAMES = frozenset(("3", "4"))  # demographic fields by their number: age and sex
_PEOPLE = ("technician", "physician", "doctor", "operator", "nurse", "referr", "attending", "requesting", "reviewed", "patientid", "medicalrecord")


def is_mortara(root: Element) -> bool:
    """True for `<ECG>` with channels of samples: many a format calls its root so."""
    return root.tag == "ECG" and root.find("CHANNEL[@SAMPLE_FREQ]") is not None


def exact_rate_hz(root: Element) -> float | None:
    """Return the rate before the library rounds it; None where the channels differ or none can be read."""
    rates = {channel.get("SAMPLE_FREQ", "") for channel in root.findall("CHANNEL")}
    try:
        return float(rates.pop()) if len(rates) == 1 else None
    except ValueError:
        return None


def without_typical_beat(root: Element) -> bool:
    """Take the averaged beat away, which no lead needs and which may be broken alone; return whether there was one."""
    beats = root.findall("TYPICAL_CYCLE")
    for beat in beats:
        root.remove(beat)
    return bool(beats)


def people_in_attributes(root: Element) -> list[str]:
    """Return names and numbers of people: here they stand in attributes, of the subject, of numbered fields and wherever a role is named."""
    found: list[str] = []
    for element in root.iter():
        names = {name.lower().replace("_", ""): value for name, value in element.attrib.items()}
        if element.tag == "SUBJECT":
            found += [value for name, value in names.items() if name not in _NOBODY]
        elif element.tag == "DEMOGRAPHIC_FIELD" and names.get("id", "").strip() not in _NOT_NAMES:
            found.append(names.get("value", ""))
        else:
            found += [value for name, value in names.items() if any(role in name for role in _PEOPLE)]
    return [text for text in found if text.strip()]
