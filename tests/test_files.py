"""Files are written whole, and never through a link."""

from pathlib import Path

from spacy_tinydistill.files import bytes_on_disk, write_whole


def test_a_file_is_not_written_through_a_link(tmp_path: Path) -> None:
    """Who made the folder could have laid one where a file is written before it gets its name."""
    outside = tmp_path / "outside"
    outside.write_bytes(b"mine")
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("file", "file.new"):
        (folder / name).symlink_to(outside)
    write_whole(folder / "file", b"new")
    assert outside.read_bytes() == b"mine"
    assert (folder / "file").read_bytes() == b"new"
    assert not (folder / "file").is_symlink()
    assert sorted(path.name for path in folder.iterdir()) == ["file"]


def test_bytes_are_those_of_all_files(tmp_path: Path) -> None:
    (tmp_path / "tagger" / "deep").mkdir(parents=True)
    assert bytes_on_disk(tmp_path) == 0
    (tmp_path / "meta.json").write_bytes(b"x" * 100)
    (tmp_path / "tagger" / "deep" / "model").write_bytes(b"x" * 20)
    (tmp_path / "empty").touch()
    assert bytes_on_disk(tmp_path) == 120
