"""`python -m spacy export-web`: a student for web pages and Node."""

from pathlib import Path

from spacy.cli._util import Arg, Opt, app

from ._util import numbered_errors


@app.command("export-web")
def export_web_cli(
    student: str = Arg(..., help="Student: a folder or an installed package"),
    output_path: Path = Arg(..., help="Folder to write to"),
    precision: str = Opt("float16", "--precision", "-p", help="How weights are stored: float32, float16 or int8"),
    report: Path | None = Opt(None, "--report", "-r", help="Folder of a report to try the student in; its page grows"),
    force: bool = Opt(False, "--force", "-f", help="Replace an export that is there"),
) -> None:
    """
    Write a student for web pages and Node: its data file, a page to try it on that needs no network, and the spaCy
    pipeline with the same rounded weights, which says exactly the same.
    """
    # Every call of `python -m spacy` imports this file; only this command should pay for what it needs.
    from wasabi import msg

    from ..report.report import HTML_NAME, add_trial
    from ..web.export import PAGE_NAME, export_web

    with numbered_errors():
        path = export_web(student, output_path, precision=precision, force=force)  # type: ignore[arg-type]
        if report is not None:
            add_trial(report, output_path)
    msg.good(f"Wrote {path.stat().st_size / 1e6:.1f} MB", path)
    msg.text(f"Open {output_path / PAGE_NAME} in a browser to try it.")
    if report is not None:
        msg.text(f"It can be tried in {report / HTML_NAME}, too.")
