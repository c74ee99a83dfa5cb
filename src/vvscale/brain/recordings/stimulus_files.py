"""Stimulus sets from the reference's files: a table of labels and a zip archive of images.

The archive is unpacked once, into a folder of the cache that appears whole or not at all; what lies there is
compared with the archive's own sums each time, so an edited or lost image is noticed and unpacked anew.
"""

from __future__ import annotations

import posixpath
import stat
import struct
import time
import zipfile
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath, PureWindowsPath

import pandas as pd

from vvscale.brain.inputs.stimuli import StimulusSet
from vvscale.core.download import cache_folder
from vvscale.core.files import remove_inside, whole_folder
from vvscale.core.hashing import digest_of
from vvscale.errors import DataError, MissingDataError

# Python's reader raises all of these for archives that are cut short or edited.
_BROKEN = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError, NotImplementedError,
)  # fmt: skip
ID_COLUMNS = ("stimulus_id", "image_id")
"""What a label of an image may be called; the first that a table has is used."""

# Uncompressed bitmaps of plain colour shrink most among honest stimuli, by less than this.
_MOST_GROWTH = 200
_LEAST_BOMB = 1e9
# Endings of files that are taken for images where no table names them.
_IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})

# Of a digest in the name of a folder: enough to tell archives apart.
_NAME_DIGITS = 16

# Seconds after which a half unpacked archive is nobody's any more.
_ABANDONED = 3600.0


def read_stimulus_set(
    table_path: Path, archive_path: Path, *, identifier: str, degrees: float, folder: Path | None = None
) -> StimulusSet:
    """Read labels and images.

    Parameters
    ----------
    table_path
        CSV with one row per image, the columns stimulus_id or image_id, and filename, and labels.
    archive_path
        Zip archive that holds exactly the files named in the table.
    identifier, degrees
        Name of the set, and the visual angle its images were shown at.
    folder
        Where to unpack; None for a folder beside the archive, named as it.

    Raises
    ------
    MissingDataError
        A file, a column, a label or an image is absent.
    DataError
        A label is there twice, the archive is damaged, holds other files, or files that would land elsewhere; or the
        folder to unpack to holds something else.
    """
    table = _read_table(table_path)
    folder = archive_path.with_suffix("") if folder is None else folder
    with _opened(archive_path) as archive:
        entries = _entries(archive, archive_path)
        _refuse_other_files(entries, table["filename"], archive_path, table_path)
        _unpack_if_needed(archive, entries, archive_path, folder)
    paths = tuple(folder / name for name in table["filename"])
    return StimulusSet(identifier, table.drop(columns="filename"), degrees=degrees, paths=paths)


def unpack_images(archive_path: Path) -> list[Path]:
    """Unpack an archive of images that needs no table into a folder beside it; return the images sorted by name.

    Parameters
    ----------
    archive_path
        Zip archive; files that are no images, such as those that a Mac adds, are left out.

    Raises
    ------
    MissingDataError
        There is no such archive, or no image in it.
    DataError
        It is damaged or holds files that would land elsewhere.
    """
    folder = archive_path.with_suffix("")
    with _opened(archive_path) as archive:
        entries = {name: entry for name, entry in _entries(archive, archive_path).items() if _is_image(name)}
        if not entries:
            raise MissingDataError(f"There are no images in '{archive_path}'; expected files such as .png or .jpg.")
        _unpack_if_needed(archive, entries, archive_path, folder)
    return [folder / name for name in sorted(entries)]


def unpacked_folder(archive_path: Path) -> Path:
    """Return where the cache keeps the images of an archive that lies among a user's own files.

    It is named after the archive and what is in it. A folder beside the archive would often be the one that the
    archive was packed from, which must stay as it is.
    """
    with _opened(archive_path) as archive:
        held = sorted((one.filename, one.file_size, one.CRC) for one in archive.infolist())
    return own_unpacked() / f"{archive_path.stem}-{digest_of(held)[:_NAME_DIGITS]}"


def own_unpacked() -> Path:
    """Return the folder of the cache that holds the images of users' own archives."""
    return cache_folder() / "unpacked"


def images_in(folder: Path, pattern: str = "**/*") -> list[Path]:
    """Return the images of a folder, sorted by path; hidden files, such as a Mac adds, are left out.

    Raises
    ------
    MissingDataError
        There is none.
    """
    found = sorted(path for path in folder.glob(pattern) if _is_image(path.name))
    if not found:
        raise MissingDataError(f"There are no images in '{folder}'; expected files such as .png or .jpg.")
    return found


