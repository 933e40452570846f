"""Which columns a competition needs, and for what; missing and extra ones are refused by name."""

from __future__ import annotations

from data.competition import Competition
from data.errors import InputError, nearest
from data.expression import check_expression
from data.raw_tables import RawTables, id_columns


def role_columns(competition: Competition) -> dict[str, str]:
    """column: role, over all roles but `ignored`. InputError for a column with two roles."""
    roles: dict[str, str] = {}
    for role in ("static_categorical", "static_real", "known_categorical", "known_real",
                 "past_categorical", "past_real"):  # fmt: skip
        for name in getattr(competition.columns, role):
            if name in roles:
                raise InputError(
                    f"competition {competition.name}: column {name!r} has two roles, {roles[name]} and"
                    f" {role}; derive a second column for one of them"
                )
            if name in competition.target:
                raise InputError(
                    f"competition {competition.name}: the target {name!r} cannot have role {role}"
                )
            roles[name] = role
    return roles


def post_expressions(competition: Competition) -> list[str]:
    """The `where` expressions of post-processing."""
    found = [post.settings.get("where") for post in competition.post]
    return [str(expression) for expression in found if expression]


def raw_columns(competition: Competition) -> dict[str, str]:
    """column: what it is needed for; columns of the files or of joins, derived ones resolved."""
    needed = {name: f"columns.{role}" for name, role in role_columns(competition).items()}
    expressions = {"judged": competition.judged, **{f"derive.{k}": v for k, v in competition.derive.items()}}
    expressions |= {f"post where {text!r}": text for text in post_expressions(competition)}
    for where, text in expressions.items():
        if text:
            for name in check_expression(text, None, f"competition {competition.name}, {where}"):
                needed.setdefault(name, where)
    if competition.weight:
        needed.setdefault(competition.weight, "weight")
    for name in competition.fill:
        needed.setdefault(name, f"fill.{name}")
    for join in competition.joins:
        for name in join.key:
            needed.setdefault(name, f"joins {join.file}")
    return {name: why for name, why in needed.items() if name not in competition.derive}


def check_needed(tables: RawTables, needed: dict[str, str], joined: dict[str, str]) -> None:
    """InputError for the first needed column that a file lacks; joined: column to the file that brings it."""
    competition = tables.competition
    assert tables.test is not None
    past = {*competition.columns.past_real, *competition.columns.past_categorical, *competition.target}
    static = {*competition.columns.static_real, *competition.columns.static_categorical}
    for name, why in needed.items():
        if name in joined:
            clash = [table for table in ("train", "test") if name in getattr(tables, table).columns]
            if clash:
                raise InputError(
                    f"{joined[name]}: column {name!r} is in {tables.name(clash[0])} too;"
                    f" name the columns to join under joins.columns"
                )
            continue
        for part, frame in (("train", tables.train), ("test", tables.test)):
            if name in frame.columns or (part == "test" and _may_lack(name, why, past, static, competition)):
                continue
            there = [*frame.columns, *joined, *(competition.derive if why.startswith("columns") else ())]
            near = nearest(name, there)
            hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
            raise InputError(
                f"{tables.name(part)}: column {name!r} ({why}) is missing; {hint}"
                f"found columns {', '.join(frame.columns[:20])}"
            )


def _may_lack(name: str, why: str, past: set[str], static: set[str], competition: Competition) -> bool:
    """Whether the test file may be without a column."""
    if name in past or why == "weight" or why.startswith("derive."):
        return True
    return competition.task == "horizon" and name in static


def unread_columns(tables: RawTables, needed: dict[str, str]) -> list[str]:
    """Columns of the training file without a role, and not listed as ignored.

    InputError for one that only one of the two files has.
    """
    competition = tables.competition
    assert tables.test is not None
    files = (tables.train.columns, tables.test.columns)
    known = {
        *needed,
        *competition.target,
        *competition.series,
        *id_columns(competition),
        *competition.columns.ignored,
    }
    known |= {competition.time or "", competition.submission.row_id or ""}
    unread = [name for name in files[0] if name not in known]
    if competition.files.test is None:
        return unread
    for part, here, other in (("test", files[1], files[0]), ("train", files[0], files[1])):
        for name in here:
            if name not in known and name not in other:
                there = tables.name("train" if part == "test" else "test")
                near = nearest(name, [*known - {""}], count=1)
                hint = f" (nearest declared: {near[0]!r})" if near else ""
                raise InputError(
                    f"{tables.name(part)}: extra column {name!r}: it is not in {there} and has no role{hint};"
                    f" give it one or list it under columns.ignored"
                )
    return unread
