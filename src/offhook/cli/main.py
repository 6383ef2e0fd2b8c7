"""Commands and their options. What they do lies in the modules they call."""

import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from offhook import __version__
from offhook.settings import CONFIG_VARIABLE, Settings, SettingsInvalid, load_settings, masked, warnings_of

app = App(
    name="offhook",
    help="Puts two people on a phone call from one HTTP request, and tells the truth about it.",
    version=__version__,
)
config = App(name="config", help="Check and show the settings.")
app.command(config)

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
def serve(*, config: ConfigFile = None) -> None:
    """Run the server until SIGTERM or Ctrl-C; then finish live calls and exit.

    The first start makes the master account and prints its id and API key, once.
    """
    from .serve import run_server

    sys.exit(run_server(_settings(config)))


@config.command(name="check")
def config_check(*, config: ConfigFile = None) -> None:
    """Say whether the settings are valid; exit status 1 if not."""
    settings = _settings(config)
    for warning in warnings_of(settings):
        print(f"warning: {warning}")
    print("the settings are valid")


@config.command(name="show")
def config_show(*, config: ConfigFile = None) -> None:
    """Print the effective settings as TOML, secrets masked."""
    for key, value in masked(_settings(config)).items():
        print(f"{key} = {_toml(value)}")


def _settings(path: Path | None) -> Settings:
    named = os.environ.get(CONFIG_VARIABLE)
    return load_settings(path or (Path(named) if named else None), os.environ)


def _toml(value: object) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return str(value)
