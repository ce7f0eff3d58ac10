"""A shopping cart on two devices: siblings are merged, and what was removed does not come back.

A union of the things in two siblings brings back what one device has removed: the other sibling
still has it. So each thing has a line of its own, and a line that is removed stays, empty (null). A
line that is empty in one sibling is empty in the merge; so siblings can be merged in any order.
"""

import sys

from examples.stage.command import tell
from examples.stage.play import Play

Cart = dict[str, str | None]  # the thing on each line; None: it was removed


def story(play: Play) -> None:
    alice, bob, carol = play.alice, play.bob, play.carol
    phone, pc = play.person("phone"), play.person("PC")
    key = play.key("cart")

    play.step("Ann puts jam and ham into her cart, on her phone.")
    phone.put(key, {"p1": "jam", "p2": "ham"}, at=alice, w="all")

    play.step("Both devices read the cart.")
    on_phone, on_pc = phone.get(key, at=alice), pc.get(key, at=bob)

    play.step(
        "On the phone she removes the jam. On the PC, which does not know that, she adds "
        "tea. Both send the context of the cart that they have read."
    )
    phone.put(key, {**on_phone.value, "p1": None}, at=alice, context=on_phone.context)
    pc.put(key, {**on_pc.value, "c1": "tea"}, at=bob, context=on_pc.context, w="all")

    play.step("A read shows two carts. A plain union of the things would bring the jam back.")
    both = pc.siblings(key, at=carol)
    union = {thing for cart in both.values for thing in things(cart)}
    play.remark(f"The union: {', '.join(sorted(union))}.")

    play.step("The PC merges the carts line by line, and writes that with the context of both.")
    pc.put(key, merged(both.values), at=carol, context=both.context, w="all")

    play.step("On the phone the cart has ham and tea; the jam is still gone.")
    final = things(phone.get(key, at=alice).value)
    play.remark(f"The cart: {', '.join(final)}.")
    play.check(final == ["ham", "tea"], "the cart has ham and tea")


def things(cart: Cart) -> list[str]:
    """Return what a person sees of a cart."""
    return sorted(thing for thing in cart.values() if thing is not None)


def merged(carts: list[Cart]) -> Cart:
    """Return the cart that has the lines of all; a line that is empty in one of them is empty."""
    lines: Cart = {line: thing for cart in carts for line, thing in cart.items()}
    removed = {line for cart in carts for line, thing in cart.items() if thing is None}
    return {line: None if line in removed else lines[line] for line in sorted(lines)}


if __name__ == "__main__":
    sys.exit(tell(str(__doc__), story))
