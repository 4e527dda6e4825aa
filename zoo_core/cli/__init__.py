"""The command `zoo`: one file per command, imported when called, so that the others cost nothing.

Exit codes: 0, 1 (the thing failed), 2 (wrong usage), 130 (Ctrl-C).
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from zoo_core.cli.output import echo_lines, known, note
from zoo_core.cli.streams import give_up, is_full, is_short_of_memory, make_writable
from zoo_core.errors import PluginError, ZooError
from zoo_core.humanize import one_line, readable_name, without_credentials
from zoo_core.terminal.streams import shown_streams
from zoo_core.version import __version__

# name -> the module that holds it as `command`, and its line of help, so that help imports none
COMMANDS: dict[str, tuple[str, str]] = {
    "list": ("zoo_core.cli.listing", "List the models."),
    "show": ("zoo_core.cli.show", "Tell the facts about a model and its weights."),
    "browse": ("zoo_core.cli.browse", "Write a page of all models, to filter and sort."),
    "stages": (
        "zoo_core.cli.stages",
        "Show the stages of a model, and what a freeze leaves to train.",
    ),
    "inspect": ("zoo_core.cli.inspect", "Find what is wrong with your pictures."),
    "rank": ("zoo_core.cli.rank", "Rank models by how they suit your pictures."),
    "advise": ("zoo_core.cli.advise", "Say how much of a model to keep, freeze and train."),
    "finetune": ("zoo_core.cli.finetune", "Fine-tune a model on your own pictures."),
    "runs": ("zoo_core.cli.runs", "Compare runs."),
    "evaluate": ("zoo_core.cli.evaluate", "Measure a model on pictures with known classes."),
    "predict": ("zoo_core.cli.predict", "Say what is in pictures."),
    "explain": ("zoo_core.cli.explain", "Show where in pictures a model looks."),
    "export": ("zoo_core.cli.export", "Write a model to a file of ONNX or torch.export."),
    "convert": ("zoo_core.cli.convert", "Turn somebody's checkpoint into safetensors for a model."),
    "fetch": ("zoo_core.cli.fetch", "Fetch weights before they are needed."),
    "verify": ("zoo_core.cli.verify", "Read the cached weights again, or check a signature."),
    "sign": ("zoo_core.cli.sign", "Sign all files of a folder."),
    "lock": ("zoo_core.cli.lock", "Pin the weights that a project uses."),
    "cache": ("zoo_core.cli.cache", "List or clear the activations that are kept."),
    "push": ("zoo_core.cli.push", "Publish what was fine-tuned."),
    "regularizers": ("zoo_core.cli.regularizers", "List the regularizers, or explain one."),
    "plugins": ("zoo_core.cli.plugins", "List the plugins, and what is broken."),
    "doctor": ("zoo_core.cli.doctor", "Check this installation, and say how to mend it."),
}


class Zoo(click.Group):
    """The group of all commands: those above, and those that plugins add."""

    _asked_plugins = False

    def list_commands(self, ctx: click.Context) -> list[str]:
        self._ask_plugins()
        return [*COMMANDS, *sorted(self.commands)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS:
            return _takes_debug(import_module(COMMANDS[cmd_name][0]).command)
        self._ask_plugins()
        return self.commands.get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            raise click.NoSuchCommand(
                error.command_name, possibilities=self.list_commands(ctx), ctx=ctx
            ) from None

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a plugin's command.

        Raises PluginError where the name is taken: nobody replaces another's command.
        """
        name = name or cmd.name
        if name in COMMANDS or name in self.commands:
            raise PluginError(f'the command "{name}" is taken')
        super().add_command(_takes_debug(cmd), name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self._ask_plugins()
        rows = [(name, line) for name, (_, line) in COMMANDS.items()]
        added = sorted(self.commands.items())
        rows += [(name, command.get_short_help_str(200)) for name, command in added]
        rows = [(readable_name(name), readable_name(line)) for name, line in rows]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def shell_complete(
        self, ctx: click.Context, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        """Names from the table: completing a command imports none."""
        from click.shell_completion import CompletionItem

        self._ask_plugins()
        lines = {name: line for name, (_, line) in COMMANDS.items()}
        added = sorted(self.commands.items())
        lines |= {name: command.get_short_help_str() for name, command in added}
        fitting = [name for name in lines if name.startswith(incomplete) and name.isprintable()]
        names = [CompletionItem(name, help=readable_name(lines[name])) for name in fitting]
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def _ask_plugins(self) -> None:
        if not self._asked_plugins:
            self._asked_plugins = True
            from zoo_core.plugins.contributions import add_commands

            for _ in add_commands(known().plugins, self):
                pass


def _takes_debug(command: click.Command) -> click.Command:
    """The command with `--debug`, which main() looks for.

    People add it at the end of what they typed.
    """
    if not any("--debug" in parameter.opts for parameter in command.params):
        debug = click.Option(["--debug"], is_flag=True, expose_value=False, hidden=True)
        command.params.append(debug)
    if isinstance(command, click.Group):
        for child in command.commands.values():
            _takes_debug(child)
    return command


@click.command(
    cls=Zoo,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Start with: zoo list, zoo show resnet50. Each command has --help.",
)
@click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    help="Show the traceback of an error (or set ZOO_DEBUG=1).",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def zoo() -> None:
    """Vision models for transfer learning: keep early layers, retrain the rest on your pictures."""


@shown_streams()
def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; an error is one line and a hint on stderr."""
    make_writable()
    words = list(sys.argv[1:] if args is None else args)
    if not sys.stderr.isatty():  # the Hub's client draws its bars into files, too
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    debug = "--debug" in words or os.environ.get("ZOO_DEBUG", "") not in ("", "0")
    try:
        return _run(words, debug)
    finally:
        for stream in (sys.stdout, sys.stderr):
            if is_full(stream):
                give_up(stream)


def _run(words: list[str], debug: bool) -> int:
    try:
        code = zoo.main(words, prog_name="zoo", standalone_mode=False, obj={"debug": debug})
        sys.stdout.flush()
    except BrokenPipeError:  # nobody reads on, as in `zoo list | head -1`
        return 0
    except (click.Abort, KeyboardInterrupt):
        return 130
    except click.ClickException as error:
        _show(error)
        return error.exit_code
    except Exception as error:
        return _failed(error, debug)
    return code if isinstance(code, int) else 0


def _show(error: click.ClickException) -> None:
    """Print wrong usage, where stderr takes it."""
    if isinstance(error, click.NoSuchOption):
        from zoo_core.cli.guesses import explained

        error = explained(error)
    # names and addresses that were typed
    error.message = readable_name(without_credentials(error.message))  # type: ignore[misc]
    with contextlib.suppress(OSError):
        error.show()


def _failed(error: Exception, debug: bool) -> int:
    if debug:
        import traceback

        with contextlib.suppress(OSError):
            echo_lines("".join(traceback.format_exception(error)), err=True)
    message, hint = _explained(error, debug)
    note(f"Error: {message}")
    if hint:
        note(hint)
    return 1


def _explained(error: Exception, debug: bool) -> tuple[str, str]:
    """One line about an error, and what to do next."""
    if isinstance(error, ZooError):
        return one_line(error.message), one_line(error.hint)
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.strerror}: {error.filename}", ""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
        return f"{error.strerror}: where the output goes, or a file is written.", ""
    if is_short_of_memory(error):
        why = f": {one_line(error)}" if str(error) else ""
        return f"Not enough memory{why}.", "See what limits it: ulimit -v, or that of a container."
    text = f"unexpected {type(error).__name__}: {one_line(error)}".rstrip(": ")
    if "torchvision::nms" in text:
        return text, 'torch and torchvision do not belong together here: run "zoo doctor".'
    return text, "" if debug else "For the whole story, run again with --debug."
