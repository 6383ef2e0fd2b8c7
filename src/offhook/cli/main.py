"""Commands and their options. What they do lies in the modules they call."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from offhook import __version__
from offhook.settings import CONFIG_VARIABLE, Settings, SettingsInvalid, load_settings, masked

from .client_commands import call, conform, explain, tail

app = App(
    name="offhook",
    help="Puts two people on a phone call from one HTTP request, and tells the truth about it.",
    version=__version__,
    default_parameter=Parameter(negative=()),  # a switch is given or left out
)
config = App(name="config", help="Check and show the settings.")
app.command(config)
for command in (call, explain, tail, conform):
    app.command(command)

ConfigFile = Annotated[
    Path | None, Parameter(name="--config", help="TOML file with settings; OFFHOOK_CONFIG names it too.")
]


def main() -> None:
    """Run the command line; the exit status is 0, 1 for a fault told on standard error, 2 for bad options."""
    try:
        app()
    except SettingsInvalid as error:
        print(f"offhook: the settings are wrong:\n{error}", file=sys.stderr)
        sys.exit(1)


@app.command
def serve(
    *,
    config: ConfigFile = None,
    workers: Annotated[
        int | None,
        Parameter(help="Processes that hold calls, one per core; the setting `workers` otherwise, or 1."),
    ] = None,
) -> None:
    """Run the server until SIGTERM or Ctrl-C; then finish live calls and exit.

    The first start makes the master account and prints its id and API key, once.
    """
    from .serve import run_server

    more = {} if workers is None else {"OFFHOOK_WORKERS": str(workers)}
    sys.exit(run_server(_settings(config, more)))


@config.command(name="check")
def config_check(*, config: ConfigFile = None) -> None:
    """Say whether the settings are valid; exit status 1 if not."""
    _settings(config)
    print("the settings are valid")


@config.command(name="show")
def config_show(*, config: ConfigFile = None) -> None:
    """Print the effective settings as TOML, secrets masked."""
    for key, value in masked(_settings(config)).items():
        print(f"{key} = {json.dumps(value, ensure_ascii=False)}")  # text, numbers, truth: as in TOML


@app.command
def phone(
    address: Annotated[str, Parameter(help="The device: sip.username@realm of the account.")],
    /,
    *,
    password: Annotated[str, Parameter(help="SIP password of the device.")],
    server: Annotated[str, Parameter(help="Host or host:port to register at; default: the realm.")] = "",
    transport: Literal["udp", "tcp"] = "udp",
    host: Annotated[str, Parameter(help="Our address, for SIP and RTP.")] = "127.0.0.1",
    port: Annotated[int, Parameter(help="Our SIP port; 0 takes a free one.")] = 0,
    answer: Annotated[
        Literal["answer", "busy", "decline", "never"], Parameter(help="What to do when it rings.")
    ] = "answer",
    answer_after: Annotated[float, Parameter(help="Seconds to ring before answering.")] = 0.0,
    hang_up_after: Annotated[float, Parameter(help="Hang up this long after answering; 0: never.")] = 0.0,
    auto_answer: Annotated[
        bool,
        Parameter(negative="--no-auto-answer", help="Pick up by itself if the caller asks for it."),
    ] = True,
    tone: Annotated[float, Parameter(help="Frequency to send, in Hz; 0 sends silence.")] = 440.0,
    listen: Annotated[float, Parameter(help="Frequency to listen for, in Hz.")] = 440.0,
    record: Annotated[Path | None, Parameter(help="WAV file for what was heard.")] = None,
    calls: Annotated[int, Parameter(help="Stop after so many calls; 0: run until Ctrl-C.")] = 0,
) -> None:
    """Run a soft phone for trying things: `offhook phone dev1@acme.example.com --password s3cret`."""
    from .phone import PhoneOptions, run

    options = PhoneOptions(
        address, password, server, transport, host, port, answer, answer_after, hang_up_after, auto_answer,
        tone, listen, record, calls,
    )  # fmt: skip
    sys.exit(run(options))


@app.command(name="export")
def export_(
    *,
    output: Annotated[Path | None, Parameter(help="File to write; default: standard output.")] = None,
    config: ConfigFile = None,
) -> None:
    """Write all documents, history and CDRs as JSON lines in KAZOO's form. The server may run meanwhile.

    The lines hold secrets: passwords of phones, API keys, stored passwords.
    """
    from .transfer import run_export

    sys.exit(run_export(_settings(config), output))


@app.command(name="import")
def import_(
    file: Annotated[Path, Parameter(help="JSON lines: one document per line.")],
    /,
    *,
    report: Annotated[Path | None, Parameter(help="File for what was not taken, and why.")] = None,
    overwrite: Annotated[bool, Parameter(help="Replace documents that were changed here since.")] = False,
    config: ConfigFile = None,
) -> None:
    """Take over documents, history and CDRs: JSON lines from KAZOO or from `offhook export`.

    The server must be stopped. Running it again takes what is missing. Exit status 0 if all was taken.
    """
    from .transfer import run_import

    sys.exit(run_import(_settings(config), file, report_to=report, overwrite=overwrite))


@app.command
def demo(
    *,
    keep: Annotated[bool, Parameter(help="Leave the server running at the end, to look around.")] = False,
) -> None:
    """Put two soft phones on a call and watch it: a server, an account, a button, one HTTP request.

    Exit status 0 only if both parties were joined, each heard the other's tone, and history and CDR say so.
    """
    from .demo import run_demo

    sys.exit(run_demo(keep_running=keep))


def _settings(path: Path | None, options: Mapping[str, str] | None = None) -> Settings:
    """Return the effective settings; options of the command win over everything."""
    named = os.environ.get(CONFIG_VARIABLE)
    return load_settings(path or (Path(named) if named else None), {**os.environ, **(options or {})})
