from pathlib import Path

from app.http.stored_files import StoredFiles, content_security_policy


def test_the_version_names_the_content(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("{{version}}")
    (tmp_path / "one.css").write_text("a {}")
    first = StoredFiles.read(tmp_path)
    assert first.index.body.decode() == first.version
    assert set(first.files) == {"one.css"}
    (tmp_path / "one.css").write_text("b {}")
    assert StoredFiles.read(tmp_path).version != first.version


def test_what_is_no_file_of_a_page_is_left_out(tmp_path: Path) -> None:
    for name in ("index.html", "LICENSE", "notes.md", "one.js"):
        (tmp_path / name).write_text("")
    assert set(StoredFiles.read(tmp_path).files) == {"one.js"}


def test_a_policy_allows_what_is_named_besides() -> None:
    assert "img-src 'self' data:;" in content_security_policy(img_src="data:")
    assert "unsafe" not in content_security_policy(img_src="data:")
