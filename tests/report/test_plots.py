"""The page's plots."""

import re

import pytest

from spacy_tinydistill.report.plots import WIDTH, plot_lines


@pytest.mark.parametrize("last", [0.5, 4000, 123_456])
def test_no_number_of_an_axis_is_cut_off(last: float) -> None:
    drawn = plot_lines({"loss": [(0, 0), (last, 1)]}, x_title="updates", y_title="loss", text="")
    ticks = re.findall(r'<text class="tick" x="([\d.]+)" y="\d+" text-anchor="middle">([^<]+)<', drawn)
    assert len(ticks) > 2
    # Digits of 12 pixels are up to 8 wide, and stand around the tick.
    assert all(float(x) + 4 * len(said) <= WIDTH for x, said in ticks)
