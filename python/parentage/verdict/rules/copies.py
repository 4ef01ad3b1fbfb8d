"""Children that are copies: of one checkpoint, whole or in part, or slice by slice of several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.checkpoint import is_of_the_body, place_of
from parentage.support import are, listed, number_ranges, percent
from parentage.verdict.naming import named
from parentage.verdict.rules.wording import UNLIKE, map_text, reading_clause
from parentage.verdict.verdict import Verdict

if TYPE_CHECKING:
    from parentage.verdict.facts import Facts
    from parentage.verdict.wholes import Whole


def identical(facts: Facts) -> Verdict | None:
    """All of the child and all of one checkpoint, bit for bit, in place, nothing added."""
    found = _copied(facts)
    if found is None or not found.is_whole or found.cast or found.tied or found.own_elements:
        return None
    if facts.wholes.unread_child:
        # What loaders take for the child was not looked at.
        return _verdict(facts, found, "undetermined", "identical", _all_of(facts, found))
    text = f"{_all_of(facts, found)} Equal bits do not say which of the two came first."
    return _verdict(facts, found, "identical", "identical", text)


def re_encoded(facts: Facts) -> Verdict | None:
    """All of one checkpoint and nothing else, cast to the child's dtypes, or its head tied."""
    found = _copied(facts)
    if found is None or not found.is_whole or not (found.cast or found.tied):
        return None
    return _verdict(facts, found, "re-encoded", "re_encoded", _all_of(facts, found))


def part_of(facts: Facts) -> Verdict | None:
    """All that was compared is one checkpoint's, and something is missing, added or moved."""
    found = _copied(facts)
    if found is None or found.is_whole:
        return None
    limit = facts.thresholds.coverage
    enough = found.share >= limit and found.own_elements <= limit * facts.wholes.child_elements
    kind = "assembled" if enough else "undetermined"
    return _verdict(facts, found, kind, "part_of", _part_text(facts, found))


def assembled(facts: Facts) -> Verdict | None:
    """Every slice is bit for bit that of some checkpoint, and they are not all of one."""
    wholes = facts.wholes
    sources = wholes.sources
    if wholes.unsourced or len(sources) < 2 or not wholes.compared:
        return None
    total = sum(map(len, sources.values()))
    most = max(sources, key=lambda name: len(sources[name]))
    parts = [
        f"{len(names):,} from {name}" + ("" if name == most else f" ({named(names)})")
        for name, names in sources.items()
    ]
    cast = f", {wholes.cast_pieces:,} after a cast" if wholes.cast_pieces else ""
    return Verdict(
        "assembled",
        "exact",
        "assembled",
        f"all {total:,} slices are copies{reading_clause(facts)}{cast}: {listed(parts)}."
        f"{_maps_text(facts)} Equal bits do not say who had them first: that the child was put "
        "together from these, and none of them from it, is not decided.",
        {**{f"slices_{name}": len(names) for name, names in sources.items()}, "slices": total},
    )


def _copied(facts: Facts) -> Whole | None:
    """Return the checkpoint that all that was compared with anything is equal to, if there is one.

    Of several, that which is missing least.
    """
    wholes = facts.wholes
    found = [
        each
        for each in wholes.by_name.values()
        if each.is_equal and each.compared == wholes.compared
    ]

    def rank(each: Whole) -> tuple[bool, bool, float, int]:
        return each.is_whole, not each.cast, each.share, each.same

    return max(found, key=rank, default=None)


def _all_of(facts: Facts, found: Whole) -> str:
    """Return the sentence on a child that is all of one checkpoint."""
    tied = f" Of tied embeddings, {found.tied}." if found.tied else ""
    count, computed = facts.wholes.child_elements, facts.wholes.computed
    said = f"{count:,} of {count + computed:,}" if computed else f"all {count:,}"
    others = (
        f"; the other {computed:,} are computed from its, and agree to within rounding"
        if computed
        else ""
    )
    return (
        f"{said} elements of {facts.child}{reading_clause(facts)} "
        f"{_are(found)}{found.name}, and all of {found.name} is there{others}.{tied}"
    )


