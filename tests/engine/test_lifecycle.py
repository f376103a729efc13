"""The transition table: what is legal, what is not, and what the refusal says."""

import pytest

from vectormigrate.engine.lifecycle import DONE, NEW, STATES, TRANSITIONS, UNDONE, State, Verb, next_state
from vectormigrate.errors import InvalidTransition
from vectormigrate.model.status import Phase, Status

WORDS = {"migrate": Verb.MIGRATE, "resume": Verb.RESUME, "validate": Verb.VALIDATE, "rollback": Verb.ROLLBACK}

REFUSED = [(verb, state) for verb in Verb for state in sorted(STATES, key=repr) if (verb, state) not in TRANSITIONS]


def walk(state: State, *verbs: Verb) -> State:
    for verb in verbs:
        state = next_state(verb, "m", state.status, state.phase)
    return state


def test_an_undisturbed_run_goes_from_new_to_done() -> None:
    assert walk(NEW, Verb.MIGRATE, Verb.ADVANCE, Verb.ADVANCE, Verb.ADVANCE) == DONE


def test_a_completed_migration_can_be_validated_and_rolled_back() -> None:
    assert walk(DONE, Verb.VALIDATE) == DONE
    assert walk(DONE, Verb.ROLLBACK, Verb.ADVANCE) == UNDONE


@pytest.mark.parametrize("ending", [Verb.HALT, Verb.FAIL])
@pytest.mark.parametrize("steps", [0, 1, 2])
def test_resume_goes_on_in_the_phase_in_which_a_run_ended(ending: Verb, steps: int) -> None:
    running = walk(NEW, Verb.MIGRATE, *[Verb.ADVANCE] * steps)
    ended = walk(running, ending)
    assert ended.phase is running.phase
    assert ended.status is (Status.STOPPED if ending is Verb.HALT else Status.FAILED)
    assert walk(ended, Verb.RESUME) == running


@pytest.mark.parametrize("phase", [Phase.CREATING, Phase.COPYING, Phase.FINALIZING])
def test_what_a_dead_process_left_in_progress_can_be_resumed_and_rolled_back(phase: Phase) -> None:
    left = State(Status.IN_PROGRESS, phase)
    assert walk(left, Verb.RESUME) == left
    assert walk(left, Verb.ROLLBACK, Verb.ADVANCE) == UNDONE


@pytest.mark.parametrize("status", [Status.IN_PROGRESS, Status.STOPPED, Status.FAILED])
def test_an_interrupted_rollback_can_only_be_finished(status: Status) -> None:
    half = State(status, Phase.ROLLING_BACK)
    assert walk(half, Verb.ROLLBACK, Verb.ADVANCE) == UNDONE
    for verb in (Verb.MIGRATE, Verb.RESUME, Verb.RETRY, Verb.VALIDATE):
        with pytest.raises(InvalidTransition, match=r"finish that with: `service\.rollback\('m'\)`$"):
            walk(half, verb)


def test_rejects_of_a_completed_migration_can_be_tried_again() -> None:
    assert walk(DONE, Verb.RETRY) == State(Status.IN_PROGRESS, Phase.COPYING)


def test_a_stop_changes_nothing_until_the_runner_halts() -> None:
    running = walk(NEW, Verb.MIGRATE, Verb.ADVANCE)
    assert walk(running, Verb.STOP) == running
    assert walk(running, Verb.STOP, Verb.HALT) == State(Status.STOPPED, Phase.COPYING)


def test_nothing_leads_out_of_rolled_back() -> None:
    assert not [verb for verb, state in TRANSITIONS if state == UNDONE]


def test_every_state_outside_a_rollback_can_still_end_as_completed() -> None:
    reached = {DONE}
    while True:
        more = {state for (_, state), after in TRANSITIONS.items() if after in reached} - reached
        if not more:
            break
        reached |= more
    stuck = {state for state in STATES - reached if state.phase is not Phase.ROLLING_BACK}
    assert stuck == {UNDONE}


@pytest.mark.parametrize(("verb", "state"), REFUSED)
def test_a_refusal_is_one_line_that_names_a_verb_which_is_legal_there(verb: Verb, state: State) -> None:
    with pytest.raises(InvalidTransition) as caught:
        next_state(verb, "orders-1", state.status, state.phase)
    text = str(caught.value)
    assert "\n" not in text
    word = "start" if verb is Verb.MIGRATE else verb.value
    assert text.startswith(f"cannot {word} migration 'orders-1': it ")
    named = [WORDS[remedy.verb] for remedy in caught.value.remedies]
    assert named
    if state == UNDONE:
        assert named == [Verb.MIGRATE]
    else:
        assert all((other, state) in TRANSITIONS for other in named)
        assert verb not in named


@pytest.mark.parametrize(("verb", "state"), [(verb, NEW) for verb in (Verb.STOP, Verb.VALIDATE, Verb.ROLLBACK)])
def test_nothing_but_starting_fits_a_migration_that_has_not_started(verb: Verb, state: State) -> None:
    with pytest.raises(InvalidTransition, match=r"has not started; start it with: `service\.resume\('m'\)`$"):
        walk(state, verb)


def test_an_unknown_combination_of_status_and_phase_is_refused() -> None:
    with pytest.raises(InvalidTransition):
        next_state(Verb.RESUME, "m", Status.COMPLETED, Phase.COPYING)
