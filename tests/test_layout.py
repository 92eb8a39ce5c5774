"""Each module of the package has a test module of its own place and name, or is named here."""

import ast
from pathlib import Path

from helpers.paths import ROOT, TESTS

PACKAGE = ROOT / "spacy_tinydistill"

# Modules that are tested elsewhere, with those that use them.
ELSEWHERE = {
    "arrow_table.py": "test_corpus.py",
    "cli/_util.py": "mistakes/test_command_line.py",
    "cli/distill_targets.py": "test_prepare.py",
    "components/registry.py": "mistakes/test_pipelines.py",
    "components/soft_labels.py": "components/test_each_kind_of_pipe.py",
    "components/span_finder.py": "test_mirrors.py",
    "components/span_labels.py": "components/test_each_kind_of_pipe.py",
    "components/text_labels.py": "components/test_each_kind_of_pipe.py",
    "components/text_scores.py": "test_hugging_face.py",
    "pipes/pipeline.py": "mistakes/test_pipelines.py",
    "pipes/third_party.py": "test_hugging_face.py",
    "pipes/labels.py": "teacher/test_coverage.py",
    "pipes/transfer.py": "test_gpu_rehearsal.py",
    "report/environment.py": "report/test_speed.py",
    "report/machine.py": "cli/test_benchmark.py",
    "report/table.py": "report/test_compare.py",
    "report/worker.py": "report/test_speed.py",
    "schemas.py": "mistakes/test_config.py",
    "summary.py": "cli/test_distill.py",
    "targets/folder.py": "targets/test_store.py",
    "tiny_transformer/bert.py": "tiny_transformer/test_encoder.py",
    "user_code.py": "mistakes/test_command_line.py",
    "cli/export_web.py": "web/test_export.py",
    "rounding.py": "web/test_export.py",
    "web/characters.py": "web/test_export.py",
    "web/encoder.py": "web/test_export.py",
    "web/format.py": "web/test_export.py",
    "web/page.py": "web/test_export.py",
    "web/pipes.py": "web/test_export.py",
    "web/regex.py": "web/test_export.py",
    "web/rules.py": "web/test_export.py",
    "web/selftest.py": "web/test_export.py",
    "web/tokenizer.py": "web/test_export.py",
    "web/weights.py": "web/test_export.py",
}

# Test modules that go through many modules, or through what lies beside the package.
WIDE = {
    "components/test_each_kind_of_pipe.py",
    "mistakes/test_command_line.py",
    "mistakes/test_config.py",
    "mistakes/test_output.py",
    "mistakes/test_pipelines.py",
    "mistakes/test_resuming.py",
    "mistakes/test_texts.py",
    "cli/test_bare_container.py",
    "student/test_carried_over.py",
    "student/test_disabled.py",
    "student/test_settings.py",
    "student/test_wrapped_model.py",
    "test_any_input.py",
    "test_architecture.py",
    "test_benchmarks.py",
    "test_docs.py",
    "test_examples.py",
    "test_fuzz.py",
    "test_gold_pipes.py",
    "test_gpu_rehearsal.py",
    "test_hugging_face.py",
    "test_kept.py",
    "test_languages.py",
    "test_layout.py",
    "test_light_base.py",
    "test_llm.py",
    "test_matrix.py",
    "test_mirrors.py",
    "test_reading_annotations.py",
    "test_scripts.py",
    "test_security.py",
    "test_tokenizers.py",
    "test_ud.py",
}


def relative(folder: Path, pattern: str) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob(pattern)}


MODULES = {name for name in relative(PACKAGE, "*.py") if not name.endswith("__init__.py")}
TEST_MODULES = relative(TESTS, "test_*.py")


def mirror_of(module: str) -> str:
    folder, _, name = module.rpartition("/")
    return f"{folder}/test_{name}".removeprefix("/")


def test_each_module_has_a_test_module() -> None:
    assert {module for module in MODULES if mirror_of(module) not in TEST_MODULES} == set(ELSEWHERE)
    assert set(ELSEWHERE.values()) <= TEST_MODULES


def test_each_test_module_has_a_module() -> None:
    assert TEST_MODULES - set(map(mirror_of, MODULES)) == WIDE


def test_what_tests_share_is_in_helpers() -> None:
    for path in TESTS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
            if isinstance(node, ast.ImportFrom):
                last = (node.module or "").rpartition(".")[2]
                assert not last.startswith("test_"), f"{path}:{node.lineno} imports from another test module"
                assert last != "conftest", f"{path}:{node.lineno} imports from conftest"
