"""Names of what studies leave: files in artifacts/<competition>/tune/<member>/, members of trials."""

BEST, TRIALS = "best.json", "trials.json"


def study_title(study: str, competition: str, size: str) -> str:
    """The study's name without what its place says: the member, `joint`, or either with an identity."""
    return study.removeprefix(f"{competition}-{size}-")


def trial_name(member: str, number: int, title: str) -> str:
    """What a trial's member variant is called; title: of its study.

    All studies count from 0. Those that are not the member's plain one add what tells them from it, so that
    two commands at once do not replace each other's fits.
    """
    plain = f"{member}-trial{number}"
    return plain if title == member else f"{plain}-{title.removeprefix(f'{member}-')}"
