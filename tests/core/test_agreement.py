"""What nodes have to have in common."""

from __future__ import annotations

from madang.core.agreement import differences, fingerprint


def test_a_difference_has_a_name_and_no_value() -> None:
    one = fingerprint({"guests": True, "registration": "hunter2", "cost": 3})
    other = fingerprint({"cost": 3, "registration": "open", "guests": True})
    assert differences(one, other) == differences(other, one) == ["registration"]
    assert differences(one, one) == []
    assert "hunter2" not in one


def test_what_only_one_of_them_knows_is_no_difference() -> None:
    """Nodes of two versions run side by side."""
    assert differences(fingerprint({"a": 1, "new": 2}), fingerprint({"a": 1, "old": 3})) == []
    assert differences(fingerprint({"a": 1}), "") == []
    assert differences(fingerprint({"a": 1}), "what is this") == []


def test_it_travels_between_versions() -> None:
    """Were it written otherwise, all nodes of the version before would be said to differ."""
    assert fingerprint({"b": "two", "a": 1}) == "a=6b86b273ff34,b=3fc4ccfe7458"
