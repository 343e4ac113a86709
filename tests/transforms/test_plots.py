"""Features and distributions as figures."""

import io

import numpy as np
import pytest

from melbeam.pipelines.split.reports import SplitSummary
from melbeam.transforms import FrontEnd
from melbeam.transforms.distributions import QUANTITIES, Distribution
from melbeam.transforms.statistics import BinStatistics

plots = pytest.importorskip("melbeam.transforms.plots")
GEMMA_4 = FrontEnd.load("gemma4")


def distribution(values, quantity):
    found = Distribution()
    for number, value in enumerate(values):
        found.add_value(float(value), QUANTITIES[quantity].bin_width, f"id-{number}", 0, number)
    return found


def heights(figure):
    """The height of each bar of the first histogram, and its edges."""
    (axes, *_) = figure.axes
    values, edges, _ = axes.patches[0].get_data()
    return values, edges


def test_a_spectrogram_has_the_features_and_their_time():
    features = np.random.default_rng(0).standard_normal((50, 128)).astype(np.float16)
    figure = plots.spectrogram(features, GEMMA_4, title="$a_b")
    (image,) = figure.axes[0].images
    np.testing.assert_array_equal(image.get_array(), features.T)
    assert image.get_extent() == [0, 0.5, 0, 128]  # 50 frames, 10 ms apart
    assert figure.axes[0].get_title() == "$a_b"
    figure.savefig(io.BytesIO(), format="png")  # a title that is no mathematics
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_limits_are_those_given():
    (image,) = plots.spectrogram(np.zeros((5, 128)), GEMMA_4, limits=(-7, 3)).axes[0].images
    assert image.get_clim() == (-7, 3)


@pytest.mark.parametrize("shape", [(0, 128), (5, 80), (5,)])
def test_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"features must be \[frames, 128\] with at least one frame"):
        plots.spectrogram(np.zeros(shape), GEMMA_4)


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_every_record_is_in_a_bar(quantity):
    values = np.abs(np.random.default_rng(0).standard_normal(500)) * 30 * QUANTITIES[quantity].bin_width
    drawn, _ = heights(plots.histogram(distribution(values, quantity), quantity))
    assert drawn.sum() == 500


def test_records_far_out_are_in_the_outer_bars_and_the_axis_says_so():
    values = [*np.linspace(-30, -20, 200), -200.0, -199.0]
    figure = plots.histogram(distribution(values, "rms_dbfs"), "rms_dbfs")
    drawn, edges = heights(figure)
    assert drawn[0] == 2
    assert edges[0] > -60
    assert "first bar: below" in figure.axes[0].get_xlabel()


def test_one_of_many_is_seen_and_no_tenth_of_a_clip():
    figure = plots.histogram(distribution([*[3.1] * 5000, *[4.6] * 300, *[5.1] * 300, 5.6], "seconds"), "seconds")
    bottom, top = figure.axes[0].get_ylim()
    assert figure.axes[0].get_yscale() == "log"
    assert bottom == 0.5
    assert top >= 5000


@pytest.mark.parametrize(("quantity", "value"), [("peak_dbfs", -0.5), ("rms_dbfs", -20.0), ("seconds", 0.1)])
def test_few_bars_have_room_where_values_can_be(quantity, value):
    _, edges = heights(plots.histogram(distribution([value], quantity), quantity))
    assert len(edges) > 8
    assert edges[-1] <= 0 if QUANTITIES[quantity].unit == "dBFS" else edges[0] >= 0


def test_several_are_shares_of_their_own():
    two = {"a": distribution([1, 1, 2], "seconds"), "b": distribution([1] * 50, "seconds")}
    figure = plots.histogram(two, "seconds")
    assert [round(patch.get_data()[0].sum()) for patch in figure.axes[0].patches[::2]] == [100, 100]


def test_a_picture_by_itself_says_what_and_whose_it_shows():
    two = {"$train_1$": distribution([1, 1, 2], "seconds"), "other": distribution([1] * 50, "seconds")}
    axes = plots.histogram(two, "seconds").axes[0]
    assert axes.get_title() == QUANTITIES["seconds"].title
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(two)
    alone = plots.histogram(two["other"], "seconds", title="mine $x").axes[0]
    assert (alone.get_title(), alone.get_legend()) == ("mine $x", None)
    bare = plots.histogram(two, "seconds", title="", legend=False).axes[0]
    assert (bare.get_title(), bare.get_legend()) == ("", None)
    statistics = {name: BinStatistics.of(np.ones((3, 128))) for name in two}
    figure = plots.bins(statistics, GEMMA_4)
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == list(two)
    assert plots.bins(statistics, GEMMA_4, legend=False).axes[0].get_legend() is None
    figure.savefig(io.BytesIO(), format="png")  # a name that is no mathematics


def test_none_at_all_is_drawn_empty():
    assert not plots.histogram(Distribution(), "seconds").axes[0].patches


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="quantity must be one of seconds, "):
        plots.histogram(Distribution(), "loudness")
    with pytest.raises(ValueError, match="at most 4 are drawn over each other, got 5"):
        plots.histogram({str(n): Distribution() for n in range(5)}, "seconds")
    with pytest.raises(ValueError, match="statistics must be of 128 bins, got 80"):
        plots.bins(BinStatistics.of(np.zeros((3, 80))), GEMMA_4)
    with pytest.raises(TypeError, match="got a record of id, input_features: its 'input_features'"):
        plots.spectrogram({"id": b"a", "input_features": np.zeros((3, 128))}, GEMMA_4)
    with pytest.raises(TypeError, match=r"FrontEnd\.load"):
        plots.spectrogram(np.zeros((3, 128)), "gemma4")
    for given in (SplitSummary(), [Distribution()], {"a": 1}):
        with pytest.raises(TypeError, match=r"a split's is summary.distributions\['seconds'\]; got"):
            plots.histogram(given, "seconds")
    with pytest.raises(TypeError, match=r"a split's is summary.statistics; got SplitSummary"):
        plots.bins(SplitSummary(), GEMMA_4)


def test_bins_are_the_statistics():
    features = np.random.default_rng(0).standard_normal((200, 128))
    figure = plots.bins(BinStatistics.of(features), GEMMA_4)
    (line,) = figure.axes[0].lines
    np.testing.assert_allclose(line.get_ydata(), features.mean(axis=0), atol=1e-9)  # a fixed point of 2**-32


def test_a_notebook_shows_a_front_end_and_a_summary():
    assert f"fingerprint {GEMMA_4.fingerprint[:16]}" in GEMMA_4._repr_html_()
    assert "<b>" not in GEMMA_4.replace(name="<b>")._repr_html_()
    summary = SplitSummary(records_read=3, records_converted=2, rejects={"<b>": 1})
    summary.distributions["seconds"] = distribution([1.0, 3.0], "seconds")
    summary.distributions["silent_fraction"] = distribution([0.25], "silent_fraction")
    shown = summary._repr_html_()
    assert "mean 25 %, from 25 % to 25 %" in shown
    assert shown.index("mean 2,") < shown.index("mean 25 %")
    assert "3 read = 2 converted + 1 rejected" in shown
    assert "mean 2, from 1 to 3 (seconds)" in shown
    assert "1 &lt;b&gt;" in shown
