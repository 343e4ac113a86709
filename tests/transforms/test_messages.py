"""Other packages' errors in our messages, and names that may have been meant."""

from melbeam.transforms.messages import in_one_line, nearest


def test_an_error_becomes_one_line_of_bounded_length():
    error = OSError("the first line\n  and\tthe second " + "x" * 1000)
    assert in_one_line(error).startswith("the first line and the second xxx")
    assert len(in_one_line(error)) == 300
    assert in_one_line(error, most=9) == "the first"


def test_the_nearest_of_known_names():
    assert nearest("extrat", ["extract", "ingest"]) == "extract"
    assert nearest("zzz", ["extract", "ingest"]) is None
