"""Sequences that are hard for what moves, and for what is worn over what."""

from __future__ import annotations

from ani3d_formats.shot import Shot
from ani3d_formats.skinning import skin
from cloth_truth.bodies import sparse_weights
from cloth_truth.garments import joined

from . import wardrobe
from .acting import HANGING, Key, act
from .registry import dress, person, sequence, strips, walk
from .shots import Worn, box, make_shot, still

UP = {"upperarm": (0.45, 0, 1), "lowerarm": (0.25, -0.1, 1)}
ASIDE = {"upperarm": (1.0, 0.0, -0.15), "lowerarm": (1.0, -0.25, -0.1)}
AKIMBO = {"upperarm": (0.8, 0.25, -0.75), "lowerarm": (0.25, -0.75, -0.7)}


@sequence("spin_720", "a circle skirt; she spins up to 720 degrees a second and stops dead")
def _spin(name: str) -> Shot:
    step = {"upperleg.L": (0.12, -0.1, -1.0), "upperleg.R": (-0.02, 0.12, -1.0)}
    keys = [
        Key(0.0, AKIMBO | step, turn=(0, 0, 0)),
        Key(0.25, ASIDE, turn=(0, 0, 20)),
        Key(0.5, turn=(0, 0, 160)),
        Key(1.25, turn=(0, 0, 700)),
        Key(1.33, turn=(0, 0, 730)),
        Key(1.8, HANGING, turn=(0, 0, 730)),
    ]
    return make_shot(name, person(), act(person(), keys, 24, 44), [Worn(p) for p in dress("mini_circle", "skirt")])


@sequence("cartwheel", "a knee-long dress with hair; a cartwheel to her left")
def _cartwheel(name: str) -> Shot:
    keys = [
        Key(0.0, UP, turn=(0, 0, 0), at=(0, 0)),
        Key(0.35, {"upperleg.L": (0.5, 0, -1)}, turn=(0, 20, 0), at=(0.2, 0)),
        Key(0.7, {"upperleg": (0.9, 0, -0.75), "upperleg.L": (0.9, 0, -0.75)}, turn=(0, 120, 0), at=(0.9, 0)),
        Key(0.9, turn=(0, 180, 0), at=(1.2, 0)),
        Key(1.1, turn=(0, 240, 0), at=(1.5, 0)),
        Key(1.45, {"upperleg": (0.3, 0, -1), "upperleg.L": (0.3, 0, -1)}, turn=(0, 345, 0), at=(2.2, 0)),
        Key(1.7, ASIDE | {"upperleg": (0.1, 0, -1), "upperleg.L": (0.1, 0, -1)}, turn=(0, 360, 0), at=(2.3, 0)),
    ]
    worn = [*(Worn(p) for p in dress("knee_aline", seed=2)), Worn(strips(2, "bob"))]
    return make_shot(name, person(), act(person(), keys, 24, 46), worn)


@sequence("jump_half_turn", "a pleated mini; half a metre up with half a turn, and down again")
def _jump(name: str) -> Shot:
    low = {"upperleg": (0.15, -0.75, -0.7), "lowerleg": (0.1, 0.6, -0.8)}
    high = {"upperleg": (0.05, 0, -1), "lowerleg": (0.05, 0.1, -1)}
    swing = {"upperarm": (0.3, 0.6, -0.8), "lowerarm": (0.2, 0.3, -1)}
    keys = [
        Key(0.0, turn=(0, 0, 0), air=0),
        Key(0.3, low | swing, trunk=(30, 0, 0), turn=(0, 0, -5), air=0),
        Key(0.5, high | UP, trunk=(0, 0, 0), turn=(0, 0, 20), air=0.02),
        Key(0.78, turn=(0, 0, 100), air=0.5),
        Key(1.06, ASIDE, turn=(0, 0, 172), air=0.02),
        Key(1.2, low, trunk=(28, 0, 0), turn=(0, 0, 180), air=0),
        Key(1.6, high | HANGING, trunk=(0, 0, 0), air=0),
    ]
    return make_shot(name, person(), act(person(), keys, 24, 42), [Worn(p) for p in dress("mini_pleated", seed=3)])


@sequence("splits", "a straight knee-long dress; down into the splits, one leg in front")
def _splits(name: str) -> Shot:
    far = {"upperleg.L": (0.12, -1, -0.1), "upperleg.R": (-0.12, 0.97, -0.25), "lowerleg.L": (0.05, -1, -0.1)}
    keys = [
        Key(0.0, HANGING),
        Key(1.1, far | {"lowerleg.R": (-0.05, 1.0, -0.12)} | ASIDE),
        Key(1.6),
    ]
    return make_shot(name, person(), act(person(), keys, 24, 42), [Worn(p) for p in dress("knee_aline", seed=4)])


