"""Files are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from pindown.errors import OutputError
from pindown.files import write_atomically


@pytest.mark.parametrize("content", ["é\n", "é\n".encode()])
def test_a_file_is_written_whole_into_a_folder_that_is_made(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "new" / "report.html"
    write_atomically(path, content)
    assert path.read_bytes() == "é\n".encode()
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_a_file_has_the_rights_that_new_files_have(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_atomically(tmp_path / "written", b"")
    assert (tmp_path / "written").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize(
    ("raised", "seen"),
    [(OSError(28, "No space left on device"), OutputError), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_a_failed_write_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: BaseException, seen: type[BaseException]
) -> None:
    path = tmp_path / "report.html"
    write_atomically(path, "old")

    def fail(*_: object) -> None:
        raise raised

    monkeypatch.setattr("pindown.files.os.fsync", fail)
    with pytest.raises(seen, match=str(raised.args[-1]) if raised.args else None):
        write_atomically(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize("place", ["file/report.html", "folder"])
def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="cannot be written") as caught:
        write_atomically(tmp_path / place, "x")
    assert caught.value.exit_code == 5
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]
