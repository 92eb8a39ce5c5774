"""Scripts that run a student where neither this library nor PyTorch can be imported."""

BLOCKED = (
    "spacy_tinydistill", "torch", "transformers", "spacy_transformers", "spacy_curated_transformers",
    "spacy_huggingface_pipelines", "spacy_llm",
)  # fmt: skip


PLAIN_SPACY = """
import importlib.metadata, sys

BLOCKED = {blocked!r}

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Block())

# What is not installed has no entry points either.
distributions = importlib.metadata.distributions
importlib.metadata.distributions = lambda **params: (
    found for found in distributions(**params) if str(found.name).replace("-", "_") not in BLOCKED
)
"""

LOAD_WHERE_BLOCKED = (
    PLAIN_SPACY
    + """
import spacy

doc = spacy.load(sys.argv[1])(sys.argv[2])
assert not set(BLOCKED) & {{name.split(".")[0] for name in sys.modules}}
print([(token.tag_, token.ent_type_) for token in doc], doc.cats)
"""
)
