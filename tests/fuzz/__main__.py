"""Coverage-guided fuzzing: `python -m tests.fuzz TARGET [--minutes N]`; without a target, all in turn.

Inputs that reach new code are kept in `--corpus` (default: a folder that is thrown away, begun with
tests/data/fuzz); an input at fault is written to tests/data/fuzz/TARGET/ and fails from then on in the suite.
"""

import argparse
import importlib
import subprocess
import sys
import tempfile
from pathlib import Path

from .names import NAMES

INPUT_BYTES = 4_096
"""Longer ones are slow and find no more."""


def main() -> int:
    """Return 0 if nothing was found."""
    arguments = _arguments()
    if arguments.pack:
        return _pack(Path(arguments.corpus))
    if arguments.target is not None:
        return _fuzz(arguments.target, arguments.minutes, arguments.corpus)
    own = [sys.executable, "-m", "tests.fuzz", "--minutes", str(arguments.minutes / len(NAMES))]
    own += ["--corpus", arguments.corpus] if arguments.corpus else []
    return max([subprocess.run([*own, name], check=False).returncode for name in NAMES])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", nargs="?", choices=NAMES)
    parser.add_argument("--minutes", type=float, default=60.0, help="of all targets together (default: 60)")
    parser.add_argument("--corpus", default="", help="folder that keeps what was learned, for the next run")
    parser.add_argument(
        "--pack", action="store_true", help="fuzz nothing; keep the corpus in tests/data/fuzz"
    )
    return parser.parse_args()


def _pack(folder: Path) -> int:
    corpus = importlib.import_module("tests.fuzz.corpus")
    for name in NAMES:
        if (folder / name).is_dir():
            print(f"{name}: {corpus.pack(name, folder / name)} inputs")
    return 0


def _fuzz(name: str, minutes: float, kept: str) -> int:
    import atheris

    with atheris.instrument_imports(include=["offhook.sip", "offhook.kernel"]):
        targets = importlib.import_module("tests.fuzz.targets")
        corpus = importlib.import_module("tests.fuzz.corpus")
    folder = Path(kept or tempfile.mkdtemp(prefix="fuzz-")) / name
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(corpus.seeds(name)):
        (folder / f"seed-{number}").write_bytes(seed)
    found = corpus.CORPUS / name
    found.mkdir(parents=True, exist_ok=True)
    options = [
        sys.argv[0], str(folder), f"-max_total_time={max(1, int(minutes * 60))}", f"-max_len={INPUT_BYTES}",
        f"-artifact_prefix={found}/", "-timeout=60", "-rss_limit_mb=1024", "-print_final_stats=1",
    ]  # fmt: skip
    print(f"fuzzing {name} for {minutes:.1f} minutes", flush=True)
    atheris.Setup(options, lambda data: targets.run(name, data))
    atheris.Fuzz()  # ends the process
    return 0


if __name__ == "__main__":
    sys.exit(main())
