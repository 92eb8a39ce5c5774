"""What becomes of a teacher's pipes, read off the teacher itself."""

from spacy.language import Language
from thinc.api import Config

from spacy_tinydistill.pipes.profile import profile_teacher
from spacy_tinydistill.student.account import account_for_pipes, left_out_unnamed


def account_for(teacher: Language, config: Config) -> dict[str, str]:
    return {fate.pipe: fate.text for fate in account_for_pipes(profile_teacher(teacher), config)}


def warned_of(teacher: Language, config: Config) -> list[str]:
    return list(left_out_unnamed(account_for_pipes(profile_teacher(teacher), config)))
