"""Fault plans: the same faults in every run, on the requests they are meant for."""

import json
from collections import Counter

import pytest

from pipeline.errors import PipelineError
from pipeline.simulator.faults import FaultPlan


def plan(*faults, **options):
    return FaultPlan.from_json(json.dumps({"faults": faults, **options}))


def drawn(fault_plan, contents, kind="pixels"):
    """Kinds of the faults of requests in a row."""
    rules = [fault_plan.draw(kind, n, content) for n, content in enumerate(contents)]
    return [rule.kind if rule else None for rule in rules]


CONTENTS = [f"request {n}".encode() for n in range(2000)]


def test_shares_are_met():
    counts = Counter(
        drawn(plan({"kind": "reset", "share": 0.2}, {"kind": "slow", "share": 0.1}), CONTENTS)
    )
    assert counts["reset"] / 2000 == pytest.approx(0.2, abs=0.03)
    assert counts["slow"] / 2000 == pytest.approx(0.1, abs=0.03)


def test_the_same_seed_draws_the_same_and_another_does_not():
    faults = {"kind": "reset", "share": 0.3}
    first = drawn(plan(faults, seed=1), CONTENTS)
    assert first == drawn(plan(faults, seed=1), CONTENTS)
    assert first != drawn(plan(faults, seed=2), CONTENTS)


def test_by_content_the_order_of_arrival_does_not_matter():
    faults = {"kind": "reset", "share": 0.3}
    forwards = drawn(plan(faults), CONTENTS)
    backwards = drawn(plan(faults), CONTENTS[::-1])
    assert forwards == backwards[::-1]


def test_by_content_a_repetition_is_drawn_anew():
    outcomes = drawn(plan({"kind": "reset", "share": 0.5}), [b"the same"] * 60)
    assert {None, "reset"} == set(outcomes)


def test_by_sequence_the_content_does_not_matter():
    faults = {"kind": "reset", "share": 0.5}
    by_number = drawn(plan(faults, by="sequence"), CONTENTS)
    assert by_number == drawn(plan(faults, by="sequence"), CONTENTS[::-1])


def test_times_limits_how_often_the_same_request_fails():
    always = plan({"kind": "reset", "share": 1.0}, times=2)
    assert drawn(always, [b"a", b"a", b"b", b"a", b"b", b"b"]) == [
        *["reset"] * 3,
        None,
        "reset",
        None,
    ]


def test_positions_count_the_requests_of_the_rule():
    placed = plan({"kind": "reset", "positions": [0, 2], "requests": ["features"]})
    assert drawn(placed, CONTENTS[:3], "pixels") == [None] * 3
    assert drawn(placed, CONTENTS[:4], "features") == ["reset", None, "reset", None]


def test_requests_about_a_text_always_fail():
    spoilt = plan({"kind": "refused", "about": "0000004"})
    asked = [b"0000004", b"0000003", b'["0000003", "0000004"]', b"0000004"]
    assert drawn(spoilt, asked) == ["refused", None, "refused", "refused"]


def test_only_the_chosen_kinds_of_requests_fail():
    chosen = plan({"kind": "reset", "share": 1.0}, requests=["compute"])
    assert drawn(chosen, CONTENTS[:1], "compute") == ["reset"]
    for kind in ("pixels", "features", "assets", "discovery", "algorithms"):
        assert drawn(chosen, CONTENTS[:1], kind) == [None]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "must be an object"),
        ('{"faults": [{"kind": "meteor"}]}', "unknown kind 'meteor'; known kinds: throttled"),
        ('{"faults": [{"share": 1}]}', "needs a 'kind'"),
        ('{"fault": []}', "unknown key ['fault']"),
        ('{"faults": [{"kind": "reset", "rate": 1}]}', "unknown key ['rate']"),
        ('{"faults": [{"kind": "reset", "share": 2}]}', "share 2.0 of 'reset'"),
        ('{"faults": [{"kind": "reset", "share": "x"}]}', "wrong type"),
        ('{"faults": [{"kind": "reset", "requests": ["maps"]}]}', "unknown kind of request"),
        ('{"by": "chance"}', "use 'content' or 'sequence'"),
        (
            '{"faults": [{"kind": "reset", "share": 0.7}, {"kind": "slow", "share": 0.7}]}',
            "add up to 1.4; at most 1",
        ),
    ],
)
def test_a_bad_plan_is_refused_in_one_line(text, message):
    with pytest.raises(PipelineError) as refused:
        FaultPlan.from_json(text)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_plan_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(PipelineError, match="No such file"):
        FaultPlan.from_file(tmp_path / "plan.json")
