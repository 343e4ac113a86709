"""A process is taken for gone only where its number means something here."""

import os
import subprocess
import sys

import pytest

from melbeam.pipelines.split import process_identity
from melbeam.pipelines.split.process_identity import began, is_gone, machine

NO_PROCESS = 2**22 + 1  # above the largest number that Linux gives


@pytest.fixture
def ended():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_this_process_is_here():
    assert not is_gone(machine(), os.getpid(), began(os.getpid()))


def test_one_that_has_ended_is_gone(ended):
    assert is_gone(machine(), ended, "")
    assert is_gone(machine(), NO_PROCESS, "1")


@pytest.mark.skipif(sys.platform != "linux", reason="containers and /proc")
def test_a_number_that_another_process_has_by_now_is_no_sign_of_life():
    assert is_gone(machine(), os.getpid(), "1")
    assert began(os.getpid()) == began(os.getpid()) != ""


@pytest.mark.parametrize("other", ["", "another boot pid:[4026531836]"])
def test_of_another_machine_or_container_nothing_is_known(ended, other):
    """Two containers may have one host name, and each a process of this number."""
    assert not is_gone(other, ended, "1")


def test_a_linux_that_hides_proc_says_nothing(monkeypatch, ended):
    def hidden(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(process_identity.os, "readlink", hidden)
    monkeypatch.setattr(process_identity.sys, "platform", "linux")
    assert machine() == ""
    assert not is_gone("", ended, "1")
