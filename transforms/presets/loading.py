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
from melbeam.transforms.presets.reading import (
    HUGGING_FACE_FILES,
    KERAS_FILE,
    OWN_FILE,
    NoExtractorError,
    Preset,
    PresetError,
    read_preset_file,
    refuse_without_audio,
    with_audio_tokens,
)
from melbeam.transforms.presets.writing import preset_files_of

__all__ = ["BuiltInPreset", "Preset", "PresetError", "built_in", "find_front_end", "load_preset", "save_preset"]

FETCH_SECONDS = 60.0  # for a file of a few kB, the clients' own retries included
_KAGGLE, _HUGGING_FACE = "kaggle://", "hf://"
_HUGGING_FACE_MODEL_FILE = "config.json"
_FOLDER_FILES = (OWN_FILE, KERAS_FILE, *HUGGING_FACE_FILES)


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
    path = Path(front_end)
    if str(front_end) in FrontEnd.shipped() or (path.is_file() and path.name not in _FOLDER_FILES):
        return FrontEnd.load(front_end)
    return load_preset(str(front_end)).front_end


def load_preset(handle: str | Path) -> Preset:
    """The front end of a preset, and its family.

    Args:
        handle: a built-in name (`built_in()`); a folder with audio_converter.json (Keras), with
            processor_config.json or preprocessor_config.json (Hugging Face), or as `save_preset` leaves it; one
            of these files; "hf://owner/repository[@revision]"; or
            "kaggle://owner/model/framework/variation[/version]".

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
    path = Path(text)
    if text and path.is_dir():
        return _from_folder(path)
    if path.is_file() and path.name in _FOLDER_FILES:
        return _named(read_preset_file(path.name, _parse(path), text), path.parent.name)
    if text in FrontEnd.shipped() or path.is_file():
        raise PresetError(
            f"{text!r} is no preset: the name of a front end, and its YAML file, go to AudioConverter({text!r}). "
            "A preset is a built-in name, a folder, hf://... or kaggle://..."
        )
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

    It is keras-hub's audio_converter.json where keras-hub (>= 0.28) then computes equal features, with the
    config.json that it finds the class by, unless there is one; and else a file of our own,
    melbeam_front_end.json, which keras-hub cannot take for its own.

    Returns:
        The file with the front end.

    Raises:
        PresetError: the folder has a front end in the other form already.
    """
    files = preset_files_of(front_end, family)
    name = next(iter(files))
    other = Path(folder) / (OWN_FILE if name == KERAS_FILE else KERAS_FILE)
    if other.exists():
        raise PresetError(f"{other} is there already, and would contradict {name}: choose another folder")
    Path(folder).mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        path = Path(folder) / file
        if file == name or not path.exists():  # a whole preset's own config.json says more
            path.write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")
    return Path(folder) / name


def _from_folder(folder: Path) -> Preset:
    files = [folder / name for name in _FOLDER_FILES if (folder / name).is_file()]
    if not files:
        raise PresetError(
            f"{folder} has none of {', '.join(_FOLDER_FILES)}: it is no preset of a model with audio"
        )
    contents = {file: _parse(file) for file in files}
    model = folder / _HUGGING_FACE_MODEL_FILE
    if files[0].name in HUGGING_FACE_FILES and model.is_file():
        refuse_without_audio(_parse(model), str(model))
    found: dict[Path, Preset] = {}
    problem: PresetError | None = None
    for file, content in contents.items():
        try:
            found[file] = read_preset_file(file.name, content, str(file))
        except NoExtractorError as error:
            problem = error
    processor, flat = (folder / name for name in HUGGING_FACE_FILES)
    if flat in found and processor in contents:
        found[flat] = with_audio_tokens(found[flat], contents[processor], str(processor))
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
    except OSError as error:
        raise PresetError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise PresetError(f"{path} is no whole JSON ({error}): fetch or write it again") from error


def _from_hub(handle: str) -> Preset:
    try:
        import huggingface_hub
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
    except ImportError as error:
        raise PresetError(f"{handle} needs the hub's client: pip install 'melbeam[hub]'") from error
    repository, at, revision = handle.removeprefix(_HUGGING_FACE).partition("@")
    if len(repository.split("/")) != 2 or not all(repository.split("/")) or bool(at) != bool(revision):
        raise PresetError(
            f"{handle} must be hf://owner/repository or hf://owner/repository@revision, for example "
            "hf://google/gemma-4-E2B-it"
        )

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

    def read(name: str) -> Any:
        path = _fetched(handle, name, fetch)
        return None if path is None else _parse_fetched(handle, name, path)

    content = read(KERAS_FILE)
    if content is not None:
        return _named(read_preset_file(KERAS_FILE, content, f"{handle}/{KERAS_FILE}"), handle)
    processor_name, flat_name = HUGGING_FACE_FILES
    problem: PresetError | None = None
    preset: Preset | None = None
    processor = read(processor_name)
    if processor is not None:
        try:
            preset = read_preset_file(processor_name, processor, f"{handle}/{processor_name}")
        except NoExtractorError as error:
            problem = error
    if preset is None:
        flat = read(flat_name)
        if flat is None:
            raise problem or PresetError(
                f"{handle} has none of {', '.join((KERAS_FILE, *HUGGING_FACE_FILES))}: no preset of a model with "
                "audio"
            )
        preset = read_preset_file(flat_name, flat, f"{handle}/{flat_name}")
        if processor is not None:
            preset = with_audio_tokens(preset, processor, f"{handle}/{processor_name}")
    if preset.family == "gemma4":
        refuse_without_audio(read(_HUGGING_FACE_MODEL_FILE), f"{handle}/{_HUGGING_FACE_MODEL_FILE}")
    return _named(preset, handle)


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
        missing = f"there is no such model or version, or it has no {name}, so no audio"
        what = {
            401: "it answers 401: log in (`hf auth login`, or Kaggle's API token), or the name is wrong",
            403: "it answers 403: accept the model's terms on its page, with the account you are logged in as",
            404: "it answers 404: "
            + (missing if handle.startswith(_KAGGLE) else "there is no such repository or revision")
            + "; check the handle",
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
