"""What becomes of the locations of a shard, while their seasons arrive in any order.

The rows that come out depend on the pixels alone, not on the order or on how many seasons were in
flight: of a location with several bad seasons, the earliest one gives the reason.
"""

from collections.abc import Sequence
from dataclasses import replace

from pipeline.ledger import Reason, SeasonRecord, Status


class Outcomes:
    """Rows of the ledger in the making; threads may judge different seasons at the same time."""

    def __init__(self, selection: Sequence[SeasonRecord]) -> None:
        """Start from the rows of the selection, all seasons of every location of the shard."""
        self._rows: dict[int, list[SeasonRecord]] = {}
        for record in sorted(selection, key=lambda record: (record.sample, record.season)):
            self._rows.setdefault(record.sample, []).append(record)
        self._closed = {record.sample for record in selection if record.status is Status.REJECTED}

    @property
    def samples(self) -> list[int]:
        """Every sample of the shard, ascending."""
        return list(self._rows)

    def adopt(self, committed: Sequence[SeasonRecord]) -> list[int]:
        """Take over what an earlier run found out about the same scenes of the same locations.

        Args:
            committed: Rows of a shard that was written: every location kept or rejected.

        Returns:
            The samples that were taken over.
        """
        earlier = Outcomes(committed)
        adopted = [
            sample
            for sample, rows in self._rows.items()
            if sample not in self._closed
            and [_scenes(row) for row in earlier._rows.get(sample, [])]
            == [_scenes(r) for r in rows]
        ]
        for sample in adopted:
            self._rows[sample] = earlier._rows[sample]
        self._closed.update(adopted)
        return adopted

    def judge(self, record: SeasonRecord, status: Status, reason: Reason = Reason.NONE) -> None:
        """Note what became of one season."""
        self._rows[record.sample][record.season] = replace(record, status=status, reason=reason)

    def wanted(self, sample: int) -> list[SeasonRecord]:
        """The seasons of a location that are still to be fetched, in order.

        None after one that was rejected: the location is lost. Earlier ones still count, because
        the earliest bad season gives the reason.
        """
        return [row for row in self._open_rows(sample) if row.status is Status.SELECTED]

    def settled(self, sample: int) -> bool:
        """Whether nothing is left to find out about a location."""
        return not self._open_rows(sample)

    def kept(self, sample: int) -> bool:
        """Whether all seasons of a location are fit."""
        return all(row.status is Status.DONE for row in self._rows[sample])

    def of(self, sample: int) -> list[SeasonRecord]:
        """The rows of a location; of one that is lost, every season is rejected."""
        rows = self._rows[sample]
        if sample in self._closed or not self.settled(sample) or self.kept(sample):
            return rows
        cause = min(row.season for row in rows if row.status is Status.REJECTED)
        return [row if row.season == cause else _lost(row) for row in rows]

    def records(self) -> list[SeasonRecord]:
        """The rows of all locations."""
        return [row for sample in self._rows for row in self.of(sample)]

    def reason(self, sample: int) -> Reason:
        """Why a location is not kept: the reason of its earliest bad season."""
        reasons = [row.reason for row in self.of(sample)]
        own = [reason for reason in reasons if reason not in (Reason.NONE, Reason.OTHER_SEASON)]
        return own[0] if own else Reason.NONE

    def _open_rows(self, sample: int) -> list[SeasonRecord]:
        if sample in self._closed:
            return []
        rows = self._rows[sample]
        rejected = (row.season for row in rows if row.status is Status.REJECTED)
        before = rows[: min(rejected, default=len(rows))]
        return [row for row in before if row.status in (Status.SELECTED, Status.FAILED)]


def _scenes(record: SeasonRecord) -> tuple[str, int, str, str, str]:
    return record.location_id, record.season, record.s2_id, record.s1_id, record.dw_id


def _lost(row: SeasonRecord) -> SeasonRecord:
    return replace(row, status=Status.REJECTED, reason=Reason.OTHER_SEASON)
