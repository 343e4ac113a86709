"""What attempts leave in a split's folder: found and removed here, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable

from melbeam.pipelines import files
from melbeam.transforms.folder_layout import SplitFolder, parent


def temporaries(folder: SplitFolder, index: int | None = None) -> list[str]:
    """The temporary files of attempts at all shards, or at one."""
    return [path for path, _ in files.match(folder.temporaries_glob(index))]


def delete_temporaries(folder: SplitFolder, index: int | None = None, *, keep: Iterable[str] = ()) -> None:
    """Deletes them, and the folders that they leave empty.

    Args:
        folder: of the split.
        index: of the shard; all of them by default.
        keep: paths of those that stay.
    """
    paths = temporaries(folder, index)
    files.delete(sorted(set(paths) - set(keep)))
    emptied = {parent(path) for path in paths} if index is None else {folder.temporary_folder(index)}
    files.remove_empty_folders(sorted(emptied))


def gathered(folder: SplitFolder) -> list[str]:
    """The clips that are on their way to their shards, and what is kept of them."""
    return [path for path, _ in files.match(folder.gathered_glob)]


def delete_gathered(folder: SplitFolder) -> None:
    """Deletes the clips that were on their way to their shards, and the folders that they lay in."""
    paths = gathered(folder)
    files.delete(paths)
    outermost = parent(folder.bookkeeping)
    clips = folder.gathered
    # Named whatever lies in them: a start that was killed here may have left them empty.
    emptied = {parent(path) for path in (*paths, clips.index(0), clips.report(0), clips.temporary_folder(0))}
    for path in list(emptied):
        while (path := parent(path)) != outermost:
            emptied.add(path)
    files.remove_empty_folders(sorted(emptied - {folder.bookkeeping}))


def half_written(folder: SplitFolder) -> list[str]:
    """The small files that a job which was killed was writing at that moment."""
    return [path for glob in folder.half_written_globs for path, _ in files.match(glob)]
