"""A handle in, a front end out: built-in names, folders, hf:// and kaggle:// handles.

Only the small JSON file is fetched, never weights; built-in names need no network.
"""

from __future__ import annotations

import difflib
import functools
import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from melbeam.transforms.front_end import FrontEnd
from melbeam.transforms.preset_files import (
    HUGGING_FACE_FILES,
    KERAS_FILE,
    OWN_FILE,
    Preset,
    PresetError,
    read_preset_file,
    write_preset_file,
)

__all__ = ["BuiltInPreset", "Preset", "PresetError", "built_in", "find_front_end", "load_preset", "save_preset"]

FETCH_SECONDS = 60.0  # for a file of a few kB, the clients' own retries included
_KAGGLE, _HUGGING_FACE = "kaggle://", "hf://"


@dataclass(frozen=True)
class BuiltInPreset:
    """A preset that is known by its name.

    Attributes:
        name: as keras-hub names it.
        family: "gemma4", "gemma3n" or "whisper".
        front_end: name of the shipped front end, or None where the model has no audio.
        parameters: of the model, their number.
        handle: where the model is.
        description: one sentence.
    """

    name: str
    family: str
    front_end: str | None
    parameters: int
    handle: str
    description: str

    @property
    def has_audio(self) -> bool:
        """Whether the model hears anything."""
        return self.front_end is not None


@functools.cache
def _all_built_in() -> dict[str, BuiltInPreset]:
    text = (resources.files("melbeam.configs") / "presets.yaml").read_text(encoding="utf-8")
    return {name: BuiltInPreset(name=name, **fields) for name, fields in yaml.safe_load(text).items()}


def built_in(family: str | None = None) -> dict[str, BuiltInPreset]:
    """The built-in presets of a family, or of all, by name."""
    return {name: preset for name, preset in _all_built_in().items() if family in (None, preset.family)}


def find_front_end(front_end: FrontEnd | str | Path) -> FrontEnd:
    """A front end by whatever names it: itself, a shipped name, a YAML or JSON file, or a preset's handle.

    Raises:
        ValueError: nothing is called so, or what it names is wrong.
    """
    if isinstance(front_end, FrontEnd):
        return front_end
    if str(front_end) in FrontEnd.shipped() or Path(front_end).is_file():
        return FrontEnd.load(front_end)
    return load_preset(str(front_end)).front_end


