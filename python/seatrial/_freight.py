"""The files of a sweep, packed up for machines that do not have them."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Freight:
    """Files by their places below one folder, which stands for the root of the file system."""

    #: Names it by what is in it.
    key: str
    files: dict[str, bytes]
    #: Folders on the way of paths such as ``here/../there``, which need be there, too.
    folders: tuple[str, ...]
    #: The file that the others are named by.
    first: str


def pack(files: Iterable[str | os.PathLike[str]]) -> Freight:
    """Reads files, the first of which names the others by relative paths.

    Paths that are absolute in what the files say are not found where this is unpacked: whoever reads
    them there has to check what they read.
    """
    contents: dict[str, bytes] = {}
    folders: set[str] = set()
    names = []
    for file in files:
        path = os.path.join(os.getcwd(), os.fspath(file))
        parts = Path(path).parts
        steps = (os.path.join(*parts[:end]) for end in range(1, len(parts)))
        folders.update(_below_root(step) for step in steps)
        names.append(_below_root(path))
        contents[names[-1]] = Path(path).read_bytes()
    digest = hashlib.sha256()
    for name, content in sorted(contents.items()):
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return Freight(digest.hexdigest(), contents, tuple(sorted(folders)), names[0])


def unpack(freight: Freight) -> Path:
    """Writes the files to a folder that processes of this machine share; returns the first file."""
    place = _own_folder() / freight.key
    if not place.exists():
        draft = Path(tempfile.mkdtemp(dir=place.parent, prefix="draft-"))
        try:
            for folder in freight.folders:
                (draft / folder).mkdir(parents=True, exist_ok=True)
            for name, content in freight.files.items():
                (draft / name).write_bytes(content)
            # Whoever is first has written the same.
            draft.rename(place)
        except OSError:
            if not place.exists():
                raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    _mend(place, freight)
    return place / freight.first


def _mend(place: Path, freight: Freight) -> None:
    """Writes what is not there or is not what it was: folders for temporary files are cleaned file by file."""
    for folder in freight.folders:
        (place / folder).mkdir(parents=True, exist_ok=True)
    for name, content in freight.files.items():
        path = place / name
        if path.is_file() and path.read_bytes() == content:
            continue
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix="draft-")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        # Whoever reads it meanwhile has the whole of it.
        Path(draft).replace(path)


def _below_root(path: str) -> str:
    path = os.path.splitdrive(os.path.normpath(path))[1]
    return path.lstrip("/\\") or "."


def _own_folder() -> Path:
    """A folder for temporary files that no other user of the machine can write."""
    user = getattr(os, "getuid", lambda: 0)()
    folder = Path(tempfile.gettempdir()) / f"seatrial-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and folder.lstat().st_uid != user:
        raise PermissionError(f"{folder}: belongs to another user; set TMPDIR")
    return folder
