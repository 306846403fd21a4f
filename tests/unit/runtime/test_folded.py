"""What lies before all of several that reflect a log: from there it is read again."""

from services.runtime.folded import lowest


def test_what_lies_before_all_of_them_is_known_of_what_all_of_them_name():
    assert lowest([{"a/0": 5, "b/0": 2}, {"a/0": 3, "c/0": 9}]) == {"a/0": 3}
    assert lowest([]) == {}
    assert lowest([{}, {"a/0": 3}]) == {}