@sequence("kick", "a knee-long dress; the right leg to the height of the head in a quarter of a second")
def _kick(name: str) -> Shot:
    keys = [
        Key(0.0, AKIMBO),
        Key(0.35, {"upperleg.R": (-0.05, 0.35, -1), "lowerleg.R": (-0.05, 0.8, -0.7)}),
        Key(0.6, {"upperleg.R": (-0.05, -1, 0.25), "lowerleg.R": (-0.02, -0.9, 0.5)}, trunk=(-14, 0, 0)),
        Key(0.72),
        Key(1.05, {"upperleg.R": (-0.05, 0.05, -1), "lowerleg.R": (-0.05, 0.1, -1)}, trunk=(0, 0, 0)),
        Key(1.5),
    ]
    return make_shot(name, person(), act(person(), keys, 24, 40), [Worn(p) for p in dress("knee_aline", seed=5)])


@sequence("chair", "an ankle-long skirt; she sits down on a chair, which cloth must not enter")
def _chair(name: str) -> Shot:
    sitting = {"upperleg": (0.16, -1, -0.04), "lowerleg": (0.08, 0.02, -1)}
    hands = {"upperarm": (0.25, -0.35, -1), "lowerarm": (0.05, -1, -0.5)}
    keys = [
        Key(0.0, HANGING, at=(0, 0)),
        Key(0.4, {"upperleg": (0.12, -0.5, -0.85), "lowerleg": (0.08, 0.45, -0.9)}, trunk=(34, 0, 0), at=(0, 0.12)),
        Key(0.9, sitting | hands, trunk=(10, 0, 0), at=(0, 0.38)),
        Key(1.6, trunk=(2, 0, 0)),
    ]
    body, frames = person(), 44
    transforms = act(body, keys, 24, frames)
    posed = skin(body.vertices, *sparse_weights(body.weights), transforms[-1:])[0]
    seat = posed[(body.weights[:, 0] > 0.3) & body.trunk]
    top, back = float(seat[:, 2].min()) - 0.014, float(seat[:, 1].max())
    low, high, x = back - 0.40, back + 0.09, 0.23
    legs = [box((a, b, 0), (a + 0.04, b + 0.04, top - 0.03)) for a in (-x, x - 0.04) for b in (low, high - 0.04)]
    rest = box((-x, high - 0.03, top + 0.06), (x, high, top + 0.55))
    chair = still("Chair", [box((-x, low, top - 0.04), (x, high, top)), rest, *legs], frames)
    return make_shot(name, body, transforms, [Worn(p) for p in dress("ankle_aline", "skirt", 6)], props=[chair])


@sequence("crouch_arms", "a tiered skirt; she crouches and presses her arms on it")
def _crouch(name: str) -> Shot:
    low = {"upperleg": (0.28, -1, -0.25), "lowerleg": (0.05, 0.5, -0.85)}
    press = {"upperarm": (0.3, -0.75, -0.85), "lowerarm": (-0.05, -0.75, -0.75)}
    keys = [Key(0.0, HANGING), Key(0.9, low | press, trunk=(42, 0, 0)), Key(1.4), Key(1.75, trunk=(34, 0, 14))]
    return make_shot(name, person(), act(person(), keys, 24, 46), [Worn(p) for p in dress("knee_tiered", seed=7)])


@sequence("crossed_arms", "a loose dress with bell sleeves; arms are crossed before the chest")
def _crossed(name: str) -> Shot:
    folded = {
        "upperarm.L": (0.34, -0.62, -0.9), "lowerarm.L": (-1, -0.55, 0.1),
        "upperarm.R": (-0.34, -0.5, -0.9), "lowerarm.R": (1, -0.35, 0.22),
    }  # fmt: skip
    keys = [Key(0.0, HANGING), Key(0.7, folded), Key(1.2, trunk=(4, 0, 16)), Key(1.7, trunk=(4, 0, -12))]
    sleeves = joined("sleeves", [wardrobe.sleeve(person(), side, 0.012, 0.05) for side in "LR"])
    worn = [*(Worn(p) for p in dress("knee_aline", "loose", 8)), Worn(sleeves)]
    return make_shot(name, person(), act(person(), keys, 24, 44), worn)


@sequence("arm_through_thigh", "a skirt; a thigh is raised into the arm that hangs before it")
def _through(name: str) -> Shot:
    keys = [
        Key(0.0, {"upperarm.L": (0.1, -0.35, -1), "lowerarm.L": (0.02, -0.3, -1)}),
        Key(0.6, {"upperleg.L": (0.1, -1, -0.1), "lowerleg.L": (0.05, 0.15, -1)}, trunk=(10, 0, 0)),
        Key(1.0),
        Key(1.5, {"upperleg.L": (0.05, 0, -1), "lowerleg.L": (0.05, 0.06, -1)}, trunk=(0, 0, 0)),
    ]
    return make_shot(name, person(), act(person(), keys, 24, 42), [Worn(p) for p in dress("knee_aline", "skirt", 9)])