def load_preset(handle: str | Path) -> Preset:
    """The front end of a preset, and its family.

    Args:
        handle: a built-in name (`built_in()`); a folder with audio_converter.json (Keras), with
            processor_config.json or preprocessor_config.json (Hugging Face), or as `save_preset` leaves it;
            "hf://owner/repository[@revision]"; or "kaggle://owner/model/framework/variation[/version]".

    Raises:
        PresetError: there is no such preset, it cannot be reached, or its file is wrong; says what to do.
    """
    text = str(handle)
    known = built_in()
    if text in known:
        shipped = known[text].front_end
        if shipped is None:
            with_audio = [p.name for p in built_in(known[text].family).values() if p.has_audio]
            raise PresetError(f"{text!r} has no audio encoder; those with one are {', '.join(with_audio)}")
        return Preset(FrontEnd.load(shipped), known[text].family)
    if text.startswith(_HUGGING_FACE):
        return _from_hub(text)
    if text.startswith(_KAGGLE):
        return _from_kaggle(text)
    if Path(text).is_dir():
        return _from_folder(Path(text))
    names = [*FrontEnd.shipped(), *known]
    near = difflib.get_close_matches(text, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise PresetError(
        f"nothing is called {text!r}: {hint}It may be a shipped front end ({', '.join(FrontEnd.shipped())}), a "
        "YAML file, a built-in preset (`melbeam presets` lists them), a folder, hf://owner/repository[@revision] "
        "or kaggle://owner/model/framework/variation[/version]"
    )


def save_preset(front_end: FrontEnd, folder: str | Path, family: str | None = None) -> Path:
    """Writes a front end as a preset that `load_preset` gives back equal.

    It is keras-hub's audio_converter.json where keras-hub (>= 0.28) then computes equal features, and else a
    file of our own, melbeam_front_end.json, which keras-hub cannot take for its own.

    Returns:
        The file.

    Raises:
        PresetError: the folder has a front end in the other form already.
    """
    name, content = write_preset_file(front_end, family)
    other = Path(folder) / (OWN_FILE if name == KERAS_FILE else KERAS_FILE)
    if other.exists():
        raise PresetError(f"{other} is there already, and would contradict {name}: choose another folder")
    path = Path(folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")
    return path


def _from_folder(folder: Path) -> Preset:
    files = [folder / name for name in (OWN_FILE, KERAS_FILE, *HUGGING_FACE_FILES) if (folder / name).is_file()]
    if not files:
        raise PresetError(
            f"{folder} has none of {OWN_FILE}, {KERAS_FILE}, {', '.join(HUGGING_FACE_FILES)}: it is no preset of "
            "a model with audio"
        )
    found: dict[Path, Preset] = {}
    problem: PresetError | None = None
    for file in files:
        try:
            found[file] = read_preset_file(file.name, _parse(file), str(file))
        except PresetError as error:
            # transformers' newer file may lack what its older one has beside it.
            if file.name != HUGGING_FACE_FILES[0] or len(files) == 1:
                raise
            problem = error
    if not found:
        raise problem or PresetError(f"{folder} holds no front end")
    first = next(iter(found))
    for file, preset in found.items():
        if preset.front_end.fingerprint != found[first].front_end.fingerprint:
            raise PresetError(f"{first} and {file} describe different front ends: remove the one that is wrong")
    return _named(found[first], folder.name)


def _named(preset: Preset, name: str) -> Preset:
    return Preset(preset.front_end.replace(name=name or preset.front_end.name), preset.family)


def _parse(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise PresetError(f"{path} is no whole JSON ({error}): fetch or write it again") from error


def _from_hub(handle: str) -> Preset:
    try:
        import huggingface_hub
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
    except ImportError as error:
        raise PresetError(f"{handle} needs the hub's client: pip install 'melbeam[hub]'") from error
    repository, _, revision = handle.removeprefix(_HUGGING_FACE).partition("@")

    def fetch(name: str) -> str | None:
        try:
            # The endpoint is asked for at each call, so that a change of HF_ENDPOINT is seen.
            return huggingface_hub.hf_hub_download(
                repository, name, revision=revision or None, endpoint=os.environ.get("HF_ENDPOINT")
            )
        except LocalEntryNotFoundError:  # a kind of the next, and means: not reached
            raise
        except EntryNotFoundError:
            return None

    problem: PresetError | None = None
    for name in (KERAS_FILE, *HUGGING_FACE_FILES):
        path = _fetched(handle, name, fetch)
        if path is None:
            continue
        try:
            return _named(read_preset_file(name, _parse_fetched(handle, name, path), f"{handle}/{name}"), handle)
        except PresetError as error:
            if name != HUGGING_FACE_FILES[0] or "'feature_extractor'" not in str(error):
                raise
            problem = error
    raise problem or PresetError(
        f"{handle} has none of {KERAS_FILE}, {', '.join(HUGGING_FACE_FILES)}: no preset of a model with audio"
    )


def _from_kaggle(handle: str) -> Preset:
    try:
        import kagglehub
    except ImportError as error:
        raise PresetError(f"{handle} needs Kaggle's client: pip install 'melbeam[hub]'") from error
    model = handle.removeprefix(_KAGGLE)
    if len(model.split("/")) not in (4, 5) or not all(model.split("/")):
        raise PresetError(
            f"{handle} must be kaggle://owner/model/framework/variation[/version], for example "
            f"{built_in()['gemma4_2b'].handle}"
        )
    path = _fetched(handle, KERAS_FILE, lambda name: kagglehub.model_download(model, path=name))
    if path is None:
        raise PresetError(f"{handle} has no {KERAS_FILE}: it is no preset of a model with audio")
    return _named(read_preset_file(KERAS_FILE, _parse_fetched(handle, KERAS_FILE, path), handle), handle)


def _fetched(handle: str, name: str, fetch: Callable[[str], str | None]) -> str | None:
    """The local path of a fetched file; None where the repository does not have it."""
    found: list[str | None] = []
    failed: list[Exception] = []

    def attempt() -> None:
        try:
            found.append(fetch(name))
        except Exception as error:
            failed.append(error)

    # In a thread, since Kaggle's client waits for ever for a server that is silent.
    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(FETCH_SECONDS)
    try:
        if failed:
            raise failed[0]
        if not found:
            raise TimeoutError(f"no answer in {FETCH_SECONDS} seconds")
        return found[0]
    except Exception as error:  # each client, and each version of it, has errors of its own
        causes = [error, error.__cause__, error.__context__]
        responses = [getattr(cause, "response", None) for cause in causes if cause is not None]
        status = next((r.status_code for r in responses if r is not None), None)
        what = {
            401: "it answers 401: log in (`hf auth login`, or Kaggle's API token), or the name is wrong",
            403: "it answers 403: accept the model's terms on its page, with the account you are logged in as",
            404: "it answers 404: there is no such repository or revision; check the handle",
        }.get(status or 0)
        if what is None:
            reason = " ".join(str(error).split())[:300]
            what = f"{type(error).__name__}: {reason}. Try again, or fetch {name} by hand and name its folder"
        raise PresetError(f"{name} of {handle} cannot be fetched: {what}") from error


def _parse_fetched(handle: str, name: str, path: str) -> Any:
    try:
        return _parse(Path(path))
    except PresetError as error:
        raise PresetError(f"{name} of {handle}: {error}. Its copy is {path}: delete that first") from error
