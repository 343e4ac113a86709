"""Where a preset's files are kept: a folder, Hugging Face, Kaggle. Only small JSON files are fetched."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoAnswerError
from pathlib import Path
from typing import Any, Protocol

from melbeam.transforms.messages import in_one_line
from melbeam.transforms.plain_json import load_json
from melbeam.transforms.presets.preset import (
    EXTRACTOR_FILE,
    KERAS_FILE,
    OWN_FILE,
    PROCESSOR_FILE,
    NotFetchedError,
    PresetError,
    UnknownNameError,
)

HUGGING_FACE, KAGGLE = "hf://", "kaggle://"


class PresetSource(Protocol):
    """What keeps the files of one preset."""

    @property
    def name(self) -> str:
        """What the preset is called."""

    @property
    def is_cheap(self) -> bool:
        """Whether reading one more file costs nothing."""

    def read(self, name: str) -> Any:
        """The JSON value of a file, None where there is no such file.

        Raises:
            PresetError: it cannot be reached, or is no JSON.
        """

    def place(self, name: str) -> str:
        """Where a file is, for messages."""

    def nothing_found(self) -> PresetError:
        """What to say where none of the files has a front end."""


class FolderSource:
    """A preset's files in a folder of this machine."""

    is_cheap = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self._folder.name

    def read(self, name: str) -> Any:
        """See `PresetSource`."""
        path = self._folder / name
        return parse_json(path) if path.is_file() else None

    def place(self, name: str) -> str:
        """See `PresetSource`."""
        return str(self._folder / name)

    def nothing_found(self) -> PresetError:
        """See `PresetSource`."""
        names = ", ".join((OWN_FILE, KERAS_FILE, PROCESSOR_FILE, EXTRACTOR_FILE))
        return PresetError(f"{self._folder} has none of {names}: it is no preset of a model with audio")


class HuggingFaceSource:
    """A repository of Hugging Face, "hf://owner/repository[@revision]".

    Args:
        handle: the repository's.
        seconds: that the fetching of one file may take.

    Raises:
        PresetError: the handle is malformed, or the hub's client is not installed.
    """

    is_cheap = False

    def __init__(self, handle: str, seconds: float) -> None:
        self.name = handle
        self._seconds = seconds
        self._repository, at, revision = handle.removeprefix(HUGGING_FACE).partition("@")
        self._revision = revision or None
        parts = self._repository.split("/")
        if len(parts) != 2 or not all(parts) or bool(at) != bool(revision):
            raise UnknownNameError(
                f"{handle} must be hf://owner/repository or hf://owner/repository@revision, for example "
                "hf://google/gemma-4-E2B-it"
            )
        try:
            import huggingface_hub
            from huggingface_hub import errors
        except ImportError as error:
            raise NotFetchedError(f"{handle} needs the hub's client: pip install 'melbeam[hub]'") from error
        self._hub, self._errors = huggingface_hub, errors

    def read(self, name: str) -> Any:
        """See `PresetSource`."""
        try:
            path = within(self._seconds, self._download, name)
        except self._errors.LocalEntryNotFoundError as error:  # a kind of the next, and means: not reached
            raise _not_fetched(self.name, name, error) from error
        except self._errors.EntryNotFoundError:
            return None
        except Exception as error:  # each version of the client has errors of its own
            raise _not_fetched(self.name, name, error) from error
        return _parse_fetched(self.name, name, path)

    def _download(self, name: str) -> str:
        # The endpoint is asked for at each call, so that a change of HF_ENDPOINT is seen.
        endpoint = os.environ.get("HF_ENDPOINT")
        return self._hub.hf_hub_download(self._repository, name, revision=self._revision, endpoint=endpoint)

    def place(self, name: str) -> str:
        """See `PresetSource`."""
        return f"{self.name}/{name}"

    def nothing_found(self) -> PresetError:
        """See `PresetSource`."""
        names = ", ".join((KERAS_FILE, PROCESSOR_FILE, EXTRACTOR_FILE))
        return PresetError(f"{self.name} has none of {names}, nor {OWN_FILE}: no preset of a model with audio")


