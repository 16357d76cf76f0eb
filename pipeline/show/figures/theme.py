"""The look of figures, and their output as PNG on white or as SVG that follows the page's dark mode.

Equal figures give equal bytes, whatever the user's own matplotlib settings are.
"""

import html
import io
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from jaxtyping import Shaped
from matplotlib import style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imsave
from matplotlib.lines import Line2D

from pipeline.results.attribution_content import PointContent
from pipeline.show.colours import COLOURS

PNG_DPI = 160
# The width of a figure in inches, and the largest number of panels side by side.
WIDTH, COLUMNS = 11.0, 3
# matplotlib's settings belong to the whole process: two threads that draw at once would mix them up.
_DRAWING = threading.RLock()
STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": COLOURS["line"],
    "axes.facecolor": "none",
    "axes.labelcolor": COLOURS["muted"],
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.5,
    "figure.facecolor": COLOURS["paper"],
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "grid.alpha": 0.7,
    "grid.color": COLOURS["line"],
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.6,
    "image.composite_image": False,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "text.color": COLOURS["ink"],
    "text.parse_math": False,
    "xtick.color": COLOURS["line"],
    "xtick.labelcolor": COLOURS["muted"],
    "xtick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.color": COLOURS["line"],
    "ytick.labelcolor": COLOURS["muted"],
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
}


@contextmanager
def themed() -> Iterator[None]:
    """Return a context in which figures are drawn in the style of the project.

    The style is applied to matplotlib's defaults. The settings of the caller are restored at the end.
    """
    with _DRAWING, style.context(["default", STYLE]):
        yield


def canvas(width: float, height: float) -> Figure:
    """Return an empty figure of width × height inches, free of any window system and global state."""
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def sheet(figure: Figure) -> Axes:
    """Return empty axes over the whole figure; their coordinates are inches from its lower left corner.

    Many small pictures share one sheet, because new axes for each picture would take 20 ms.
    """
    width, height = figure.get_size_inches()
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set_axis_off()
    ax.set(xlim=(0, width), ylim=(0, height), autoscale_on=False)
    return ax