def _is_image(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in _IMAGE_SUFFIXES and not path.name.startswith("._")


def _read_table(path: Path) -> pd.DataFrame:
    """Return the labels with the file names, index stimulus_id."""
    try:
        # Labels that look like numbers are still labels: a hash such as 1e10 must stay what it is.
        table = pd.read_csv(path, dtype=dict.fromkeys((*ID_COLUMNS, "filename"), str))
    except FileNotFoundError as error:
        raise MissingDataError(f"There is no table of stimuli '{path}'; check the path.") from error
    except (OSError, ValueError) as error:  # pandas' parser errors are ValueErrors
        raise DataError(
            f"Cannot read the table of stimuli '{path}' as CSV: {error}. Fetch or copy it again."
        ) from error
    return labelled_files(table, path)


def labelled_files(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return the table of a file with the labels of images as its index, stimulus_id, and a filename in each row."""
    name = next((name for name in ID_COLUMNS if name in table), None)
    if name is None or "filename" not in table:
        lacking = "stimulus_id (or image_id)" if name is None else "filename"
        raise MissingDataError(
            f"The table of stimuli '{path}' has no column {lacking}; it has {', '.join(map(str, table))}."
        )
    table["filename"] = table["filename"].map(posixpath.normpath, na_action="ignore")
    for column in (name, "filename"):
        if table[column].isna().any():
            row = int(table[column].isna().argmax())
            raise MissingDataError(f"Row {row} (counted from 0) of '{path}' has no {column}; expected one in each row.")
        if table[column].duplicated().any():
            twice = table[column][table[column].duplicated()].iloc[0]
            raise DataError(f"'{path}' has the {column} '{twice}' more than once; expected each once.")
    return table.set_index(name).rename_axis("stimulus_id")


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise MissingDataError(f"There is no archive of images '{path}'; check the path.") from error
    except _BROKEN as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(
        f"Cannot unpack '{path}': {error}. Likely cause: a truncated download or copy. Nothing was unpacked; fetch or "
        "copy it again."
    )


def _entries(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """Return the files of an archive by name, or refuse those that would land outside of its folder."""
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        if entry.is_dir():
            continue
        # "./a.png" and "a.png" are one file once unpacked.
        name = posixpath.normpath(entry.filename)
        why = ""
        if PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor:
            why = "an absolute path"
        elif ".." in (*PurePosixPath(name).parts, *PureWindowsPath(name).parts):
            why = "a path that leaves its folder"
        elif stat.S_ISLNK(entry.external_attr >> 16):
            why = "a link"
        elif name in entries:
            why = "a second file of this name"
        if why:
            raise DataError(
                f"The archive '{path}' holds '{name}', {why}; expected plain files inside one folder. Nothing was "
                "unpacked: an archive like this can overwrite other files, so do not use it."
            )
        entries[name] = entry
    _refuse_bomb(entries, path)
    return entries


def _refuse_bomb(entries: dict[str, zipfile.ZipInfo], path: Path) -> None:
    """Refuse an archive that would fill the disk; images hardly shrink when they are packed."""
    n_bytes = sum(entry.file_size for entry in entries.values())
    if n_bytes > _LEAST_BOMB and n_bytes > _MOST_GROWTH * path.stat().st_size:
        raise DataError(
            f"The archive '{path}' would unpack to {n_bytes / 1e9:.1f} GB, {n_bytes // path.stat().st_size} times its "
            "size; expected images, which hardly shrink. Nothing was unpacked: do not use it."
        )


def _refuse_other_files(entries: Iterable[str], wanted: pd.Series, archive_path: Path, table_path: Path) -> None:
    names, held = set(wanted), set(entries)
    for absent, kind, text in (
        (names - held, MissingDataError, "lacks {n} of the images that '{table}' names, first '{first}'"),
        (held - names, DataError, "holds {n} files that '{table}' does not name, first '{first}'"),
    ):
        if absent:
            what = text.format(n=len(absent), table=table_path, first=min(absent))
            raise kind(
                f"The archive '{archive_path}' {what}; expected exactly the {len(names)} named. Likely cause: the "
                "table and the archive are of different stimulus sets or versions."
            )


def _is_whole(folder: Path, entries: dict[str, zipfile.ZipInfo]) -> bool:
    """Say whether a folder holds exactly the archive's files, each with its size and sum."""
    if not folder.is_dir():
        return False
    try:
        return all(
            (folder / name).stat().st_size == entry.file_size and zlib.crc32((folder / name).read_bytes()) == entry.CRC
            for name, entry in entries.items()
        )
    except OSError:
        return False


def _unpack_if_needed(archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], path: Path, folder: Path) -> None:
    """Unpack an archive unless that was done and nothing changed; what is not of the archive is never removed."""
    if _is_whole(folder, entries):
        return
    # A folder named as the archive may well be the one that it was packed from.
    others = [] if not folder.is_dir() else [one for one in _files_below(folder) if one not in entries]
    if others:
        raise DataError(
            f"Cannot unpack '{path}' to '{folder}': that folder holds files that are not of the archive, first "
            f"'{min(others)}'. Nothing was removed or unpacked. Move that folder, or the archive, to another place."
        )
    remove_unpacked(folder, older_than=_ABANDONED)
    _unpack(archive, entries, path, folder)


def _files_below(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()]


def _unpack(archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], path: Path, folder: Path) -> None:
    with whole_folder(folder) as part:
        for name, entry in entries.items():
            target = part / name
            target.parent.mkdir(parents=True, exist_ok=True)
            # Reading to the end checks the sum of the entry.
            try:
                content = archive.read(entry)
            except _BROKEN as error:
                raise _damaged(path, error) from error
            target.write_bytes(content)


def remove_unpacked(folder: Path, *, older_than: float = 0) -> bool:
    """Remove an unpacked archive, and what interruptions left of it; return whether there was one.

    Parameters
    ----------
    folder
        Where it was unpacked to.
    older_than
        Leftovers that changed in so many seconds stay: another process may be unpacking there.
    """
    existed = folder.is_dir()
    if existed:
        # Renamed first, so that an interruption leaves no part of it under its name.
        removed = folder.with_name(f".{folder.name}.removed.part")
        remove_inside(folder.parent, removed)
        folder.replace(removed)
        remove_inside(folder.parent, removed)
    for path in folder.parent.glob(f".{folder.name}.*.part"):
        with suppress(OSError):  # another process may be removing it
            if time.time() - path.stat().st_mtime >= older_than:
                remove_inside(folder.parent, path)
    return existed
