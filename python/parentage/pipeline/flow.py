"""The flow: checkpoint, align, sample, hypothesise, stream, statistics, verdict, report."""

from __future__ import annotations

import pathlib
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from parentage import _core
from parentage.align import UNPAIRED, pair
from parentage.bundle import digest_folder, files_beside
from parentage.checkpoint import open_all
from parentage.descent import with_blends
from parentage.evidence import Journal, conclude, identity
from parentage.hypothesise import (
    SampleEstimates,
    decoy_share,
    hypothesise,
    select_for_full_pass,
    spectra_of,
)
from parentage.library import first_sketch
from parentage.pipeline.quantised import quantised_blends
from parentage.pipeline.rest import compare_rest, undecoded
from parentage.pipeline.roles import settle_roles
from parentage.pipeline.sequential import SampleRequest, Seed, trace_sample, with_preview
from parentage.pipeline.viewing import view_inputs
from parentage.relatives import propose
from parentage.replay import compile_recipe
from parentage.statistics import full_pass
from parentage.stream import (
    SILENT,
    Options,
    Progress,
    backend_of,
    choose_io,
    spread_over,
)
from parentage.support import give_back, printable
from parentage.verdict import Thresholds, TraceInputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from concurrent.futures import Executor
    from os import PathLike
    from typing import Any

    from parentage.align import Alignment, Unaligned
    from parentage.checkpoint import Checkpoint, Given, Inputs, Network
    from parentage.evidence import Trace
    from parentage.library import Library
    from parentage.recipe import Addition, Recipe
    from parentage.sample import Sampled
    from parentage.stream import Kept
    from parentage.support import Portion
    from parentage.verdict import Added

    Path = str | PathLike[str]


