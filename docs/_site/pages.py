"""A hook of MkDocs: pages that are made when the site is built.

The command's reference comes from its own parser, and the pages of the repository's root, which
belong to the forge, are read where they are. A link to a file that is no page becomes plain text.
"""

import argparse
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from algorithm.cli.main import parser

ROOT = Path(__file__).parents[2]
ROOT_PAGES = ("CHANGELOG.md", "CONTRIBUTING.md", "README.md", "SECURITY.md")
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s#]+)(#[^)\s]*)?\)")
_CELL = str.maketrans({"|": r"\|", "<": "&lt;", ">": "&gt;", "\n": " "})


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    for name in ROOT_PAGES:
        text = (ROOT / name).read_text().replace("](docs/", "](")
        files.append(File.generated(config, name.lower(), content=text))
    files.append(File.generated(config, "reference-command.md", content=command_reference()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead to pages of the site."""

    def link(match: re.Match[str]) -> str:
        text, path, anchor = match[1], match[2], match[3] or ""
        if "://" in path or path.startswith("mailto:"):
            return match[0]
        name = path.removeprefix("../")
        target = name.lower() if name in ROOT_PAGES else name
        if files.get_file_from_path(target) is None:
            return text
        return f"[{text}]({target}{anchor})"

    return _LINK.sub(link, markdown)


def command_reference() -> str:
    """Return a page with all commands and their options, as the parser has them."""
    whole = parser()
    (commands,) = [each for each in whole._actions if isinstance(each.choices, dict)]
    about = {each.dest: each.help or "" for each in commands._get_subactions()}
    parts = [
        "# All commands and options",
        f"{whole.description} This page is made from the command itself; what the options are for"
        " is told in [command.md](command.md) and [vantage6.md](vantage6.md).",
    ]
    for name, command in (commands.choices or {}).items():
        parts += [f"## {name}", f"{_sentence(about[name])}", _usage(command), *_tables(command)]
    return "\n\n".join(parts) + "\n"


def _usage(command: argparse.ArgumentParser) -> str:
    return f"```text\n{command.format_usage().removeprefix('usage: ').strip()}\n```"


def _tables(command: argparse.ArgumentParser) -> list[str]:
    """Return a table for each group of options, with what is said of the group."""
    parts = []
    for group in command._action_groups:
        rows = [
            f"| {_name(each)} | {_sentence(_help(each)).translate(_CELL)} |"
            for each in group._group_actions
            if each.help != argparse.SUPPRESS
        ]
        if not rows:
            continue
        if group.description:
            parts.append(f"**{(group.title or '').capitalize()}.** {group.description}")
        parts.append("\n".join(["| Argument | Meaning |", "|---|---|", *rows]))
    return parts


def _name(action: argparse.Action) -> str:
    """Return what is typed: "`--output DIR`"."""
    metavar = action.metavar or action.dest.upper()
    shown = metavar if isinstance(metavar, str) else " ".join(metavar)
    if action.choices is not None and action.metavar is None:
        shown = "{" + ",".join(map(str, action.choices)) + "}"
    if not action.option_strings:
        return f"`{shown}`"
    value = "" if action.nargs == 0 else f" {shown}"
    return f"`{', '.join(action.option_strings)}{value}`"


def _help(action: argparse.Action) -> str:
    return (action.help or "").replace("%%", "%")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""
