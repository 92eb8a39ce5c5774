"""`python -m spacy init distill-config`."""

from pathlib import Path

from spacy.cli._util import Arg, Opt, import_code, init_cli, string_to_list
from wasabi import msg

from ._util import numbered_errors


@init_cli.command("distill-config")
def init_distill_config_cli(
    teacher: str = Arg(..., help="Teacher pipeline: an installed package or a folder"),
    output_file: Path = Arg(..., help="File to write the student's config to"),
    size: str = Opt("tiny", "--size", "-s", help="Size of the student: mini, tiny or nano"),
    pipeline: str = Opt("", "--pipeline", "-p", help="Teacher's pipes to learn, separated by commas. By default all"),
    leave_out: str = Opt("", "--leave-out", help="Teacher's pipes that the student shall not have, by commas"),
    strict: bool = Opt(False, "--strict", help="Fail if a pipe is left out that is not named"),
    vectors: str | None = Opt(None, "--vectors", "-v", help="Static word vectors for the student"),
    code_path: Path | None = Opt(None, "--code", "-c", help="Python file that registers functions of your own"),
    force: bool = Opt(False, "--force", "-f", help="Overwrite the file"),
) -> None:
    """Write a complete config for a student that has the teacher's pipes."""
    from ..config_files import write_config_file
    from ..errors import DistillationError
    from ..pipes.pipeline import load_teacher
    from ..pipes.profile import profile_teacher
    from ..student.account import account_for_pipes, left_out_unnamed, note_vectors, print_fates
    from ..student.config import student_config
    from ..student.pipeline import comment_on_config

    import_code(code_path)
    with numbered_errors():
        if output_file.exists() and not force:
            raise DistillationError("TD502", path=output_file)
        nlp = load_teacher(teacher)
        config = student_config(
            nlp,
            size=size,
            pipeline=string_to_list(pipeline) or None,
            leave_out=string_to_list(leave_out),
            vectors=vectors,
        )
        profile = profile_teacher(nlp)
        fates = account_for_pipes(profile, config)
        unnamed = left_out_unnamed(fates)
        if strict and unnamed:
            raise DistillationError("TD511", pipes="; ".join(f"{pipe}: {why}" for pipe, why in unnamed.items()))
        try:
            output_file.parent.mkdir(parents=True, exist_ok=True)
            write_config_file(config, output_file)
            with output_file.open("a", encoding="utf-8") as file:
                file.write(comment_on_config(config, nlp, teacher))
        except OSError as error:
            raise DistillationError("TD508", path=output_file, reason=error) from None
    print_fates(fates)
    note_vectors(profile, config)
    msg.good(f"Wrote the config of a {size} student: {', '.join(config['nlp']['pipeline'])}", output_file)
    msg.text(f"python -m spacy distill {teacher} {output_file} --output OUTPUT --paths.distill TEXTS")