def trace(
    child: Given,
    *,
    base: Given | None = None,
    parents: Iterable[Given] | Given = (),
    controls: Iterable[Given] | Given = (),
    library: Library | Path | None = None,
    follow_claims: bool = False,
    threads: int | None = None,
    tile_bytes: int | None = None,
    io: str = "auto",
    level: str | None = None,
    device: str | None = None,
    device_memory: int | None = None,
    executor: Executor | Callable[[], Executor] | None = None,
    recipes: bool = True,
    sample: int | str | Portion | None = None,
    seed: int | None = None,
    until_sure: bool = False,
    full: bool = False,
    digest: str | None = None,
    output: Path | None = None,
    resume: bool = False,
    network: Network | None = None,
    progress: Progress = SILENT,
    note: Callable[[str], None] | None = None,
) -> Trace:
    """Say what ``child`` is made of.

    Parameters
    ----------
    child
        The checkpoint under test: a folder, a file, an index, or a name of what is on no disk, as
        ``hf://org/name`` (:meth:`parentage.Checkpoint.open`); or its tensors in memory, as a
        ``state_dict()`` (:meth:`parentage.Checkpoint.in_memory`), which are read in place. So may
        be all others.
    base
        The common ancestor that displacements are measured from. It may itself be part of a blend.
        Without one, it is assumed, and so are parents if none are given: what the search of a
        library proposes, and what the child's own files claim. The verdict says what was assumed
        and because of what; see :mod:`parentage.relatives`.
    parents
        Checkpoints the child may be made of; one, or several in any iterable.
    controls
        Related checkpoints known *not* to be parents: what the same fit gives for a relative.
        Parents and controls are eight at most.
    library
        What is searched where no base is given: a library of sketches, or its folder; by default
        :func:`parentage.library.default_folder`.
    follow_claims
        Whether a hub is asked for what the child's files claim, where no base is given. Without it,
        that is done for a child that is named on a hub itself, and else claims are looked for
        beside the child, in the library and in the Hugging Face cache.
    threads
        Threads that read and compute; by default one per CPU.
    tile_bytes
        Bytes of each checkpoint that a thread reads at a time; by default what suits ``io``.
    io
        ``"mmap"``, ``"direct"`` to read past the page cache, ``"pread"`` for network disks; by
        default, ``"direct"`` for checkpoints that do not fit in the memory that is free, and
        ``"mmap"`` for others (:func:`parentage.stream.choose_io`).
    level
        The instruction set; by default the fastest of this CPU.
    device
        What computes instead of the core, by torch (``pip install 'parentage[torch]'``): ``"cpu"``,
        ``"cuda"``, ``"cuda:1"``, ``"cuda:0,1"``, ``"xpu"`` or ``"mps"``. The evidence names it, and
        is the same in all else.
    device_memory
        Bytes of its memory that may be used; by default half of what is free.
    executor
        Workers that read everything in this process's place: anything with the interface of
        ``concurrent.futures``, of one machine or of many that see the same files; or a function
        that makes one, which is asked again if workers are lost and the executor breaks. Headers,
        samples and the verdict stay here. ``threads`` are those of each worker then; by default
        the CPUs of its machine are shared by the workers that are on it.
    recipes
        Whether to look for the recipe, in a sample, and to replay it on everything.
    sample
        Read no more than a sample, spread over every slice: bytes over all checkpoints, as an int
        or like ``"5GB"``, or a share of what there is to read, like ``"0.2%"``. A run of each slice
        is read at least, and the search for recipes reads some million elements besides. Nothing is
        *exact* then: what was not read may differ, and the verdict says how much of it.
    seed
        Of the places that are read of a sample, the one that recipes are looked for in included:
        a number from 0 to 2^64 - 1. By default the system draws one, the evidence says which, and
        given here, it gives the same evidence again. Where the seed was given the verdict states no
        confidence: whoever made the child may have known it. Of checkpoints that are small enough
        to be searched whole, a full pass hangs on no seed.
    until_sure
        Read a sample, and double it until more would not change the verdict
        (:mod:`parentage.pipeline.sequential`), up to ``sample`` or everything.
    full
        Read everything of checkpoints that are fetched over a network. Without it, and without
        ``sample`` or ``until_sure``, a sample is read of them until more would not change the
        verdict, of :data:`parentage.pipeline.NETWORK_SAMPLE` bytes at most; so are those of
        ``digest`` and ``resume``, which are of everything.
    digest
        ``"sha256"`` to compute that of every file in the same pass, as hubs publish them; it ties
        the verdict to the published bytes. Not of a sample.
    output
        A folder that the evidence is written to, as by :meth:`parentage.Trace.save`. While the
        trace runs, what it has finished is kept there, and stays if it is interrupted.
    resume
        Go on with what an interrupted trace of the same checkpoints has left in ``output``. The
        evidence is the same, byte for byte. Without it, what is kept there is an error: it is
        never overwritten. With tensors in memory among the checkpoints, nothing is kept, and
        nothing gone on with: nobody knows whether they are the same.
    network
        How checkpoints are read that are on no disk, and what that may cost; see
        :class:`parentage.Network`.
    progress
        Told of the bytes to read and of those read so far, and may raise to stop: an object of a
        class derived from :class:`parentage.Progress`. If that overrides ``look``, it is told of
        verdicts that rest on a sample before more is read: with neither ``sample`` nor
        ``until_sure`` of one, while everything is read.
    note
        Told in a sentence what became of ``resume``, and what is kept.

    Returns
    -------
    Trace
        The verdict and the tables it rests on. No option from ``threads`` to ``device_memory``
        changes a bit of it, but that ``trace.device`` says which device there was.
        ``trace.sample`` says what was read; it is ``None`` if everything was.

    Raises
    ------
    ParentageError
        If a checkpoint is damaged or unreadable, changes while it is read, or pairs with none; or
        if no base is given, and nothing proposes one.
    JournalError
        If something is kept in ``output`` without ``resume``, or is of other checkpoints, of files
        that have changed, or in use.
    DeviceError
        If the device, or torch, is not there or can not be used.
    ExecutorError
        If workers are gone, or can not do the work.
    ValueError
        If an option is out of its range.

    Examples
    --------
    >>> import parentage
    >>> from parentage.demo import family
    >>> found = parentage.trace(family("child"), base=family("base"), parents=[family("parent")])
    >>> found.verdict.kind
    'merge'
    """
    chosen = Seed.of(seed)
    request = SampleRequest.parse(sample, chosen, until_sure=until_sure)
    backend, described, remark = backend_of(device, device_memory)
    if remark is not None and note is not None:
        note(remark)
    if full and request is not None:
        raise ValueError("full reads everything, and sample and until_sure a part of it")
    progress.stage("reading headers")
    proposal = None
    if base is None:
        proposal = propose(
            child,
            parents,
            controls,
            library,
            follow=follow_claims,
            is_whole=request is not None or digest is not None,
            threads=threads,
            network=network,
            progress=progress,
        )
        if note is not None:
            for sentence in proposal.notes:
                note(sentence)
        child, base = proposal.child, proposal.base
        parents, controls = proposal.parents, proposal.controls
    inputs = open_all(child, base, parents, controls, network)
    checkpoints = (*inputs.others, inputs.child)
    is_remote = any(each.is_remote for each in checkpoints)
    is_partial = request is None and not (full or resume or digest is not None)
    if proposal is not None and first_sketch(checkpoints) is not None:
        # No more is read than the sketches that are assumed hold.
        is_partial = False
    if is_remote and (is_partial or (request is not None and request.portion is None)):
        # All of it is read if that is said, and not because a sample was not enough.
        request = SampleRequest.of_network(chosen)
    if digest not in (None, "sha256"):
        raise ValueError(f"digest must be sha256, not {digest!r}")
    if digest is not None and request is not None:
        raise ValueError("digest is of whole files, and a sample does not read them")
    if digest is not None:
        for each in checkpoints:
            # What can not be listed is an error before hours are spent on the pass.
            files_beside(each)
    if digest is not None and io == "auto":
        # What is read in another order than a file's is hashed from the page cache.
        io = "mmap"
    if (request is not None or digest is not None) and (name := first_sketch(checkpoints)):
        said = "sample, until_sure and digest are of whole files"
        raise ValueError(f"{said}, and {name} is a sketch")
    if executor is not None:
        if device is not None:
            raise ValueError("workers compute with the core: a device is one process's")
        # Workers may see the folder of the evidence as well.
        beside = None if output is None else pathlib.Path(output)
        backend = spread_over(executor, threads=threads, beside=beside, note=note)
        refuse_limits(network, checkpoints)
    options = Options(
        _core.threads() if threads is None else threads,
        tile_bytes,
        choose_io(io, sum(each.disk_bytes for each in checkpoints)),
        level,
        backend=backend,
        is_far=is_remote and request is not None,
    )
    if resume and output is None:
        raise ValueError("resume needs output: what was read is kept there")
    if resume and request is not None:
        raise ValueError("resume goes on with a full pass: a sample is read again from its start")
    is_live = any(each.is_in_memory for each in checkpoints)
    if resume and is_live:
        raise ValueError(
            "resume goes on with files: whether tensors in memory are the same is not known"
        )
    kept = (
        nullcontext()
        if output is None or request is not None or is_live
        else Journal(output, identity(inputs), resume=resume, note=note)
    )
    with kept as journal:
        if journal is not None:
            chosen = _kept_seed(journal, chosen)
        found = traced(
            inputs,
            options,
            progress,
            journal,
            request,
            chosen.number,
            recipes=recipes,
            digest=digest is not None,
            remarks=() if proposal is None else proposal.told.sentences,
        )
        assumed = None if proposal is None else proposal.told
        found = replace(found, device=described, assumed=assumed)
        # What a program holds in memory is its own again: a trace does not keep it.
        found = found.released()
        if output is not None:
            found.save(output, note)
        if journal is not None:
            journal.remove()
    return found


