"""Files that people write: read whole, checked whole, refused with the place and the reason."""

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from contracts.access import Access
from contracts.directory import Directory
from services.runtime.errors import ConfigurationError

Model = TypeVar("Model", bound=BaseModel)
MAX_BYTES = 4 * 1024 * 1024


def read_directory(path: Path) -> Directory:
    """Return the centres, clinics and people of a YAML file; ConfigurationError where it is not one."""
    return _read(path, Directory)


def read_access(path: Path) -> Access:
    """Return the accounts and clinic tokens of a YAML file; ConfigurationError where it is not one."""
    return _read(path, Access)


def _read(path: Path, model: type[Model]) -> Model:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigurationError(path, f"is larger than {MAX_BYTES // 1024 // 1024} MiB")
        return model.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigurationError(path, f"cannot be read: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ConfigurationError(path, f"{where}{error.problem}") from None
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, part['loc'])) or 'file'}: {part['msg']}" for part in error.errors(include_input=False))
        raise ConfigurationError(path, wrong) from None
    except UnicodeDecodeError:
        raise ConfigurationError(path, "is not UTF-8: save it again as UTF-8") from None
    except (yaml.YAMLError, ValueError):  # a character that no text holds, a date that is none
        raise ConfigurationError(path, "is not YAML: it holds a character or a value that cannot be read; write it again as plain text") from None
