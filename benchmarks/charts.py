"""Charts of the kept results, for docs/performance.md: PNG and SVG. Needs matplotlib."""

from pathlib import Path
from typing import Any, Final

from matplotlib import pyplot

FOLDER: Final = Path(__file__).parents[1] / "docs" / "images"
OURS: Final = "#1a7f64"
OTHERS: Final = "#8a8f98"
SIZE: Final = (7.2, 2.8)

Kept = dict[str, dict[str, list[Any]]]


def draw(kept: Kept) -> None:
    """Draw what there are figures for."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    engines = kept.get("engines", {})
    _bars(engines, ": CPU per call", "CPU per call, ms", "performance-cpu")
    _bars(engines, ": memory per standing call", "memory per standing call, KiB", "performance-memory")
    _bars(kept.get("standing", {}), " standing ones: CPU", "CPU per call, ms", "performance-standing")


def _bars(figures: dict[str, list[Any]], ending: str, title: str, name: str) -> None:
    """Draw one bar for each figure whose name ends so, the first on top."""
    bars = {
        what.removesuffix(ending): value for what, (value, *_) in figures.items() if what.endswith(ending)
    }
    if not bars:
        return
    figure, axes = pyplot.subplots(figsize=SIZE)
    colours = [OURS if "offhook" in word or "beside" in word else OTHERS for word in bars]
    drawn = axes.barh(list(bars), list(bars.values()), color=colours)
    axes.bar_label(drawn, fmt="%.1f", padding=4)
    axes.invert_yaxis()
    axes.set_title(title, loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.12)
    figure.tight_layout()
    for suffix, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
        figure.savefig(FOLDER / f"{name}.{suffix}", dpi=150, metadata=metadata)
    pyplot.close(figure)
