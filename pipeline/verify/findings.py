"""What a check of a store came to: checks, findings, and the JSON file that the report reads.

The file is the same for the same store and code: it holds no clock time.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

from pipeline.atomic_file import write_atomically
from pipeline.errors import PipelineError

FORMAT = "noldo-verification-2"
"""Value of ``format`` in the file; another one is not read."""


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is wrong with a store.

    Attributes:
        check: Name of the check that found it.
        array: Array of the store, with its group where there are several (``train/s2``); empty
            if the finding is of the store as a whole.
        sample_id: Id of the sample; empty if the finding is of many samples together.
        season: 0 to 3; None where there is none, or where it is of all seasons.
        value: What was measured, as text with its unit.
        limit: What was allowed or expected, as text.
        message: One line for a person: what is wrong and what most likely causes it.
    """

    check: str
    array: str
    sample_id: str
    season: int | None
    value: str
    limit: str
    message: str


@dataclass(frozen=True)
class Check:
    """One check that was made.

    Attributes:
        check: Its name, the same as in its findings.
        examined: How many things were compared; 0 where the store has nothing of the kind.
        found: How many findings it has, also where not all of them are kept.
        meaning: One line: what it compares, and what a finding would mean.
    """

    check: str
    examined: int
    found: int
    meaning: str

    @property
    def passed(self) -> bool:
        """Whether it found nothing wrong."""
        return not self.found


@dataclass(frozen=True)
class Verification:
    """All checks of one store.

    Attributes:
        store: Name of the store's folder.
        simulated: Whether its pixels come from the simulated Earth.
        software: Version of the code that checked.
        checks: In the order in which they are made.
        findings: In the order of the checks, a limited number of each; empty if the store is sound.
    """

    store: str
    simulated: bool
    software: str
    checks: tuple[Check, ...]
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.found

    @property
    def found(self) -> int:
        """How many findings there are, also where not all of them are kept."""
        return sum(check.found for check in self.checks)


def verification(
    store: str,
    simulated: bool,
    software: str,
    examined: Sequence[tuple[str, int, str]],
    findings: Sequence[Finding],
    omitted: Mapping[str, int] = MappingProxyType({}),
) -> Verification:
    """Put checks and findings together.

    Args:
        store: Name of the store's folder.
        simulated: Whether its pixels come from the simulated Earth.
        software: Version of the code.
        examined: Of each check name, number of things compared, meaning; in order, each name once.
        findings: In any order; each of one of those checks.
        omitted: Further findings of a check, which are counted only.

    Raises:
        ValueError: A finding of a check that was not made.
    """
    order = {name: position for position, (name, _, _) in enumerate(examined)}
    unknown = {finding.check for finding in findings} - order.keys()
    if unknown:
        raise ValueError(f"findings of checks that were not made: {sorted(unknown)}")
    found = Counter(finding.check for finding in findings) + Counter(omitted)
    checks = [Check(name, count, found[name], text) for name, count, text in examined]
    ordered = sorted(findings, key=lambda finding: (order[finding.check], *_place(finding)))
    return Verification(store, simulated, software, tuple(checks), tuple(ordered))


def write_verification(path: Path, result: Verification) -> None:
    """Write a verification as JSON, whole or not at all."""
    document = {"format": FORMAT, **asdict(result)}
    write_atomically(path, json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n")


def read_verification(path: Path) -> Verification:
    """Read a verification back.

    Raises:
        PipelineError: The file does not exist, or is none of this form.
    """
    try:
        document = json.loads(path.read_bytes())
        if document.pop("format") != FORMAT:
            raise ValueError("another format")
        checks = tuple(Check(**row) for row in document.pop("checks"))
        findings = tuple(Finding(**row) for row in document.pop("findings"))
        return Verification(checks=checks, findings=findings, **document)
    except FileNotFoundError:
        raise PipelineError(f"{path} does not exist; run `python -m pipeline.verify`") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise PipelineError(
            f"{path} is not the result of a verification ({FORMAT}); delete it and verify again"
        ) from None


def _place(finding: Finding) -> tuple[bool, str, str, int, str]:
    """What holds for the whole store comes before single samples."""
    season = -1 if finding.season is None else finding.season
    single = bool(finding.sample_id)
    return single, finding.array, finding.sample_id, season, finding.message