def trace_again(
    inputs: Inputs,
    options: Options,
    progress: Progress = SILENT,
    *,
    recipes: bool,
    seed: int | None,
    sample: Mapping[str, Any] | None = None,
    remarks: tuple[str, ...] = (),
) -> Trace:
    """Trace checkpoints as evidence of them says that it was made; nothing is written.

    Parameters
    ----------
    inputs
        The checkpoints in the roles that they were offered in.
    options
        How they are read; ``is_far`` where the evidence is of what was fetched.
    progress
        As of :func:`trace`.
    recipes
        Whether recipes are looked for.
    seed
        What drew the places that were looked at; ``None`` if that was everywhere.
    sample
        ``parameters.sample`` of the evidence, ``None`` if everything was read.
    remarks
        Sentences that the verdict begins its remarks with.

    Raises
    ------
    ParentageError
        If nothing pairs, or a checkpoint is damaged or unreadable.
    """
    request, number = None, seed or 0
    if sample is not None:
        # Of sketches, everything is read that they hold.
        chosen = Seed(sample["seed"], is_given=sample["is_seed_given"])
        until_sure = sample["sure"] is not None
        request = SampleRequest.parse(sample["asked"], chosen, until_sure=until_sure)
        number = chosen.number if request is not None else number
    return traced(
        inputs,
        options,
        progress,
        None,
        request,
        number,
        recipes=recipes,
        digest=False,
        remarks=remarks,
    )


