"""The colours of figures and pages."""

# Each colour is a CSS variable of the page, and dark mode has other values for these variables. PNG figures
# always have the values here.
COLOURS = {
    "ink": "#1b2230",
    "muted": "#5d6675",
    "line": "#d5dae2",
    "quiet": "#8b93a1",
    "paper": "#ffffff",
    "accent": "#1f5fd0",
    "rival": "#b3530b",
    "oracle": "#0b8468",
    "flipped": "#a3361f",
}
