"""Figures are PNGs under safe names, equal for equal content; their labels never overlap."""

import io

import numpy as np
import pytest
from drawn import figures
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.show.figures.placement import Box, place
from pipeline.show.figures.theme import image_png, shorten

FRAME = Box(0, 0, 300, 300)


def test_every_set_has_its_figures_as_png(make_set, make_report):
    sets = [
        make_set({"dmm": (0.8, 0.6, 0.6)}, label=label, images=np.eye(4)[:, None] * np.ones((1, 4, 1)))
        for label in ("a", "b")
    ]
    drawn = figures(make_report(*sets))
    assert sorted(drawn) == ["forgotten_a", "forgotten_b", "klom_against_cost", "margins_a", "margins_b"]
    assert all(Image.open(io.BytesIO(png)).format == "PNG" for png in drawn.values())
    assert figures(make_report(*sets)) == drawn


def test_what_cannot_be_drawn_is_left_out(make_set, make_report):
    assert figures(make_report()) == {}
    assert sorted(figures(make_report(make_set({})))) == ["klom_against_cost"]


def test_names_are_fit_for_files_and_stay_apart(make_set, make_report):
    drawn = figures(
        make_report(
            make_set({"dmm": (0.8, 0.6, 0.6)}, label="../a b"),
            make_set({"dmm": (0.8, 0.6, 0.6)}, label="../a/b"),
        )
    )
    assert sorted(drawn) == ["klom_against_cost", "margins_.._a_b_0", "margins_.._a_b_1"]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.floats(20, 280), st.floats(10, 290)), min_size=1, max_size=13))
def test_labels_stay_inside_and_cover_neither_labels_nor_points(points):
    obstacles = [Box(x - 5, y - 5, x + 5, y + 5) for x, y in points]
    boxes = place(points, [(90.0, 13.0)] * len(points), obstacles, FRAME)
    for index, box in enumerate(boxes):
        assert box.is_within(FRAME)
        assert not any(box.overlaps(other) for other in [*boxes[:index], *obstacles])


def test_a_label_without_room_stays_beside_its_point():
    assert place([(50.0, 50.0)], [(400.0, 13.0)], [], FRAME) == [Box(58.0, 43.5, 458.0, 56.5)]


def test_a_label_moves_off_a_line_but_not_far():
    line = [Box(left, 98, left + 5, 103) for left in range(0, 300, 8)]
    (moved,) = place([(50.0, 100.0)], [(90.0, 13.0)], [], FRAME, lines=line)
    assert not any(moved.overlaps(box) for box in line)
    assert abs(moved.bottom + 6.5 - 100) < 20
    everywhere = [Box(0, bottom, 300, bottom + 5) for bottom in range(0, 300, 5)]
    (kept,) = place([(50.0, 100.0)], [(90.0, 13.0)], [], FRAME, lines=everywhere)
    assert abs(kept.bottom + 6.5 - 100) < 20


def test_images_keep_their_pixels():
    png = image_png(np.array([[0.0, 1.0], [2.0, 4.0]]), 0.0, 4.0)
    assert np.asarray(Image.open(io.BytesIO(png)).convert("L")).tolist() == [
        [
            0,
            64,
        ],
        [128, 255],
    ]


@pytest.mark.parametrize(("label", "short"), [("dmm", "dmm"), ("gradient_ascent", "gradi…ent")])
def test_long_labels_lose_their_middle(label, short):
    assert shorten(label, 9) == short