def refuse_limits(network: Network | None, checkpoints: Iterable[Checkpoint]) -> None:
    """Refuse a limit on what is received where others receive it.

    Raises
    ------
    ValueError
        If there is one, and some checkpoint is fetched.
    """
    is_limited = network is not None and network.traffic.most is not None
    if is_limited and any(each.is_remote for each in checkpoints):
        raise ValueError("max_bytes binds this process, and workers receive by themselves")


def traced(
    inputs: Inputs,
    options: Options,
    progress: Progress,
    journal: Kept | None,
    request: SampleRequest | None,
    seed: int,
    *,
    recipes: bool,
    digest: bool,
    remarks: tuple[str, ...] = (),
) -> Trace:
    """Go through the stages; ``seed`` draws the places of samples, the verdict has ``remarks``."""
    case, sketched = planned(
        inputs,
        options,
        progress,
        seed,
        recipes=recipes,
        digest=digest,
        request=request,
        remarks=remarks,
    )
    options, main, given = case.options, case.inputs, case.offered
    if request is not None and (trace := trace_sample(case, request, progress)) is not None:
        return replace(trace, spectra=spectra_of(case.estimates))
    if request is not None and case.grouped is not None:
        # A sample was not enough, so that everything is read.
        case = replace(case, rest=compare_rest(given, case.grouped, options))
    is_whole = request is None and sketched is None
    with with_preview(case, progress) if is_whole else nullcontext(progress) as watched:
        statistics = full_pass(
            case.alignment, main.columns, options, watched, case.replays, journal
        )
    progress.stage("making tables")
    give_back()
    trace = conclude(case, statistics, sketched)
    digests, spectra = digests_of(given, main, options), spectra_of(case.estimates)
    if digests:
        progress.stage("hashing what lies beside the weights")
    folders = {
        each.name: digest_folder(each, digests[each.name])
        for each in (given.child, *given.others)
        if each.name in digests
    }
    return replace(trace, digests=digests, folders=folders, spectra=spectra)


def planned(
    inputs: Inputs,
    options: Options,
    progress: Progress,
    seed: int,
    *,
    recipes: bool,
    digest: bool,
    request: SampleRequest | None = None,
    is_part: bool = False,
    remarks: tuple[str, ...] = (),
) -> tuple[TraceInputs, Sampled | None]:
    """Go through the stages before everything is read, a line each.

    Of a part, what is in no main slice is left to whoever joins it with the others. Return what is
    to be read and carried out, and what is held of sketches, if there are any.
    """
    progress.stage("pairing tensors")
    opened = inputs
    viewed = view_inputs(inputs, options)
    inputs, seen, sketched = viewed.inputs, viewed.seen, viewed.sketched
    grouped = pair(inputs, options, seen.layers)
    progress.stage("looking who came first")
    settled = settle_roles(inputs, grouped, options, seed)
    inputs, grouped = settled.inputs, settled.grouped
    choices = [printable(one) for each in (inputs.child, *inputs.others) for one in each.remarks]
    remarks = (*remarks, *settled.relations.remarks, *seen.remarks, *choices)
    main = inputs.chosen(grouped.main.columns)
    alignment = _with_reasons(grouped.main.alignment, seen.aside)
    options = with_digests(inputs, main, options) if digest else options
    case = TraceInputs(
        main,
        alignment,
        options,
        view=settled.view,
        relations=replace(settled.relations, remarks=remarks),
        given=inputs,
        grouped=grouped,
        orders=seen.orders,
        unordered=seen.unordered,
        stored=viewed.stored,
        added=viewed.added,
        aside=seen.aside,
        opened=opened,
    )
    if not is_part:
        rest = compare_rest(inputs, grouped, options, is_sample=request is not None)
        case = replace(case, rest=rest)
        if left := undecoded(inputs, grouped, rest):
            alignment = replace(alignment, unaligned=(*alignment.unaligned, *left))
            case = replace(case, alignment=alignment)
    if recipes:
        progress.stage("looking for the recipe in a sample")
        case = with_hypotheses(case, seed)
        if request is None and not is_part:
            case = replace(case, rest=replace(case.rest, blends=quantised_blends(case)))
    return case, sketched


