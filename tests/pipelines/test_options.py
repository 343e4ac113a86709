"""The command line that all jobs share."""

import os

import pytest

from melbeam.pipelines import options
from melbeam.pipelines.options import UsageError


def add_arguments(parser):
    parser.add_argument("--input", required=True, action="append")
    parser.add_argument("--count", type=int, default=3)
    parser.add_argument("--fast", action="store_true")


def parse(*argv):
    arguments, beam = options.parse(add_arguments, "melbeam test", "A test.", argv)
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


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--cuont=4"], r"unknown option --cuont: did you mean --count\?"),
        (["--runer=FlinkRunner"], r"did you mean --runner\?"),
        (["--coun=4"], "did you mean --count"),  # no abbreviations: a new option would change what they mean
        (["--zzzzzz"], "unknown option --zzzzzz; see --help"),
        (["-runner=FlinkRunner"], "unknown option ---?runner"),
        (["b", "c"], "'b' belongs to no option: quote a glob"),
        (["--runner", "FlinkRunner", "b"], "'b' belongs to no option"),
        (["--runner=FlinkRunner", "b"], "'b' belongs to no option"),
        (["--streaming", "b"], "'b' belongs to no option"),
    ],
)
def test_what_beam_would_drop_in_silence_is_refused(argv, message):
    with pytest.raises(UsageError, match=message):
        parse("--input=a", *argv)


def test_a_missing_option_is_argparses_status(capsys):
    with pytest.raises(SystemExit) as left:
        parse("--count=1")
    assert left.value.code == 2
    assert "--input" in capsys.readouterr().err


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
        found, _, _ = options.pipeline_options(beam)
        assert found.get_all_options()["direct_num_workers"] == 2

    def test_a_quoted_boolean_is_refused(self, config):
        with pytest.raises(UsageError, match="fast must be true or false, got 'false'"):
            parse(config("input: a\nfast: 'false'"))

    def test_a_value_of_the_wrong_type_is_refused(self, config, capsys):
        with pytest.raises(SystemExit):
            parse(config("input: a\ncount: 2.5"))
        assert "invalid int value: '2.5'" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("cuont: 4", r"unknown option --cuont: did you mean --count\?"),
            ("- a list", "must be a mapping"),
            ("a: [", "cannot be read"),
            ("", "must be a mapping"),
        ],
    )
    def test_a_wrong_file_is_refused(self, config, text, message):
        with pytest.raises(UsageError, match=message):
            parse(config(text), "--input=a")


class TestRunner:
    def test_the_local_runner_is_named_never_direct(self):
        found, runner, local = options.pipeline_options([])
        values = found.get_all_options()
        assert (runner, local, values["runner"]) == ("FnApiRunner", True, "FnApiRunner")
        assert values["direct_running_mode"] == "multi_threading"
        assert values["direct_num_workers"] >= 1

    @pytest.mark.parametrize("given", [["--direct_num_workers=3"], ["--direct_num_workers", "3"]])
    def test_what_the_caller_says_stands(self, given):
        found, _, _ = options.pipeline_options([*given, "--direct_running_mode=in_memory"])
        values = found.get_all_options()
        assert (values["direct_num_workers"], values["direct_running_mode"]) == (3, "in_memory")

    @pytest.mark.parametrize(
        ("runner", "local"), [("DirectRunner", True), ("FnApiRunner", True), ("FlinkRunner", False)]
    )
    def test_a_named_runner(self, runner, local):
        assert options.pipeline_options([f"--runner={runner}"])[1:] == (runner, local)

    @pytest.mark.parametrize("name", ["flinkrunner", "Flink", "FLINK", "FlinkRunner"])
    def test_a_name_as_beam_takes_it(self, name):
        assert options.pipeline_options([f"--runner={name}"])[1] == "FlinkRunner"

    def test_a_local_runner_is_local_however_it_is_spelt(self):
        assert options.pipeline_options(["--runner=fnapi"])[1:] == ("FnApiRunner", True)

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("FlinkRuner", "unknown --runner=FlinkRuner: did you mean FlinkRunner"),
            ("flnik", "did you mean FlinkRunner"),
            ("DataFlowRuner", "did you mean DataflowRunner"),
            ("Prsim", "did you mean PrismRunner"),
            ("Zzz", "unknown --runner=Zzz: Beam has DataflowRunner, .*PrismRunner"),
            ("no.such.module.Runner", "cannot be loaded: No module named 'no'"),
            ("apache_beam.runners.FlinkRunr", "apache_beam.runners has no FlinkRunr"),
        ],
    )
    def test_an_unknown_runner_is_refused_with_the_nearest(self, name, message):
        with pytest.raises(UsageError, match=message):
            options.pipeline_options([f"--runner={name}"])

    def test_a_runner_by_its_path(self):
        path = "apache_beam.runners.portability.flink_runner.FlinkRunner"
        assert options.pipeline_options([f"--runner={path}"])[1:] == (path, False)

    @pytest.mark.parametrize("name", ["DaskRunner", "dask", "apache_beam.runners.dask.dask_runner.DaskRunner"])
    def test_dask_is_refused(self, name):
        with pytest.raises(UsageError, match="loses data without an error"):
            options.pipeline_options([f"--runner={name}"])


