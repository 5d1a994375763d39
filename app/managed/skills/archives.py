"""The files of a skill: which names they may have, and the zip that they are kept in.

A zip of a stranger is opened here and nowhere else. The archive that is kept is written anew, of files that were
checked.
"""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from app.errors import InvalidRequest

MAX_BYTES: Final = 30 << 20
"""The size of all files of a skill together."""

MAX_FILES: Final = 1000
MAX_DEPTH: Final = 16
MAX_NAME_BYTES: Final = 255  # of one folder or file

_ENTRY: Final = b"PK\x01\x02"  # each entry in a zip's directory begins so
_MAX_ENTRIES: Final = 20 * MAX_FILES
_BEGINNINGS: Final = (b"PK\x03\x04", b"PK\x05\x06")
_ENCRYPTED: Final = 0x1
_UTF8: Final = 0x800
_UNIX: Final = 3
_MADE_AT: Final = (1980, 1, 1, 0, 0, 0)
_OF_A_MAC: Final = "__MACOSX/"
_DAMAGED: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OSError,
)


@dataclass(frozen=True, slots=True)
class SkillFile:
    data: bytes
    executable: bool = False


Files = Mapping[str, SkillFile]
"""By their paths."""


def is_zip(data: bytes) -> bool:
    return data.startswith(_BEGINNINGS)


def unzipped(data: bytes) -> list[tuple[str, SkillFile]]:
    """The files of a zip, each with its path there. InvalidRequest for one that is damaged, too large or not safe."""
    if data.count(_ENTRY) > _MAX_ENTRIES:
        raise InvalidRequest(f"files: a skill has at most {MAX_FILES} files")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as opened:
            return [
                (entry.filename, SkillFile(opened.read(entry), _runs(entry)))
                for entry in _files_among(opened.infolist())
            ]
    except _DAMAGED as error:
        raise InvalidRequest("files: the zip is damaged, or of a kind that is not read here") from error


def zipped(name: str, files: Files) -> bytes:
    """A zip with one top folder, `name`. The same files give the same bytes."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(files):
            entry = zipfile.ZipInfo(f"{name}/{path}", _MADE_AT)
            entry.create_system = _UNIX
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (stat.S_IFREG | (0o755 if files[path].executable else 0o644)) << 16
            archive.writestr(entry, files[path].data)
    return written.getvalue()


def below_top(paths: Sequence[str]) -> tuple[str, list[str]]:
    """The one folder that all paths begin with, and the paths below it. InvalidRequest, which names the path, for one
    that leads elsewhere, could be read in two ways, or comes twice."""
    if not paths:
        raise InvalidRequest("files: a skill has at least the file SKILL.md")
    if len(paths) > MAX_FILES:
        raise InvalidRequest(f"files: a skill has at most {MAX_FILES} files")
    parts = [_parts(path) for path in paths]
    tops = sorted({names[0] for names in parts})
    if len(tops) > 1 or any(len(names) == 1 for names in parts):
        shown = ", ".join(tops[:5])
        raise InvalidRequest(
            f"files: all files must lie in one top folder, as in my-skill/SKILL.md; found {shown}"
        )
    below = ["/".join(names[1:]) for names in parts]
    seen: set[str] = set()
    for path in below:
        if path in seen:
            raise InvalidRequest(f"files: {path} comes twice")
        seen.add(path)
    for path in below:
        folders = path.split("/")[:-1]
        if inner := next((one for one in _folders(folders) if one in seen), None):
            raise InvalidRequest(f"files: {inner} can't be a file and a folder")
    return tops[0], below


def _folders(names: Sequence[str]) -> Iterator[str]:
    for count in range(1, len(names) + 1):
        yield "/".join(names[:count])


def _parts(path: str) -> list[str]:
    names = path.split("/")
    shown = ascii(path[:200])
    if path.startswith("/") or "\\" in path or path[1:2] == ":":
        raise InvalidRequest(f"files: {shown} must be a relative path with / between its folders")
    if any(name in ("", ".", "..") for name in names):
        raise InvalidRequest(f"files: {shown} must name each folder: neither empty nor . nor ..")
    if not path.isprintable() or "\ufffd" in path:
        raise InvalidRequest(f"files: {shown} has characters that can't be shown; names are UTF-8")
    if len(names) > MAX_DEPTH or any(len(name.encode()) > MAX_NAME_BYTES for name in names):
        raise InvalidRequest(
            f"files: {shown} is too long: at most {MAX_DEPTH} names of at most {MAX_NAME_BYTES} bytes each"
        )
    return names


def _files_among(entries: Sequence[zipfile.ZipInfo]) -> list[zipfile.ZipInfo]:
    files = []
    for entry in entries:
        shown = ascii(entry.orig_filename[:200])
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if entry.filename.startswith(_OF_A_MAC):
            continue
        if entry.flag_bits & _ENCRYPTED:
            raise InvalidRequest(f"files: {shown} is encrypted")
        if entry.filename != entry.orig_filename or not (entry.flag_bits & _UTF8 or entry.filename.isascii()):
            raise InvalidRequest(f"files: the name {shown} is not UTF-8")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise InvalidRequest(f"files: {shown} is neither a file nor a folder")
        if entry.is_dir() or kind == stat.S_IFDIR:
            _parts(entry.filename.rstrip("/"))
        else:
            files.append(entry)
    if len(files) > MAX_FILES:
        raise InvalidRequest(f"files: a skill has at most {MAX_FILES} files")
    if sum(entry.file_size for entry in files) > MAX_BYTES:
        raise InvalidRequest(f"files: the zip unpacks to more than {MAX_BYTES >> 20} MB")
    return files


def _runs(entry: zipfile.ZipInfo) -> bool:
    return bool(entry.external_attr >> 16 & 0o111)
