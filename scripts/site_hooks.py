"""What the site has beyond the pages in docs/: the README first, the API, and the files that pages link to.

mkdocs calls the functions whose names begin with `on_` (mkdocs.yml names this file). Pages link to each other as
they lie in the repository, so that they can be read there; here each such link becomes one of the site.
"""

from __future__ import annotations

import ast
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
# Page of the API -> the module whose `__all__`, or else whose public definitions, it documents.
API = {
    "transforms": "melbeam.transforms",
    "presets": "melbeam.transforms.presets",
    "sources": "melbeam.pipelines.sources",
    "keras": "melbeam.transforms.keras_layers",
    "torch": "melbeam.transforms.torch_data",
    "packing": "melbeam.transforms.packing",
    "refusals": "melbeam.pipelines.refusals",
}
_LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
_DEFINITIONS = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def on_startup(**_: Any) -> None:
    """Shows mkdocstrings the package as it is installed: melbeam/, with a link for each floor."""
    typed = ROOT / "build" / "typed" / "melbeam"
    typed.mkdir(parents=True, exist_ok=True)
    for floor in ("configs", "pipelines", "transforms"):
        if not (typed / floor).is_symlink():
            (typed / floor).symlink_to(ROOT / floor)


def on_config(config: Any) -> Any:
    """Fills the API's part of the navigation."""
    for section in config["nav"]:
        if "API" in section:
            section["API"] = [{module: f"api/{page}.md"} for page, module in API.items()]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages that are made, and the files that pages link to."""
    for name in sorted(ROOT.glob("*.md")):
        files.append(File.generated(config, _site_path(name.name), content=name.read_text(encoding="utf-8")))
    for page, module in API.items():
        files.append(File.generated(config, f"api/{page}.md", content=api_page(module)))
    for file in list(files.documentation_pages()):
        for _, target, _ in _LINK.findall(file.content_string):
            found = _repository_target(file.src_uri, target)
            if found and not found.startswith("docs/") and not found.endswith(".md") and (ROOT / found).is_file():
                path = _site_path(found)
                if files.get_file_from_path(path) is None:
                    files.append(File.generated(config, path, abs_src_path=str(ROOT / found)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Points each link to where its target is on the site; GitHub's warnings become the theme's."""

    def moved(match: re.Match[str]) -> str:
        found = _repository_target(page.file.src_uri, match[2])
        if found is None:
            return match[0]
        here = posixpath.dirname(page.file.src_uri) or "."
        return f"{match[1]}{posixpath.relpath(_site_path(found), here)}{match[3]}"

    return _with_admonitions(_LINK.sub(moved, markdown))


def _with_admonitions(markdown: str) -> str:
    def admonition(match: re.Match[str]) -> str:
        body = re.sub(r"^> ?", "    ", match[2], flags=re.MULTILINE)
        return f"!!! {match[1].lower()}\n{body}"

    return re.sub(r"^> \[!(\w+)\]\n((?:^>.*\n?)+)", admonition, markdown, flags=re.MULTILINE)


def _repository_path(site_path: str) -> str:
    """Where a page of the site lies in the repository."""
    if site_path == "index.md":
        return "README.md"
    if site_path.startswith("project/"):
        return site_path.removeprefix("project/")
    return f"docs/{site_path}"


def _site_path(repository_path: str) -> str:
    """Where a file of the repository is on the site."""
    if repository_path == "README.md":
        return "index.md"
    if repository_path.startswith("docs/"):
        return repository_path.removeprefix("docs/")
    return ("project/" if repository_path.endswith(".md") else "files/") + repository_path


def _repository_target(site_path: str, target: str) -> str | None:
    """What a page's link names in the repository; None where it leads elsewhere, or to a page that is made."""
    if "://" in target or target.startswith(("mailto:", "#")) or site_path.startswith("api/"):
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(_repository_path(site_path)), target))


def api_page(module: str) -> str:
    """A page that documents each public name of a module.

    Raises:
        PluginError: one of them has no docstring.
    """
    tree, names = _parsed(module), public_names(module)
    lines = [f"# {module}", "", (ast.get_docstring(tree) or "").split("\n\n")[0], ""]
    for name in names:
        home, definition = _definition(module, name)
        if definition is None or not ast.get_docstring(definition):
            raise PluginError(f"{module}.{name} is public, and has no docstring")
        for member in definition.body if isinstance(definition, ast.ClassDef) else []:
            if isinstance(member, _DEFINITIONS) and not member.name.startswith("_") and not _is_said(member):
                raise PluginError(f"{module}.{name}.{member.name} is public, and has no docstring")
        lines += [f"::: {home}.{name}", ""]
    return "\n".join(lines)


def _is_said(member: Any) -> bool:
    """Whether a member has a docstring, or takes that of another: an overload, or a property's setter."""
    decorators = {ast.unparse(decorator).rpartition(".")[2] for decorator in member.decorator_list}
    return bool(ast.get_docstring(member) or decorators & {"overload", "setter"})


def public_names(module: str) -> list[str]:
    """`__all__` where the module has one, else its public classes and functions, in their order."""
    body = _parsed(module).body
    for node in body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]:
            return list(ast.literal_eval(node.value))
    return [node.name for node in body if isinstance(node, _DEFINITIONS) and not node.name.startswith("_")]


def _definition(module: str, name: str) -> tuple[str, Any]:
    """The module that defines a name, through re-exports, and the definition."""
    tree = _parsed(module)
    for node in ast.walk(tree):
        if isinstance(node, _DEFINITIONS) and node.name == name:
            return module, node
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and any(alias.name == name for alias in node.names):
            return _definition(str(node.module), name)
    return module, None


def _parsed(module: str) -> ast.Module:
    path = ROOT.joinpath(*module.split(".")[1:])
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(path.read_text(encoding="utf-8"))
