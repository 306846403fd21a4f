"""What is wrong with the files of a data folder is said before the services start."""

from pathlib import Path

import pytest

from services.program.example_data import DIRECTORY, write_example_data
from services.program.up import _checked
from services.runtime.errors import ConfigurationError


def test_a_directory_and_an_access_file_that_do_not_fit_each_other_are_refused_as_the_gateway_would(tmp_path: Path):
    files = write_example_data(tmp_path, "http://127.0.0.1:1")
    assert _checked(files) == files
    files.directory.write_text(DIRECTORY.replace("demo-clinic", "dongshan"))
    with pytest.raises(ConfigurationError, match="clinic demo-clinic, which the directory does not list; add it there or revoke the token"):
        _checked(files)
