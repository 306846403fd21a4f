"""Adding a token to an access file that a person wrote: everything else in it stays as it stands, comments included."""

import json
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from contracts.access import Access, ClinicToken, PersonToken
from services.runtime.errors import ConfigurationError
from services.runtime.yaml_files import read_access


def with_token(path: Path, token: ClinicToken | PersonToken) -> str:
    """Return the text of the file with one more token in it; ConfigurationError where it cannot be read, or not be added to safely."""
    before, text = read_access(path), path.read_text(encoding="utf-8")
    section = "clinics" if isinstance(token, ClinicToken) else "people"
    wanted = before.model_copy(update={section: (*getattr(before, section), token)})
    after = _inserted(text, section, json.dumps(token.model_dump()))  # JSON is YAML
    if _read(after) != wanted:
        raise ConfigurationError(
            path,
            f"no token can be added to it by the program, as it is written; add one to `{section}` by hand, with its SHA-256, "
            "and write the token into client.toml; or write the file in plain block style, and start again",
        )
    return after


def _inserted(text: str, section: str, entry: str) -> str:
    """Return the text with an entry at the end of a section. Whether it means what it should is for the caller to see."""
    root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    found = next((value for key, value in root.value if key.value == section), None)
    if found is None and root.flow_style:
        place, new = root.start_mark.index + 1, f'"{section}": [{entry}]{", " if root.value else ""}'
    elif found is None:
        place, new = len(text), f"{'' if text.endswith(chr(10)) else chr(10)}{section}:\n- {entry}\n"
    elif not found.value:
        place, new = found.start_mark.index + 1, entry
    elif found.flow_style:
        place, new = found.value[-1].end_mark.index, f", {entry}"
    else:
        end = text.find("\n", _end(found.value[-1]))
        place = len(text) if end < 0 else end
        new = f"\n{' ' * found.start_mark.column}- {entry}"
    return text[:place] + new + text[place:]


def _end(node: Any) -> int:
    """Return where a node's last word ends: of a block, the parser tells only where the next one begins, past the comments between them."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    return int(node.end_mark.index)


def _read(text: str) -> Access | None:
    try:
        return Access.model_validate(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError):
        return None