@sequence("cape_run", "a long cape over a dress; she runs")
def _cape(name: str) -> Shot:
    worn = [Worn(p) for p in dress("ankle_long_cape", seed=10)]
    return make_shot(name, person(), walk(48, family="jog", seed=4), worn)


@sequence("coat", "a coat with sleeves, open in front, over a dress over the body; a walk with a turn")
def _coat(name: str) -> Shot:
    body = person()
    sleeves = [wardrobe.sleeve(body, side, 0.016, 0.02) for side in "LR"]
    coat = joined("coat", [wardrobe.around(body, "coat", (0.77, 0.6, 0.27), 0.036, 0.17, opening=24), *sleeves])
    under = wardrobe.around(body, "dress", (0.75, 0.6, 0.3), 0.011, 0.12)
    return make_shot(name, body, walk(48, family="walk_turn", seed=5), [Worn(under), Worn(coat, "wool")])


@sequence("apron", "an apron over a skirt; a dance")
def _apron(name: str) -> Shot:
    body = person()
    skirt = wardrobe.around(body, "skirt", (0.625, 0.6, 0.3), 0.01, 0.13)
    apron = wardrobe.around(body, "apron", (0.63, 0.6, 0.34), 0.028, 0.13, opening=-105, held=0.035)
    return make_shot(name, body, walk(48, family="dance", seed=6), [Worn(skirt), Worn(apron, "denim")])


@sequence("sleeves", "wide sleeves to the wrist; arms swing and clap overhead")
def _sleeves(name: str) -> Shot:
    clap = {"upperarm": (0.25, -0.3, 1), "lowerarm": (-0.35, -0.2, 1)}
    keys = [Key(0.0, HANGING), Key(0.5, UP), Key(0.8, clap), Key(1.1, ASIDE), Key(1.4, clap), Key(1.9, HANGING)]
    sleeves = joined("sleeves", [wardrobe.sleeve(person(), side, 0.012, 0.09) for side in "LR"])
    return make_shot(name, person(), act(person(), keys, 24, 46), [Worn(sleeves, "silk")])


@sequence("trousers", "wide trousers; a jog")
def _trousers(name: str) -> Shot:
    return make_shot(name, person(), walk(48, family="jog", seed=7), [Worn(wardrobe.trousers(person(), 0.02, 0.07))])


@sequence("scarf", "a scarf one and a half times around the neck, its ends in front; a walk that looks about")
def _scarf(name: str) -> Shot:
    return make_shot(name, person(), walk(48, family="arm_swing", seed=8), [Worn(wardrobe.scarf(person()), "wool")])


@sequence("poncho", "a poncho; arms are raised under it")
def _poncho(name: str) -> Shot:
    keys = [
        Key(0.0, HANGING),
        Key(0.7, ASIDE),
        Key(1.1, trunk=(0, 0, 30)),
        Key(1.6, HANGING, trunk=(0, 0, -20)),
        Key(1.9),
    ]
    return make_shot(name, person(), act(person(), keys, 24, 46), [Worn(wardrobe.poncho(person()), "wool")])


@sequence("pleats", "an ankle-long skirt in pleats; kicks")
def _pleats(name: str) -> Shot:
    return make_shot(
        name, person(), walk(48, family="kicks", seed=9), [Worn(p) for p in dress("ankle_pleated", "skirt", 12)]
    )


@sequence("long_hair", "long hair in strips down the back over a dress; she turns her head and bends")
def _long_hair(name: str) -> Shot:
    keys = [
        Key(0.0, HANGING), Key(0.35, head=(0, 0, 45)), Key(0.7, head=(0, 0, -45)),
        Key(1.15, head=(20, 0, 0), trunk=(55, 0, 0)), Key(1.6, head=(-10, 0, 0), trunk=(-5, 0, 0)), Key(1.9),
    ]  # fmt: skip
    worn = [*(Worn(p) for p in dress("knee_straight", seed=13)), Worn(strips(13))]
    return make_shot(name, person(), act(person(), keys, 24, 46), worn)


@sequence("ponytail", "a ponytail as a closed tube; hops")
def _ponytail(name: str) -> Shot:
    return make_shot(name, person(), walk(48, family="hop", seed=10), [Worn(wardrobe.ponytail(person()))])


@sequence("braid", "a braid of three strands; she shakes her head and spins")
def _braid(name: str) -> Shot:
    keys = [
        Key(0.0, HANGING, turn=(0, 0, 0)), Key(0.25, head=(0, 0, 40)), Key(0.5, head=(0, 0, -40)),
        Key(0.75, head=(0, 0, 30), turn=(0, 0, 10)), Key(1.4, ASIDE, head=(0, 0, 0), turn=(0, 0, 280)), Key(1.8),
    ]  # fmt: skip
    return make_shot(name, person(), act(person(), keys, 24, 46), [Worn(wardrobe.braid(person()))])
