"""Flow colours and contact sheets."""

from __future__ import annotations

import numpy as np
import pytest

from harness.core.contract import FlowMethod
from harness.data import preview
from harness.video.flow import codec

METHOD = FlowMethod("dis", 6.0, 48)


def colour(x: float, y: float) -> list[int]:
    return preview.flow_colours(np.array([[[x, y]]], np.float32))[0, 0].tolist()


def test_directions_have_their_colours_and_no_motion_is_white():
    assert colour(0, 0) == [255, 255, 255]
    assert colour(1, 0) == colour(3, 0) == [255, 0, 0]
    assert colour(0, 1) == [128, 255, 0]
    assert colour(-1, 0) == [0, 255, 255]
    assert colour(0, -1) == [128, 0, 255]
    assert colour(0.5, 0) == [255, 128, 128]
    wheel = preview.colour_wheel(65)
    assert wheel[32, 32].tolist() == wheel[0, 0].tolist() == [255, 255, 255]
    assert wheel[32, 64].tolist() == [255, 0, 0]


def test_a_clip_becomes_one_row_per_stream():
    codes = codec.encode(np.tile(np.array([3.0, 0.0], np.float32), (16, 8, 10, 1)), METHOD)
    rgb = np.arange(16, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 10, 3), np.uint8)
    frames, flows = preview.clip_rows({"rgb": rgb, "flow": codes}, METHOD, columns=4)
    assert [int(frame[0, 0, 0]) for frame in frames] == [0, 5, 10, 15]
    assert all(abs(flow[0, 0].astype(int) - [255, 0, 0]).max() < 3 for flow in flows)


def test_a_sheet_holds_every_picture_at_its_place():
    rows = [[np.full((8, 10, 3), 10 * column, np.uint8) for column in range(3)], [np.full((6, 12, 3), 77, np.uint8)]]
    sheet = preview.contact_sheet(rows)
    gap = preview.GAP_PX
    assert sheet.shape == (8 + gap + 6, 30 + 2 * gap, 3)
    assert [int(sheet[4, column * (10 + gap) + 5, 0]) for column in range(3)] == [0, 10, 20]
    assert (sheet[8 + gap :, :12] == 77).all() and (sheet[8 + gap :, 12:] == 255).all()
    captioned = preview.contact_sheet(rows, captions=["first", "second, with a long caption"], short_side_px=4)
    assert captioned.shape[0] == 2 * (preview.CAPTION_PX + gap) + 4 + gap + 4
    with pytest.raises(ValueError, match="at least one row"):
        preview.contact_sheet([])
