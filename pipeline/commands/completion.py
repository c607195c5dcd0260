"""`halflife completion SHELL`: a script by which a shell completes verbs and options, made of our own parsers."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from pipeline.command_line.parsing import Arguments, OneLineParser, parser_asked_by
from pipeline.commands.output import exit_code
from pipeline.reporting.printer import print_line

Verbs = Mapping[str, Callable[[list[str]], int]]


class Words(NamedTuple):
    """What may follow some words: other verbs, options, and the choices of an option."""

    verbs: Sequence[str] = ()
    options: Sequence[str] = ()
    choices: Mapping[str, Sequence[str]] = {}


def completion(arguments: Arguments, verbs: Mapping[str, Verbs | None], run: Verbs) -> int:
    """`halflife completion bash|zsh|fish`; returns the exit code.

    `verbs`: all, with those below each; `run`: by which each is called.
    """
    parser = OneLineParser(
        "halflife completion",
        "Print a script that completes verbs and options: halflife completion bash > "
        "~/.local/share/bash-completion/completions/halflife; for zsh into a folder of $fpath as _halflife; for fish "
        "into ~/.config/fish/completions/halflife.fish.",
    )
    parser.add_argument("shell", choices=tuple(_SHELLS), metavar="SHELL", help=", ".join(_SHELLS))
    options = parser.parse_args(arguments)
    return exit_code(lambda: _print(_SHELLS[options.shell](_table(verbs, run))), verbose=False)


def _print(script: str) -> None:
    for line in script.splitlines():
        print_line(line)


def _table(verbs: Mapping[str, Verbs | None], run: Verbs) -> dict[str, Words]:
    """By the words before: what may follow."""
    found = {"": Words(tuple(verbs), ("--help", "--version"))}
    for name, below in verbs.items():
        if below is None:
            found[name] = _words(parser_asked_by(run[name]))
            continue
        found[name] = Words(tuple(below), ("--help",))
        found |= {f"{name} {each}": _words(parser_asked_by(call)) for each, call in below.items()}
    return found


def _words(parser: argparse.ArgumentParser) -> Words:
    choices = {
        name: tuple(str(each) for each in action.choices)
        for action in parser._actions
        if action.choices
        for name in (action.option_strings or [""])
    }
    names = [name for name in parser._option_string_actions if name.startswith("--")]
    return Words(choices.get("", ()), names, {name: each for name, each in choices.items() if name})


_BASH = """\
_halflife() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} verb= each
    for each in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case "$each" in -*) break ;; *) verb="${{verb:+$verb }}$each" ;; esac
        case "$verb" in {above}) ;; *) break ;; esac
    done
    case "$verb $before" in
{choices}
    esac
    case "$verb" in
{verbs}
    esac
    [[ $word == -* ]] || COMPREPLY+=($(compgen -f -- "$word"))
}}
complete -o filenames -F _halflife halflife
"""


def _bash(table: Mapping[str, Words]) -> str:
    choices = [
        f"""        "{verb} {option}") COMPREPLY=($(compgen -W "{' '.join(each)}" -- "$word")); return ;;"""
        for verb, words in table.items()
        for option, each in words.choices.items()
    ]
    verbs = [
        f"""        "{verb}") COMPREPLY=($(compgen -W "{' '.join([*words.verbs, *words.options])}" -- "$word"))"""
        f"""{"; return" if words.verbs else ""} ;;"""
        for verb, words in table.items()
    ]
    above = "|".join(verb for verb, words in table.items() if verb and words.verbs)
    return _BASH.format(above=above, choices="\n".join(choices), verbs="\n".join(verbs))


def _zsh(table: Mapping[str, Words]) -> str:
    """zsh runs bash's script by its own `bashcompinit`."""
    return f"#compdef halflife\nautoload -U +X bashcompinit && bashcompinit\n{_bash(table)}"


def _fish(table: Mapping[str, Words]) -> str:
    lines = []
    for verb, words in table.items():
        path = verb.split()
        used = " and ".join(f"__fish_seen_subcommand_from {each}" for each in path) or "__fish_use_subcommand"
        below = f"; and not __fish_seen_subcommand_from {' '.join(words.verbs)}" if path and words.verbs else ""
        condition = f"-n '{used.replace(' and ', '; and ')}{below}'"
        if words.verbs:
            lines.append(f"complete -c halflife {condition} -f -a '{' '.join(words.verbs)}'")
        for option in words.options:
            listed = words.choices.get(option)
            values = f" -x -a '{' '.join(listed)}'" if listed else ""
            lines.append(f"complete -c halflife {condition} -l {option.removeprefix('--')}{values}")
    return "\n".join(lines)


_SHELLS: Mapping[str, Callable[[Mapping[str, Words]], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
