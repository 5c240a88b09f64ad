"""What is kept of listeners, by whom they are found again, and what is left of those who withdraw."""

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.listeners import small

from sibboleth.errors import InvalidInput
from sibboleth.listeners import answering, words
from sibboleth.listeners.answering import Ahead
from sibboleth.listeners.session import Course, Listener
from sibboleth.listeners.step import Answer
from sibboleth.listeners.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "answers.sqlite", "v1")
    yield made
    made.close()


@pytest.fixture
def course() -> Course:
    return Course(small.drawn(), words.read("en"))


def go(store: Store, course: Course, token: str, steps: int) -> Listener:
    """Answer so many steps."""
    for _ in range(steps):
        with store.transaction():
            listener = store.listener(token)
            assert listener is not None
            step = course.step(listener).model_dump()
            answering.give(store, course, token, Answer.model_validate(small.answer(step)))
    found = store.listener(token)
    assert found is not None
    return found


def begin(store: Store, **people: str) -> str:
    with store.transaction():
        return answering.begin(store, people, ["PID", "STUDY"])


def test_an_answer_given_twice_is_kept_once_and_the_first_stays(store: Store, course: Course) -> None:
    token = begin(store)
    go(store, course, token, 5)
    first = Answer.model_validate(small.answer(course.step(go(store, course, token, 0)).model_dump()))
    other = first.model_copy(update={"labels": ("angry",)})
    for answer in (first, other, first):
        with store.transaction():
            listener = answering.give(store, course, token, answer)
        assert listener is not None and listener.due == 6
    kept = [one for one in store.answers() if one.step == 5]
    assert [Answer.model_validate_json(one.given) for one in kept] == [first]


def test_an_answer_to_a_step_that_is_still_to_come_is_refused(store: Store, course: Course) -> None:
    token = begin(store)
    with pytest.raises(Ahead), store.transaction():
        answering.give(store, course, token, Answer(step=1, agreed=True))
    assert list(store.answers()) == []


def test_a_listener_is_finished_after_the_last_step_and_says_no_more(store: Store, course: Course) -> None:
    token = begin(store)
    done = go(store, course, token, 17)
    assert (done.status, done.due) == ("finished", 17)
    with store.transaction():
        assert answering.give(store, course, token, Answer(step=17)) == done
    assert len(list(store.answers())) == 17


def test_forms_are_dealt_to_who_fits_where_fewest_are(store: Store, course: Course) -> None:
    tokens = [begin(store) for _ in range(5)]
    assert [go(store, course, token, 2).form for token in tokens] == [0, 1, 0, 1, 0]
    first = store.listener(tokens[0])
    assert first is not None
    with store.transaction():
        store.withdraw(first.rater)
        store.withdraw(3)
    assert go(store, course, begin(store), 2).form == 0  # what was freed is dealt again
    assert go(store, course, begin(store), 1).form is None


def test_who_has_been_away_for_long_no_longer_holds_a_form(store: Store, course: Course, tmp_path: Path) -> None:
    go(store, course, begin(store), 2)
    with sqlite3.connect(tmp_path / "answers.sqlite") as other:
        other.execute("UPDATE answers SET at = at - 7200")
    assert go(store, course, begin(store), 2).form == 0


def test_the_same_person_of_a_platform_comes_back_to_the_same_place(store: Store, course: Course) -> None:
    first = begin(store, PID="p1", STUDY="s")
    go(store, course, first, 6)
    again = begin(store, PID="p1", STUDY="other")
    assert again != first
    assert store.listener(again) == store.listener(first)
    assert store.listener(begin(store, PID="p2", STUDY="s")) != store.listener(first)
    assert store.listener(begin(store, STUDY="s")) != store.listener(begin(store, STUDY="s"))
    with store.transaction():
        for _ in range(40):
            latest = store.another(1)
    assert store.listener(first) is None and store.listener(latest) is not None  # the oldest links end


def test_neither_tokens_nor_persons_can_be_read_from_answers(store: Store, course: Course, tmp_path: Path) -> None:
    token = begin(store, PID="person-one")
    go(store, course, token, 5)
    with sqlite3.connect(tmp_path / "answers.sqlite") as other:
        for table in ("listeners", "tokens", "answers", "events", "about"):
            assert "person-one" not in str(other.execute(f"SELECT * FROM {table}").fetchall())
    store.purge()
    assert token.encode() not in (tmp_path / "answers.sqlite").read_bytes()


def test_nothing_of_who_withdrew_is_left_in_any_file(store: Store, course: Course, tmp_path: Path) -> None:
    token = begin(store, PID="person-one")
    other = begin(store, PID="person-two")
    for one, name in ((token, "Xhosa"), (other, "Zulu")):
        go(store, course, one, 1)
        said = {"step": 1, "background": {"first": [name]}}
        with store.transaction():
            answering.give(store, course, one, Answer.model_validate(said))
    files = list(tmp_path.iterdir())
    assert any(b"Xhosa" in file.read_bytes() for file in files)
    with store.transaction():
        store.withdraw(1)
    store.purge()
    left = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"Xhosa" not in left and b"person-one" not in left
    assert b"Zulu" in left and b"person-two" in left
    assert store.listener(token) == Listener(1, None, "withdrawn", "", 0)
    assert [one.rater for one in store.answers()] == [2, 2]
    with store.transaction():
        gone = answering.give(store, course, token, Answer(step=0, agreed=True))
    assert gone is not None and gone.status == "withdrawn"
    assert [one.rater for one in store.answers()] == [2, 2]


def test_work_that_fails_undoes_itself_alone(store: Store) -> None:
    with store.transaction():
        begun = store.enrol({})
        with pytest.raises(ZeroDivisionError), store.part():
            store.enrol({})
            raise ZeroDivisionError
    assert [one.listener.rater for one in store.seen()] == [1]
    assert store.listener(begun) is not None


def test_several_processes_or_threads_never_deal_one_form_to_two(tmp_path: Path, course: Course) -> None:
    def one() -> None:
        mine = Store(tmp_path / "many.sqlite", "v1")
        go(mine, course, begin(mine), 2)
        mine.close()

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store = Store(tmp_path / "many.sqlite", "v1")
    assert sorted(seen.listener.form or 0 for seen in store.seen()) == [0, 0, 0, 1, 1, 1]
    store.close()


def test_answers_to_another_test_are_not_mixed_in(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="another test"):
        Store(tmp_path / "answers.sqlite", "v2")
    with sqlite3.connect(tmp_path / "answers.sqlite") as other:
        other.execute("UPDATE about SET value = '99' WHERE name = 'format'")
    with pytest.raises(InvalidInput, match="newer"):
        Store(tmp_path / "answers.sqlite", "v1")
    with pytest.raises(InvalidInput, match="nobody"):
        Store(tmp_path / "none.sqlite", "v1", make=False)