def _with_reasons(alignment: Alignment, aside: Sequence[Unaligned]) -> Alignment:
    """Return an alignment with the reasons of what is a function of another's tensor."""
    if not aside:
        return alignment
    known = {(each.checkpoint, each.tensor) for each in aside}
    left = [
        each
        for each in alignment.unaligned
        if (each.checkpoint, each.tensor.removeprefix(UNPAIRED)) not in known
    ]
    return replace(alignment, unaligned=(*left, *aside))


def _kept_seed(journal: Journal, chosen: Seed) -> Seed:
    """Return the seed that a trace was begun with, which is kept for when it goes on.

    Raises
    ------
    JournalError
        If another one is given now.
    """
    kept = next(journal.records("seed"), None)
    if kept is not None and not chosen.is_given:
        return Seed(kept.values["number"], is_given=False)
    journal.expect("seed", {"number": chosen.number}, "the seed")
    return chosen


def with_hypotheses(case: TraceInputs, seed: int | None = None) -> TraceInputs:
    """Return the case with recipes that its search sample, drawn by ``seed``, suggests."""
    drawn, view = (case.alignment, case.inputs.columns, case.options, seed), case.view
    estimates = view if view is not None and view.is_of(*drawn) else SampleEstimates(*drawn)
    found = hypothesise(estimates)
    chosen = select_for_full_pass(
        found,
        is_whole=estimates.sample.is_whole,
        decoys_of=lambda recipe: decoy_share(recipe, estimates),
    )
    chosen = [
        replace(each, recipe=replace(each.recipe, adapters=_additions(each.recipe, case.added)))
        for each in chosen
    ]
    replays = [
        compile_recipe(each.recipe, estimates.columns.indices, case.alignment.slices)
        for each in chosen
    ]
    relations = with_blends(case.relations, estimates, Thresholds().reproduced)
    # A full pass, or a larger sample, takes memory of its own.
    estimates.sample.forget()
    give_back()
    return replace(
        case, estimates=estimates, hypotheses=chosen, replays=replays, relations=relations
    )


def _additions(recipe: Recipe, added: Mapping[str, Added]) -> dict[str, Addition]:
    """Return how the adapters that a recipe needs are added to their bases."""
    needed = [name for name in recipe.checkpoints if name in added]
    return {name: added[name].addition for name in needed}


def with_digests(inputs: Inputs, main: Inputs, options: Options) -> Options:
    """Return options that compute the digest of every shard in the pass over ``main``."""
    cores = [each.core for each in _digested(inputs, main)]
    return replace(options, digests=_core.Digests(cores))


def digests_of(inputs: Inputs, main: Inputs, options: Options) -> dict[str, tuple[str, ...]]:
    """Return the SHA-256 of every shard, by the name of its checkpoint."""
    if options.digests is None:
        return {}
    digests = options.digests.finish(threads=options.threads, io=options.io)
    return {
        each.name: tuple(found[: len(each.own_shards)])
        for each, found in zip(_digested(inputs, main), digests, strict=True)
    }


def _digested(inputs: Inputs, main: Inputs) -> list[Checkpoint]:
    """Return all checkpoints, those first that the pass reads, in the order of its columns."""
    first = [*main.others, main.child]
    names = {each.name for each in first}
    return [*first, *(each for each in inputs.others if each.name not in names)]
