"""README.md and docs/ name what is there: links, headings, files, modules and flags."""

import functools
import pathlib
import re
import runpy
import shlex

import pytest

from e2wsol import cli, config

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# What the walk-throughs name they make on the way; tests/docs/test_walkthroughs.py follows them.
CHECKED = [page for page in PAGES if not page.name.startswith("add_a_")]
SOURCES = [*(ROOT / "e2wsol").glob("*.py"), *(ROOT / "tfrecords").glob("*.py")]
COMMANDS = [f"{path.parent.name}.{path.stem}" for path in SOURCES if "    cli.run(" in path.read_text(encoding="utf-8")]
OTHERS = {"help", "flagfile", "converted", "requeue"}  # of all commands, of tests/parity/check.py and of Slurm
# Flags behind these scripts' own arguments go to that module.
SCRIPT_FLAGS = {r"run_(train|released|photos|spol)": "e2wsol.train", r"prepare_": "tfrecords.build"}


def each(pages):
    """Parametrises a test by pages."""
    return pytest.mark.parametrize("page", pages, ids=[str(page.relative_to(ROOT)) for page in pages])


def fences(page):
    """(text without the fenced blocks, list of these)."""
    parts = re.split(r"^```.*$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return "\n".join(parts[::2]), parts[1::2]


@functools.cache
def anchors(page):
    """What GitHub makes of a page's headings: letters, digits, _ and - alone; a second one of a kind gets -1."""
    found = {}
    for heading in re.findall(r"^#+ +(.*?) *$", fences(page)[0], flags=re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w -]", "", text).replace(" ", "-")
        found[slug] = found.get(slug, -1) + 1
    return {slug if not count else f"{slug}-{count}" for slug, last in found.items() for count in range(last + 1)}


def commands(page):
    """Command lines of a page's fenced and indented blocks, each with its continuation lines."""
    text, blocks = fences(page)
    indented = re.findall(r"(?:^    \S.*\n)+", text, flags=re.MULTILINE)
    lines = "\n".join([*blocks, *indented]).replace("\\\n", " ").splitlines()
    return [part.strip() for line in lines for part in re.split(r"&&|;|\|\|", re.sub(r"(^|\s)#.*", "", line))]


def module_file(name):
    """The file that `python -m NAME` runs."""
    path = ROOT.joinpath(*name.split("."))
    return path / "__main__.py" if path.is_dir() else path.with_suffix(".py")


@functools.cache
def group_of(module):
    """The dataclass of the flags of `python -m MODULE`: what it hands to cli.run."""
    handed = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "run", lambda main, group, **settings: handed.append(group))
        runpy.run_path(str(module_file(module)), run_name="__main__")
    (group,) = handed
    return group


def flags_of(module):
    """The names of a command's flags, aliases included."""
    return {
        name
        for option_class, field in config.fields(group_of(module))
        for name in (config.flag_name(option_class, field), *field.metadata["aliases"])
    }


def calls(page):
    """(module, arguments) of every command whose flags can be checked."""
    for command in commands(page):
        if found := re.search(r"python3? -m ((?:e2wsol|tfrecords)\.\w+)(.*)", command):
            yield found.groups()
        elif found := re.match(r"(?:\w+=\S+ )*(?:bash )?scripts/(\w+)\.sh(.*)", command):
            module = next((module for name, module in SCRIPT_FLAGS.items() if re.match(name, found[1])), None)
            if module:
                yield module, " ".join(re.findall(r"--\S+", found[2]))


@each(PAGES)
def test_links_and_their_anchors_lead_somewhere(page):
    text = re.sub(r"`[^`\n]*`", "", fences(page)[0])
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:|mailto:", target):
            continue
        file, _, anchor = target.partition("#")
        goal = (page.parent / file).resolve() if file else page
        assert goal.exists(), f"{target}: no such file"
        assert goal.is_relative_to(ROOT), f"{target}: outside the repository"
        assert not anchor or anchor in anchors(goal), f"{target}: no such heading"


@each(CHECKED)
def test_files_and_modules_named_are_there(page):
    text = page.read_text(encoding="utf-8")
    folders = "flags|scripts|benchmarks|docs|tests|e2wsol|tfrecords|notebooks"
    for name in re.findall(rf"(?<![\w/.-])(?:{folders})/[\w./*-]+\.(?:cfg|sh|py|md|csv|jpg|png|ipynb)\b", text):
        assert any(ROOT.glob(name)), f"{name}: no such file"
    for name in re.findall(r"python3? -m ((?:e2wsol|tfrecords)(?:\.\w+)+)", text):
        assert module_file(name).exists(), f"python -m {name}: no such module"


@each(CHECKED)
def test_commands_parse(page):
    """Every flag of a shown command exists, its value is valid, and so is every flagfile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        for module, arguments in calls(page):
            config.parse([module, *shlex.split(arguments)], group_of(module))


@each(CHECKED)
def test_flags_named_in_a_sentence_exist(page):
    """In `python -m MODULE --flag` a flag of that module, in `--flag` one of any command."""
    for span in re.findall(r"`([^`\n]*--[^`\n]*)`", fences(page)[0]):
        if found := re.match(r"python3? -m ([\w.]+)|--", span):
            modules = [found[1]] if found[1] else COMMANDS
            unknown = set(re.findall(r"(?<![\w-])--(\w+)", span)) - OTHERS.union(*map(flags_of, modules))
            assert not unknown, f"{span}: no such flag"


def test_the_checks_see_what_is_wrong(tmp_path):
    """The page of mistakes: none of them may pass, nor may its right lines fail."""
    page = tmp_path / "page.md"
    page.write_text(
        "# A `b` (c): d\n## A `b` (c): d\n[x](#a-b-c-d-1)\n```bash\npython -m e2wsol.export \\\n"
        "    --run_dir=runs/x && python -m e2wsol.predict --model=x --nothing  # --else\n```\n"
        "    bash scripts/run_photos.sh bas cub10 FOLDER none --method=cem\n"
    )
    assert anchors(page) == {"a-b-c-d", "a-b-c-d-1"}
    found = list(calls(page))
    assert [module for module, _ in found] == ["e2wsol.export", "e2wsol.predict", "e2wsol.train"]
    flags = config.parse(["x", *shlex.split(found[0][1])], group_of("e2wsol.export"))[0]
    assert config.to_mapping(flags)["run_dir"] == "runs/x"
    for (module, arguments), message in zip(found[1:], ["nothing", "^method=cem: unknown"]):
        with pytest.raises(config.UserError, match=message):
            config.parse(["x", *shlex.split(arguments)], group_of(module))
