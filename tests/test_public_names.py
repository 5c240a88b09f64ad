"""What `import sibboleth` promises."""

import subprocess
import sys

import pytest

import sibboleth


def test_every_public_name_is_a_function() -> None:
    assert sorted(sibboleth.__all__) == sibboleth.__all__
    for name in sibboleth.__all__:
        assert callable(getattr(sibboleth, name)), name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="translate"):
        sibboleth.translate  # noqa: B018


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys, sibboleth; print(sorted(m for m in sys.modules if m.startswith('sibboleth')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['sibboleth']"


@pytest.mark.parametrize("module", ["check", "corpus", "score", "report"])
def test_what_needs_no_model_runs_without_torch(module: str) -> None:
    """With torch made impossible to import, scoring, auditing, describing and reporting still load."""
    code = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'safetensors', 'espeakng_loader'): sys.modules[name] = None\n"
        f"import sibboleth.recipes.{module}, sibboleth.report.page"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