def _are(found: Whole) -> str:
    if found.requantised:
        rest = "after a cast" if found.cast > found.requantised else "bit for bit"
        return (
            f"are ({found.requantised:,} as the codes that quantising with the scales stored "
            f"beside them gives, the others {rest}) those of "
        )
    return (
        "are, cast to the child's dtype, those of " if found.cast else "are bit for bit those of "
    )


def _part_text(facts: Facts, found: Whole) -> str:
    """Return what there is of a checkpoint in the child, and what is missing, added and moved."""
    equal = "cast to the child's dtype" if found.cast else "bit for bit"
    if found.requantised:
        equal = (
            f"{found.requantised:,} elements of them as the codes that quantising with the scales "
            "stored beside them gives, the rest "
            + ("after a cast" if found.cast > found.requantised else "bit for bit")
        )
    read = reading_clause(facts)
    missing = len(found.missing)
    if not missing and found.own and not (found.coded or found.unlike):
        share = found.own_elements / max(facts.wholes.child_elements, 1)
        text = (
            f"{facts.child} contains {found.name} whole, {equal}{read}; {share:.1%} of "
            f"{facts.child} has no partner there: {named(found.own)}."
        )
    else:
        partly = "" if facts.coverage == 1.0 else " that could be compared"
        compared = (
            f"all {found.shared_tensors:,} tensors of {facts.child}{partly} are"
            if found.shared_tensors != 1
            else f"the one tensor of {facts.child}{partly} is"
        )
        text = f"{compared} {found.name}'s, {equal}{read}"
        if missing:
            gone = "empty" if len(found.empty) == missing else "missing"
            if found.empty and gone == "missing":
                gone = f"missing or empty ({len(found.empty):,} empty)"
            lost = percent(found.missing_elements / max(found.elements, 1))
            # Rows of tensors that are there are no tensors.
            if found.cut == missing:
                text += (
                    f"; {lost} of the elements of {found.name} are missing there: "
                    f"{named(found.missing)}"
                )
            else:
                text += (
                    f"; {missing:,} of the {found.tensors:,} tensors of {found.name}, {lost} of "
                    f"its elements, {are(missing)} {gone} there: {named(found.missing)}"
                )
        if found.unlike:
            text += f"; {named(found.unlike)} {are(len(found.unlike))} there {UNLIKE}"
        if found.coded:
            text += (
                f"; {named(found.coded)} {are(len(found.coded))} stored as codes there, and not "
                "compared"
            )
        text += "."
        if found.own:
            share = found.own_elements / max(facts.wholes.child_elements, 1)
            alone = "was compared with nothing" if found.coded or found.unlike else "has no partner"
            text += f" {percent(share)} of {facts.child} {alone} there: {named(found.own)}."
    if found.moves:
        text += f" Of the layers of {facts.child}, {map_text(facts, found.name)}, in this order."
    elif not found.is_in_place:
        text += " Not all of it has the name that it has there."
    if found.is_reordered:
        text += " Not all of it stands in the order that it has there."
    if found.tied:
        text += f" Of tied embeddings, {found.tied}."
    if found.share < facts.thresholds.coverage:
        text += (
            f" That is {found.share:.1%} of {found.name}, too little to say what {facts.child} is "
            "made of. The whole of it would decide."
        )
    return text


def _maps_text(facts: Facts) -> str:
    """Return which layers of the child are which of those that its slices are copies of."""
    if not any(facts.wholes.by_name[name].moves for name in facts.wholes.sources):
        return ""
    said = []
    for name, slices in facts.wholes.sources.items():
        places = (place_of(slice_) for slice_ in slices)
        found = {each.layer for each in places if is_of_the_body(each.component)}
        layers = sorted(layer for layer in found if layer is not None)
        if layers and facts.wholes.by_name[name].moves:
            said.append(map_text(facts, name, layers))
        elif layers:
            said.append(f"{number_ranges(layers)} {are(len(layers))} {name}'s of the same number")
    return f" Of the layers of {facts.child}, {'; '.join(said)}."


def _verdict(facts: Facts, found: Whole, kind: str, rule: str, text: str) -> Verdict:
    return Verdict(
        kind,
        "exact",
        rule,
        text,
        {
            "parent": found.name,
            "equal": found.same + found.cast,
            "elements": facts.wholes.compared,
            "coverage": facts.coverage,
            "share_of_parent": found.share,
            "missing": len(found.missing),
            "own": len(found.own),
        },
    )
