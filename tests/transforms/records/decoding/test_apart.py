"""The process that decodes with PyAV: what comes back from it, and what becomes of it."""

import io
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from melbeam.transforms.records.decoding import apart, decode_audio, libav
from melbeam.transforms.records.decoding.audio import DecoderError, Request
from melbeam.transforms.records.decoding.media import media_of
from melbeam.transforms.records.rejects import Reject

av = pytest.importorskip("av", reason="the extra media is not installed")

RATE = 16000


def m4a(seconds=1.0, seed=0):
    samples = (0.1 * np.random.default_rng(seed).standard_normal((1, round(seconds * RATE)))).astype(np.float32)
    out = io.BytesIO()
    with av.open(out, "w", format="ipod") as container:
        stream = container.add_stream("aac", rate=RATE)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = RATE, 0
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return out.getvalue()


M4A = m4a()


@pytest.fixture
def fresh():
    """No process from before is waiting."""
    while apart._idle:
        apart._idle.pop().end()


def there_and_here(data, request):
    found = []
    for decode in (apart.decode_apart, libav.decode):
        try:
            found.append(decode(data, media_of(data), request))
        except (Reject, DecoderError) as error:
            found.append(error)
    return found


@pytest.mark.parametrize(
    "request_",
    [
        Request(RATE),
        Request(8000, declared_rate=RATE, max_seconds=2.0),
        Request(RATE, declared_rate=8000),
        Request(RATE, max_seconds=0.5),
    ],
)
def test_what_comes_back_is_what_is_done_here(request_):
    there, here = there_and_here(M4A, request_)
    assert type(there) is type(here)
    if isinstance(here, Exception):
        assert str(there) == str(here)
        return
    np.testing.assert_array_equal(there.samples, here.samples)
    assert there.samples.flags.writeable
    for name in ("source_rate", "resampled", "mixed_down", "cut_short"):
        assert getattr(there, name) == getattr(here, name)


def test_one_process_serves_many_calls_and_rejects(fresh):
    decode_audio(M4A, sampling_rate=RATE)
    (process,) = apart._idle
    with pytest.raises(Reject):
        decode_audio(M4A, sampling_rate=RATE, max_seconds=0.5)
    decode_audio(M4A, sampling_rate=RATE)
    assert apart._idle == [process]


def test_calls_at_once_have_a_process_each(fresh):
    clips = [m4a(2.0, seed) for seed in range(4)]
    alone = [decode_audio(clip, sampling_rate=RATE).samples for clip in clips]
    together = [None] * 4

    def decode(index):
        together[index] = decode_audio(clips[index], sampling_rate=RATE).samples

    threads = [threading.Thread(target=decode, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)
    assert 1 <= len(apart._idle) <= 4


def test_a_process_that_died_is_replaced(fresh):
    decode_audio(M4A, sampling_rate=RATE)
    apart._idle[0]._process.kill()
    assert len(decode_audio(M4A, sampling_rate=RATE).samples) == RATE


def test_a_file_that_kills_the_process_is_a_reject(fresh, monkeypatch):
    """Here, what stands for such a file is a decoder that ends its process."""
    popen = subprocess.Popen

    def dies(command, **options):
        code = command[2].replace(
            "from melbeam", "import melbeam.transforms.records.decoding.libav as libav, os; "
            "libav.decode = lambda *_: os.kill(os.getpid(), 11); from melbeam", 1
        )  # fmt: skip
        return popen([command[0], "-c", code], **options)

    monkeypatch.setattr(subprocess, "Popen", dies)
    with pytest.raises(Reject, match="it ended the process that decodes with PyAV: SIGSEGV") as reject:
        decode_audio(M4A, sampling_rate=RATE)
    assert reject.value.reason == "converter_error"
    assert apart._idle == []


def test_a_forked_child_has_processes_of_its_own(fresh):
    decode_audio(M4A, sampling_rate=RATE)
    child = os.fork()
    if not child:
        os._exit(7 if len(decode_audio(M4A, sampling_rate=RATE).samples) == RATE else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert len(decode_audio(M4A, sampling_rate=RATE).samples) == RATE


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_the_process_ends_with_its_parent(tmp_path):
    (tmp_path / "clip.m4a").write_bytes(M4A)
    code = (
        "import sys, time\n"
        "from melbeam.transforms.records.decoding import apart, decode_audio\n"
        f"decode_audio(open({str(tmp_path / 'clip.m4a')!r}, 'rb').read(), sampling_rate=16000)\n"
        "print(apart._idle[0]._process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    assert os.path.exists(f"/proc/{pid}")
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    end = time.monotonic() + 30
    while os.path.exists(f"/proc/{pid}") and time.monotonic() < end:
        with open(f"/proc/{pid}/stat") as stat:
            if stat.read().rpartition(")")[2].split()[0] == "Z":  # dead, and nobody's child that waits for it
                break
        time.sleep(0.05)
    else:
        assert not os.path.exists(f"/proc/{pid}")
    parent.stdout.close()


def test_ffmpeg_prints_nothing(capfd):
    for position in range(600, len(M4A), 300):
        data = bytearray(M4A)
        data[position : position + 20] = bytes(20)
        try:
            decode_audio(bytes(data), sampling_rate=RATE)
        except Reject:
            continue
    assert capfd.readouterr() == ("", "")
