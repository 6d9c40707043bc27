"""The micro world as plain values: its actions, its three worlds and their names for the actions.

==========  =============================================================  ====================================
group       actions                                                        what distinguishes the classes
==========  =============================================================  ====================================
reversal    open/close, approach/recede, pick-up/put-down                  the direction of time, nothing else
motion      shake (sideways), bounce (up and down), circle, spin           how the object moves
appearance  carry-1 ... carry-4                                            which object is carried about
==========  =============================================================  ====================================

The object of every other class is any of the four that the world's appearance classes carry, so that an object alone
does not reveal the class. Nor does left or right: every action is drawn on both sides and in both senses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

REVERSED = {"close": "open", "recede": "approach", "put-down": "pick-up"}
"""Action -> the action that it is played backwards."""
REVERSAL = ("open", "close", "approach", "recede", "pick-up", "put-down")
MOTION = ("shake", "bounce", "circle", "spin")
APPEARANCE = ("carry-1", "carry-2", "carry-3", "carry-4")
ACTIONS = REVERSAL + MOTION + APPEARANCE


@dataclass(frozen=True)
class World:
    """The look of one data set."""

    name: str
    scenery: str
    """Kind of background: 'park', 'hall' or 'film'."""
    body: str
    """Kind of actor: 'round', 'square' or 'coat'."""
    finish: str
    """Kind of texture on objects: 'stripes', 'checks' or 'rings'."""
    shapes: tuple[str, str, str, str]
    """Objects of carry-1 to carry-4, and of all other actions."""
    hues: tuple[int, int, int, int]
    """Typical hue of each object, in degrees."""
    classes: Mapping[str, str]
    """Action -> class name, in the style of the data set."""

    def groups(self) -> dict[str, tuple[str, ...]]:
        """Class names by group."""
        kinds = {"reversal": REVERSAL, "motion": MOTION, "appearance": APPEARANCE}
        return {kind: tuple(self.classes[action] for action in actions) for kind, actions in kinds.items()}


_CLASSES = {
    "open": ("opening gate", "OpenScreen", "open_book"),
    "close": ("closing gate", "CloseScreen", "close_book"),
    "approach": ("walking closer", "StepForward", "come"),
    "recede": ("walking away", "StepBack", "go"),
    "pick-up": ("picking up", "LiftWeight", "pick"),
    "put-down": ("putting down", "LowerWeight", "put_down"),
    "shake": ("shaking sideways", "ShakeSideways", "shake"),
    "bounce": ("bouncing", "BounceUpDown", "bounce"),
    # 'turn' begins 'turn_around', as 'climb' does 'climb_stairs' in HMDB-51: a reader that matches prefixes fails.
    "circle": ("stirring", "SwingInCircles", "turn_around"),
    "spin": ("spinning", "SpinInHand", "turn"),
    "carry-1": ("carrying ball", "HoldRing", "hold_heart"),
    "carry-2": ("carrying box", "HoldCross", "hold_drop"),
    "carry-3": ("carrying stick", "HoldCone", "hold_arrow"),
    "carry-4": ("carrying star", "HoldCrescent", "hold_bow"),
}
"""Action -> class names in the park, the hall and the film."""

PARK = World(
    name="park",
    scenery="park",
    body="round",
    finish="stripes",
    shapes=("ball", "box", "stick", "star"),
    hues=(15, 215, 275, 50),
    classes={action: names[0] for action, names in _CLASSES.items()},
)
HALL = World(
    name="hall",
    scenery="hall",
    body="square",
    finish="checks",
    shapes=("ring", "cross", "cone", "crescent"),
    hues=(335, 100, 185, 35),
    classes={action: names[1] for action, names in _CLASSES.items()},
)
FILM = World(
    name="film",
    scenery="film",
    body="coat",
    finish="rings",
    shapes=("heart", "drop", "arrow", "bow"),
    hues=(350, 205, 130, 55),
    classes={action: names[2] for action, names in _CLASSES.items()},
)

WORLDS = {world.name: world for world in (PARK, HALL, FILM)}


@dataclass(frozen=True)
class ClipSpec:
    """Names of a clip, which determine its frames. Clips of one group share actor, background and camera style."""

    world: str
    action: str
    group: str
    """Names the looks. The two directions of a reversal pair have the same groups, with the same looks."""
    clip: str
    """Names everything else: number of frames, object, place, speed, side, light."""


@dataclass(frozen=True)
class ImageSpec:
    """Names of an image, which determine its pixels."""

    subject: str
    """An object, a kind of actor or a kind of scenery, of any world."""
    number: int
