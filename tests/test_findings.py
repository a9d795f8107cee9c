"""What a sentence says of a value that is missing."""

import pytest

from helpers.findings import Finding


@pytest.mark.parametrize("spec", ["", ".1%", ",.0f", ".2f"])
def test_a_missing_value_reads_as_missing_without_unit_or_interval(spec):
    missing = Finding("mae", None, "years", (None, None))
    assert format(missing, spec) == "not available"
    assert missing.number == "not available"
    assert missing.range == ""


def test_a_value_keeps_unit_and_interval():
    assert (
        format(Finding("mae", 7.84, "years", (5.2, 10.6)), ".1f") == "7.8 years (95 % interval 5.2 to 10.6)"
    )