def panels(
    n: int,
    *,
    height: float,
    left: float,
    right: float,
    top: float,
    between: float,
    bottom: float,
    wide: float,
) -> tuple[Figure, list[Axes]]:
    """Return a figure of n panels, at most COLUMNS in a line, each height inches high.

    left and right are the outer edges of the panels, as shares of the figure's width. wide is the space
    between two panels of a line, as a share of a panel's width. top, between and bottom are the spaces above,
    between and below the lines, in inches.
    """
    n_columns = min(n, COLUMNS)
    n_lines = -(-n // n_columns)
    whole = n_lines * height + (n_lines - 1) * between + top + bottom
    figure = canvas(WIDTH, whole)
    figure.subplots_adjust(left, bottom / whole, right, 1 - top / whole, wide, between / height)
    return figure, [figure.add_subplot(n_lines, n_columns, number + 1) for number in range(n)]


def head(ax: Axes, label: str) -> None:
    """Write the label of a forget set above its panel."""
    ax.set_title(shorten(label, 36), fontsize=10.5, fontweight="bold")


def key(label: str, colour: str, **look: Any) -> Line2D:
    """Return an entry of a legend; without a linestyle it is a mark alone."""
    return Line2D([], [], label=label, color=COLOURS[colour], **({"linestyle": ""} | look))


def legend(on: Figure | Axes, handles: Sequence[Artist] | None = None, **place: Any) -> None:
    """Draw a legend in muted letters; without handles it lists what was drawn with a label."""
    place |= {} if handles is None else {"handles": handles}
    on.legend(labelcolor=COLOURS["muted"], **place)


def write(on: Figure | Axes, x: float, y: float, text: str, **look: Any) -> None:
    """Write small muted text below the place (x, y), in shares of the size of on.

    look holds settings of Matplotlib's text, which replace these.
    """
    muted: dict[str, Any] = {"va": "top", "fontsize": 8.5, "color": COLOURS["muted"]}
    muted |= {"transform": on.transAxes} if isinstance(on, Axes) else {}
    on.text(x, y, text, **(muted | look))


def grey_range(points: Iterable[PointContent]) -> tuple[float, float]:
    """Return the lowest and the highest value of the images of points, (0, 1) if there are none."""
    known = [point.image for point in points if point.image is not None]
    return (float(min(map(np.nanmin, known))), float(max(map(np.nanmax, known)))) if known else (0.0, 1.0)


def show(ax: Axes, point: PointContent, grey: tuple[float, float]) -> None:
    """Draw the image of a point, if it has one, into axes that show nothing else."""
    ax.set_axis_off()
    if point.image is not None:
        ax.imshow(shades(point.image, *grey), cmap="gray", vmin=0, vmax=1, interpolation="bicubic")


def show_on_sheet(
    page: Axes, point: PointContent, grey: tuple[float, float], *, left: float, top: float, size: float
) -> None:
    """Draw the image of a point, if it has one, into a square of a sheet, centred and undistorted.

    left and top are the edges of the square and size is its side, in inches.
    """
    if point.image is None:
        return
    height, width = np.array(point.image.shape[:2]) * size / max(point.image.shape[:2])
    x, y = left + (size - width) / 2, top - (size - height) / 2
    page.imshow(
        shades(point.image, *grey),
        cmap="gray",
        vmin=0,
        vmax=1,
        interpolation="bicubic",
        aspect="auto",
        extent=(x, x + width, y - height, y),
    )


def png(figure: Figure) -> bytes:
    """Return a drawn figure as PNG on white."""
    content = io.BytesIO()
    with themed():
        figure.savefig(
            content,
            format="png",
            dpi=PNG_DPI,
            metadata={"Software": None},
            # The default level is 6: it takes twice as long and saves a sixth of the bytes.
            pil_kwargs={"compress_level": 2},
        )
    return content.getvalue()


def svg(figure: Figure, description: str) -> str:
    """Return a drawn figure as an <svg> element for the page; screen readers read description.

    Text stays text, in the font of the page.
    """
    content = io.StringIO()
    with themed(), style.context({"svg.hashsalt": description}):
        figure.savefig(
            content,
            format="svg",
            transparent=True,
            metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")),
        )
    drawn = content.getvalue()
    body = drawn[drawn.index("</defs>") + len("</defs>") : drawn.rindex("</svg>")]
    body = re.sub(r' id="[\w.]+_\d+"', "", body)
    body = re.sub(r'style="[^"]*"', lambda found: _with_variables(found[0]), body)
    box = re.search(r'viewBox="[^"]*"', drawn)
    return f'<svg {box[0] if box else ""} role="img" aria-label="{html.escape(description)}">{body}</svg>'


def image_png(image: Shaped[np.ndarray, "height width *channels"], low: float, high: float) -> bytes:
    """Return one image as PNG in its own size, grey or colour; low is black and high is white."""
    content = io.BytesIO()
    imsave(
        content,
        shades(image, low, high),
        cmap="gray",
        vmin=0,
        vmax=1,
        format="png",
        pil_kwargs={"pnginfo": None, "optimize": True},
    )
    return content.getvalue()


def shades(image: Shaped[np.ndarray, "..."], low: float, high: float) -> Shaped[np.ndarray, "..."]:
    """Return image scaled from low…high to 0…1; all mid-grey if the two are equal."""
    scaled = (np.asarray(image, np.float64) - low) / (high - low) if high > low else np.full(image.shape, 0.5)
    return np.clip(np.nan_to_num(scaled), 0, 1)


def shorten(label: str, n_letters: int) -> str:
    """Return label cut in its middle to n_letters; both ends, where labels differ, stay readable."""
    if len(label) <= n_letters:
        return label
    head = (n_letters - 1) * 2 // 3
    return f"{label[:head]}…{label[len(label) - (n_letters - 1 - head) :]}"


def _with_variables(css: str) -> str:
    css = re.sub(r"font-family: [^;\"]*;? ?", "", css)
    for name, value in COLOURS.items():
        css = css.replace(value, f"var(--{name})")
    return css