@pytest.mark.parametrize(("given", "expected"), [(None, "localhost"), ("a.org,.b.org", "a.org,.b.org,localhost")])
def test_local_workers_are_not_asked_for_at_a_proxy(monkeypatch, given, expected):
    monkeypatch.setenv("no_grpc_proxy", "")
    monkeypatch.setenv("no_proxy", given or "")
    for _ in range(2):
        options.pipeline_options([])
        assert os.environ[options._GRPC_PROXY_EXCEPTIONS] == expected
    monkeypatch.setenv("no_grpc_proxy", "")
    options.pipeline_options(["--runner=FlinkRunner"])
    assert os.environ[options._GRPC_PROXY_EXCEPTIONS] == ""


@pytest.mark.parametrize("split", ["train", "train_long", "dev2"])
def test_split_names(split):
    options.check_split(split)


@pytest.mark.parametrize("split", ["", "a-b", "../a", "a b", "a*", "_"])
def test_wrong_split_names(split):
    with pytest.raises(UsageError, match="--split must be"):
        options.check_split(split)


class TestExitStatus:
    @staticmethod
    def of(error):
        def run():
            raise error

        return options.exit_status(run)

    def test_a_result_is_handed_on(self):
        assert options.exit_status(lambda: options.EXIT_REJECTS) == 3

    def test_a_wrong_call(self, capsys):
        assert self.of(UsageError("say it so")) == 2
        assert capsys.readouterr().err == "melbeam: say it so\n"

    def test_a_failure_is_told_by_the_last_line_of_its_error(self, capsys):
        assert self.of(RuntimeError("Traceback ...\n  File ...\nOSError: disk full\n\n")) == 1
        first, second = capsys.readouterr().err.splitlines()
        assert first == "melbeam: the job failed: OSError: disk full"
        assert "the same command goes on" in second

    def test_an_error_without_words_is_named(self, capsys):
        assert self.of(KeyError()) == 1
        assert "KeyError()" in capsys.readouterr().err

    def test_an_interrupt(self, capsys):
        assert self.of(KeyboardInterrupt()) == 1
        assert "interrupted" in capsys.readouterr().err

    def test_argparses_exit_is_left_alone(self):
        with pytest.raises(SystemExit):
            self.of(SystemExit(2))


def test_beams_options_are_known_with_whether_they_take_a_value():
    known = options._beam_options()
    assert (known["runner"], known["flink_master"], known["temp_location"]) == (True, True, True)
    assert known["streaming"] is False
