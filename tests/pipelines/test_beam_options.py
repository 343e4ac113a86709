"""What a command line gives Beam: which runner, and nothing that Beam would drop in silence."""

import pytest

from melbeam.pipelines.beam_options import check_beam_arguments, choose_runner
from melbeam.pipelines.refusals import UsageError


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
        check_beam_arguments(argv, ["input", "count", "fast"])


def where(argv):
    choice = choose_runner(argv)
    return choice.runner, choice.local


def test_the_local_runner_is_named_never_direct():
    choice = choose_runner([])
    values = choice.options.get_all_options()
    assert (choice.runner, choice.local, values["runner"]) == ("FnApiRunner", True, "FnApiRunner")
    assert values["direct_running_mode"] == "multi_threading"
    assert values["direct_num_workers"] >= 1


@pytest.mark.parametrize("given", [["--direct_num_workers=3"], ["--direct_num_workers", "3"]])
def test_what_the_caller_says_stands(given):
    values = choose_runner([*given, "--direct_running_mode=in_memory"]).options.get_all_options()
    assert (values["direct_num_workers"], values["direct_running_mode"]) == (3, "in_memory")


@pytest.mark.parametrize(
    ("runner", "local"), [("DirectRunner", True), ("FnApiRunner", True), ("FlinkRunner", False)]
)
def test_a_named_runner(runner, local):
    assert where([f"--runner={runner}"]) == (runner, local)


@pytest.mark.parametrize("name", ["flinkrunner", "Flink", "FLINK", "FlinkRunner"])
def test_a_name_as_beam_takes_it(name):
    assert choose_runner([f"--runner={name}"]).runner == "FlinkRunner"


def test_a_local_runner_is_local_however_it_is_spelt():
    assert where(["--runner=fnapi"]) == ("FnApiRunner", True)


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
def test_an_unknown_runner_is_refused_with_the_nearest(name, message):
    with pytest.raises(UsageError, match=message):
        choose_runner([f"--runner={name}"])


def test_a_runner_by_its_path():
    path = "apache_beam.runners.portability.flink_runner.FlinkRunner"
    assert where([f"--runner={path}"]) == (path, False)


@pytest.mark.parametrize("name", ["DaskRunner", "dask", "apache_beam.runners.dask.dask_runner.DaskRunner"])
def test_dask_is_refused(name):
    with pytest.raises(UsageError, match="loses data without an error"):
        choose_runner([f"--runner={name}"])


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--runner=FlinkRunner"], None),
        (["--no_wait_until_finish"], None),  # a local job ends with its launcher
        (["--runner=FlinkRunner", "--no_wait_until_finish"], "the job was accepted"),
        (["--runner=DataflowRunner", "--template_location=gs://b/t"], "the template is gs://b/t"),
    ],
)
def test_whether_a_job_is_waited_for(argv, said):
    assert choose_runner(argv).detached == said
