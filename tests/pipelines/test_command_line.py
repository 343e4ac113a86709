"""The command line that all jobs share."""

import pytest

from melbeam.pipelines import command_line
from melbeam.pipelines.beam_options import choose_runner
from melbeam.pipelines.refusals import Refusal, UsageError


def add_arguments(parser):
    parser.add_argument("--input", required=True, action="append")
    parser.add_argument("--count", type=int, default=3)
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--kind", choices=("a", "b"))


def parse(*argv):
    arguments, beam = command_line.parse(add_arguments, "melbeam test", "A test.", argv)
    return vars(arguments), beam


@pytest.fixture
def config(tmp_path):
    def write(text):
        (tmp_path / "job.yaml").write_text(text)
        return f"--config={tmp_path}/job.yaml"

    return write


def test_ours_are_parsed_and_beams_are_handed_on():
    arguments, beam = parse("--input=a", "--input=b", "--runner", "FlinkRunner", "--streaming", "--fast")
    assert (arguments["input"], arguments["count"], arguments["fast"]) == (["a", "b"], 3, True)
    assert beam == ["--runner", "FlinkRunner", "--streaming"]


def test_a_missing_option_is_argparses_status(capsys):
    with pytest.raises(SystemExit) as left:
        parse("--count=1")
    assert left.value.code == 2
    assert "--input" in capsys.readouterr().err


def test_what_is_nobodys_is_told_before_what_is_missing():
    def refuse(rest):
        raise UsageError(Refusal.UNKNOWN_OPTION, f"got {rest}")

    with pytest.raises(UsageError, match=r"got \['--inptu=a'\]"):
        command_line.parse(add_arguments, "melbeam test", "A test.", ["--inptu=a"], refuse)


@pytest.mark.parametrize(
    "argv", ["f i --count=4 --fast", "f --count=4 i --fast", "--count=4 f --fast i", "--fast f --count 4 i"]
)
def test_options_may_stand_between_arguments(argv):
    def add(parser):
        parser.add_argument("folder")
        parser.add_argument("record", nargs="?")
        parser.add_argument("--count", type=int)
        parser.add_argument("--fast", action="store_true")

    arguments, rest = command_line.parse(add, "melbeam test", "A test.", argv.split())
    assert (arguments.folder, arguments.record, arguments.count, arguments.fast) == ("f", "i", 4, True)
    assert rest == []


class TestConfig:
    def test_beneath_the_command_line(self, config):
        arguments, _ = parse(config("input: a\ncount: 7\nfast: true"), "--count=8")
        assert (arguments["input"], arguments["count"], arguments["fast"]) == (["a"], 8, True)

    @pytest.mark.parametrize("inside", ["a", "[a, b]"])
    def test_a_repeated_option_is_replaced_not_added_to(self, config, inside):
        assert parse(config(f"input: {inside}"), "--input=c")[0]["input"] == ["c"]

    def test_lists(self, config):
        assert parse(config("input: [a, b]"))[0]["input"] == ["a", "b"]

    def test_beams_options(self, config):
        text = "input: a\nexperiments: [one, two]\nstreaming: true\nsave_main_session: false\nnum_workers: 4"
        expected = ["--experiments=one", "--experiments=two", "--streaming", "--num_workers=4"]
        assert parse(config(text))[1] == expected

    def test_beams_on_the_command_line_come_last_and_win(self, config):
        _, beam = parse(config("input: a\ndirect_num_workers: 1"), "--direct_num_workers=2")
        assert choose_runner(beam).options.get_all_options()["direct_num_workers"] == 2

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("fast: 'false'", "fast must be true or false, got 'false'"),
            ("count: true", "count must be one value, got true: quote it where a word is meant"),
            ("count: [1, 2]", r"count must be one value, got \[1, 2\]"),
            ("input: {a: 1}", "input must be one value"),
            ("kind: c", r"kind must be one of \('a', 'b'\), got 'c'"),
        ],
    )
    def test_a_value_of_the_wrong_kind_is_refused_with_the_file(self, config, text, message):
        with pytest.raises(UsageError, match=f"--config=.*/job.yaml: {message}"):
            parse(config(text), "--input=a")

    def test_a_value_of_the_wrong_type_is_refused_with_the_file(self, config, capsys):
        with pytest.raises(SystemExit):
            parse(config("count: 2.5"), "--input=a")
        said = capsys.readouterr().err
        assert said.startswith("melbeam test: --config=")
        assert "invalid int value: '2.5'" in said

    def test_a_misspelt_option_is_refused_with_the_file(self, config):
        def refuse(rest):
            if rest:
                raise UsageError(Refusal.UNKNOWN_OPTION, f"got {rest}")

        with pytest.raises(UsageError, match=r"--config=.*/job.yaml: got \['--conut=1'\]"):
            command_line.parse(add_arguments, "melbeam test", "A test.", [config("conut: 1"), "--input=a"], refuse)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("- a list", "must be a mapping"),
            ("a: [", "cannot be read"),
            ("", "must be a mapping"),
        ],
    )
    def test_a_wrong_file_is_refused(self, config, text, message):
        with pytest.raises(UsageError, match=message):
            parse(config(text), "--input=a")


@pytest.mark.parametrize("split", ["train", "train_long", "dev2"])
def test_split_names(split):
    command_line.check_split(split)


@pytest.mark.parametrize("split", ["", "a-b", "../a", "a b", "a*", "_"])
def test_wrong_split_names(split):
    with pytest.raises(UsageError, match="--split must be"):
        command_line.check_split(split)


@pytest.mark.parametrize("given", ["--splt", "-splt", "splt"])
def test_a_hint_does_not_depend_on_dashes(given):
    assert command_line.option_hint(given, ["split", "input"]) == ": did you mean --split?"
    assert command_line.option_hint("--zzzzz", ["split", "input"]) == ""
