"""A progress does nothing of itself."""

from parentage.identity.progress import AskingProgress, Tally


def test_nothing_is_told():
    progress = AskingProgress()
    progress.start(Tally(total=3))
    progress.update(Tally(total=3, answered=1))
    progress.note("a word")