class KaggleSource:
    """A model of Kaggle, "kaggle://owner/model/framework/variation[/version]".

    Args:
        handle: the model's.
        seconds: that the fetching of one file may take.

    Raises:
        PresetError: the handle is malformed, or Kaggle's client is not installed.
    """

    is_cheap = False

    def __init__(self, handle: str, seconds: float) -> None:
        self.name = handle
        self._seconds = seconds
        self._model = handle.removeprefix(KAGGLE)
        parts = self._model.split("/")
        if len(parts) not in (4, 5) or not all(parts):
            raise UnknownNameError(
                f"{handle} must be kaggle://owner/model/framework/variation[/version], for example "
                "kaggle://keras/gemma4/keras/gemma4_2b/2"
            )
        try:
            import kagglehub
        except ImportError as error:
            raise NotFetchedError(f"{handle} needs Kaggle's client: pip install 'melbeam[hub]'") from error
        self._hub = kagglehub

    def read(self, name: str) -> Any:
        """See `PresetSource`."""
        try:
            path = within(self._seconds, self._download, name)
        except Exception as error:  # each version of the client has errors of its own
            if (
                _http_status(error) == 404
            ):  # a file, a version or a model that is not there: Kaggle does not say which
                return None
            raise _not_fetched(self.name, name, error) from error
        return _parse_fetched(self.name, name, path)

    def _download(self, name: str) -> str:
        return self._hub.model_download(self._model, path=name)

    def place(self, name: str) -> str:
        """See `PresetSource`."""
        return f"{self.name}/{name}"

    def nothing_found(self) -> PresetError:
        """See `PresetSource`."""
        return NotFetchedError(
            f"{self.name}: it answers 404: there is no such model or version, or it has no {KERAS_FILE}, so no "
            "audio; check the handle"
        )


def parse_json(path: Path) -> Any:
    """The JSON value of a file.

    Raises:
        PresetError: it cannot be read, is no whole JSON, or says two things under one name.
    """
    try:
        return load_json(path.read_bytes())
    except OSError as error:
        raise PresetError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise PresetError(f"{path} is no whole JSON ({error}): fetch or write it again") from error


def within(seconds: float, function: Callable[[str], str], argument: str) -> str:
    """What a function gives, called in a thread, since Kaggle's client waits for ever for a server that is silent.

    Raises:
        TimeoutError: it gave nothing in time; the thread is left to itself.
    """
    result: Future[str] = Future()
    threading.Thread(target=_settle, args=(result, function, argument), daemon=True).start()
    try:
        return result.result(seconds)
    except NoAnswerError as error:
        if result.done():  # the client's own
            raise
        raise TimeoutError(f"no answer in {seconds} seconds") from error


def _settle(result: Future[str], function: Callable[[str], str], argument: str) -> None:
    try:
        result.set_result(function(argument))
    except BaseException as error:
        result.set_exception(error)


def _http_status(error: BaseException) -> int | None:
    """The status that a client's error, or what it was raised from, carries."""
    causes = [error, error.__cause__, error.__context__]
    responses = [getattr(cause, "response", None) for cause in causes if cause is not None]
    return next((response.status_code for response in responses if response is not None), None)


def _not_fetched(handle: str, name: str, error: Exception) -> PresetError:
    """What to say where a file cannot be fetched."""
    what = {
        401: "it answers 401: log in (`hf auth login`, or Kaggle's API token), or the name is wrong",
        403: "it answers 403: accept the model's terms on its page, with the account you are logged in as",
        404: "it answers 404: there is no such repository or revision; check the handle",
    }.get(_http_status(error) or 0)
    if what is None:
        what = (
            f"{type(error).__name__}: {in_one_line(error)}. Try again, or fetch {name} by hand and name its folder"
        )
    return NotFetchedError(f"{name} of {handle} cannot be fetched: {what}")


def _parse_fetched(handle: str, name: str, path: str) -> Any:
    try:
        return parse_json(Path(path))
    except PresetError as error:
        raise PresetError(f"{name} of {handle}: {error}. Its copy is {path}: delete that first") from error
