"""The micro world as arithmetic: names, paths and which file shows what. Pictures are looked at in tests/e2e."""

import numpy as np
import pytest

from harness.datasets.synthetic import motion, scene, sets
from harness.datasets.synthetic.catalogue import ACTIONS, APPEARANCE, MOTION, REVERSAL, REVERSED, WORLDS, ClipSpec
from harness.datasets.synthetic.chance import stream
from harness.datasets.synthetic.sprites import OUTLINES

FORWARD = [action for action in ACTIONS if action not in REVERSED]


def test_chance_depends_on_the_whole_name_and_on_nothing_else():
    assert np.array_equal(stream("a", 1).random(5), stream("a", 1).random(5))
    draws = {stream(*name).random() for name in [("a", 1), ("a", 2), ("b", 1), ("a",), ("a", 1, 0)]}
    assert len(draws) == 5


def test_a_third_of_the_classes_each_are_told_by_time_by_motion_and_by_looks():
    assert set(REVERSED) | set(REVERSED.values()) == set(REVERSAL)
    assert (len(REVERSAL), len(MOTION), len(APPEARANCE)) == (6, 4, 4)
    for world in WORLDS.values():
        assert set(world.classes) == set(ACTIONS)
        assert sum(map(len, world.groups().values())) == len(set(world.classes.values())) == 14


def test_worlds_share_actions_but_no_looks():
    assert len(WORLDS) == 3
    for trait in ("scenery", "body", "finish"):
        assert len({getattr(world, trait) for world in WORLDS.values()}) == 3
    shapes = [shape for world in WORLDS.values() for shape in world.shapes]
    assert len(set(shapes)) == len(shapes) == len(OUTLINES)
    assert set(shapes) == set(OUTLINES)


@pytest.mark.parametrize("seed", range(20))
def test_one_shot_actions_advance_all_the_time(seed):
    rng = np.random.default_rng(seed)
    frames = int(rng.integers(motion.SHORTEST, motion.LONGEST + 1))
    done = motion.progress(frames, rng)
    assert (np.diff(done) > 0).all()
    assert (done[15:] - done[:-15]).min() > 0.5  # whichever 16 frames are seen


@pytest.mark.parametrize("action", ["open", "approach", "pick-up"])
def test_reversal_pairs_move_one_way_through_the_same_range(action):
    part = {"open": "gap", "approach": "size", "pick-up": "hand_y"}[action]
    for seed in range(20):
        path = getattr(motion.pose(action, 22, np.random.default_rng(seed)), part)
        path = -path if action == "pick-up" else path
        smooth = np.convolve(path, np.ones(5) / 5, "valid")  # the hand sways a little while it lifts
        assert (np.diff(smooth) > 0).all()


def test_a_reversed_action_is_its_original_played_backwards():
    for action, original in REVERSED.items():
        spec = ClipSpec("park", action, "group", "clip")
        # The same names but for the action's own: what is drawn by chance is drawn from the same distribution.
        assert np.array_equal(scene.frames_of(spec), scene._forward(spec)[::-1])
        assert scene.family(action) == scene.family(original) == original


def test_a_pair_shares_the_looks_of_its_groups():
    looks = [scene._looks("film", action, "3") for action in ("pick-up", "put-down")]
    assert np.array_equal(looks[0].background, looks[1].background)
    assert np.array_equal(looks[0].body, looks[1].body)
    assert looks[0].style == looks[1].style
    assert not np.array_equal(looks[0].background, scene._looks("film", "pick-up", "4").background)


def test_mirroring_turns_no_class_into_another():
    """Circles and spins go round both ways, in about equal shares, so a mirrored one is one of its own class; shaking
    stays sideways, bouncing stays vertical, and everything else has no left or right."""
    senses = {"circle": [], "spin": []}
    for seed in range(60):
        spin = motion.pose("spin", 22, np.random.default_rng(seed))
        senses["spin"].append(np.sign(np.diff(spin.angle_rad).mean()))
        circle = motion.pose("circle", 22, np.random.default_rng(seed))
        x, y = circle.hand_x - circle.hand_x.mean(), circle.hand_y - circle.hand_y.mean()
        senses["circle"].append(np.sign((x[:-1] * np.diff(y) - y[:-1] * np.diff(x)).sum()))
        shake, bounce = (motion.pose(action, 22, np.random.default_rng(seed)) for action in ("shake", "bounce"))
        assert np.ptp(shake.body_x) > 10 > np.ptp(shake.body_y)
        assert np.ptp(bounce.body_y) > 10 > np.ptp(bounce.body_x)
    for sense in senses.values():
        assert set(sense) == {-1.0, 1.0}
        assert abs(np.mean(sense)) < 0.4


def test_camera_knows_no_direction_in_space_or_time():
    """Both directions of a pan and a zoom come up for one style, about equally often."""
    style = motion.CameraStyle((0.4, 0.2), 0.004, 0.0)
    ends = np.array([[c.x[-1] - c.x[0], c.y[-1] - c.y[0], c.zoom[-1] - c.zoom[0]] for c in _cameras(style)])
    assert (np.abs(np.sign(ends).mean(0)) < 0.4).all()
    assert all(abs(c.x.mean()) < 1e-9 for c in _cameras(style))


def _cameras(style):
    return [motion.camera(style, 22, np.random.default_rng(seed)) for seed in range(60)]


@pytest.mark.parametrize("name", ["micro-kinetics", "micro-ucf101", "micro-hmdb51", "micro-imagenet"])
def test_every_file_shows_something_else(name):
    contents = sets.contents(name)
    assert len(set(contents.files.values())) == len(contents.files)
    assert not set(contents.files) & set(contents.texts)


def test_hmdb_movies_are_on_one_side_of_a_split_and_all_are_tested_at_least_once():
    flags = {
        (split, movie): [sets._hmdb_flag(split, movie, clip) for clip in range(4)]
        for split in (1, 2, 3)
        for movie in range(9)
    }
    assert all(not (2 in those and 1 in those) for those in flags.values())
    for split in (1, 2, 3):
        those = [flag for (k, _), flags_ in flags.items() if k == split for flag in flags_]
        assert (those.count(1), those.count(2), those.count(0)) == (5, 20, 11)
    assert all(any(flags[split, movie] == [2, 2, 2, 2] for split in (1, 2, 3)) for movie in range(9))


def test_odd_names_are_in_the_data():
    names = "".join(path for path in sets.contents("micro-hmdb51").files)
    assert all(letter in names for letter in "[]()!;#&+@~")
    assert any(path.rsplit("/", 1)[1][0] in "-_" for path in sets.contents("micro-kinetics").files)
    assert any(" " in path for path in sets.contents("micro-kinetics").files)


def test_no_part_of_the_package_takes_the_name_of_its_function():
    """Importing `package.name` puts the module in the place of a function of that name, for whoever comes later."""
    import harness.datasets.synthetic.rendering  # noqa: F401
    from harness.datasets.synthetic import render

    assert callable(render)
