"""What is read from a JUnit file, whoever wrote it."""

from __future__ import annotations

import pytest

from ml.ci_cd.junit import Failure, read_junit

HEAD = '<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest">'
TAIL = "</testsuite></testsuites>"


def case(inside: str = "", **attributes: object) -> str:
    given = {"classname": "pipelines.flowers.model_test", "name": "test_x", "file": "pipelines/flowers/model_test.py"}
    given |= {name: str(value) for name, value in attributes.items()}
    told = " ".join(f'{name}="{value}"' for name, value in given.items())
    return f"<testcase {told}>{inside}</testcase>"


def failure(text: str, message: str = "it failed", kind: str = "failure") -> str:
    return f'<{kind} message="{message}">{text}</{kind}>'


def read_one(inside: str, **attributes: object) -> Failure:
    return read_junit(f"{HEAD}{case(inside, **attributes)}{TAIL}".encode()).failures[0]


def test_tests_are_counted_and_their_time_is_added() -> None:
    cases = case(time="1.5") + case('<skipped message="no"/>', time="0.25") + case(failure("E   boom"), time="nan?")
    found = read_junit(f"{HEAD}{cases}{TAIL}".encode())
    assert (found.tests, found.failed, found.skipped, found.seconds) == (3, 1, 1, 1.75)


def test_the_summary_names_the_first_failure_and_its_line() -> None:
    text = (
        "pipelines/flowers/model_test.py:31: in test_x\n"
        "    assert accuracy > 0.5, 'too bad'\n"
        "E   AssertionError: too bad\n"
        "E   assert 0.25 > 0.5\n"
    ).replace(">", "&gt;")
    cases = case(failure(text)) + case(failure("E   other"), name="test_y") + case() * 12
    found = read_junit(f"{HEAD}{cases}{TAIL}".encode())
    assert found.summary() == "2 of 14 tests failed: model_test.py::test_x (line 31): AssertionError: too bad"


def test_the_place_is_the_last_one_in_the_checkout() -> None:
    text = (
        "pipelines/flowers/model_test.py:9: in test_x\n    train()\n"
        "pipelines/flowers/model.py:12: in train\n    fit()\n"
        "/opt/lib/keras/fit.py:800: in fit\n    raise ValueError('no')\n"
        "E   ValueError: no\n"
    )
    assert str(read_one(failure(text))) == "model_test.py::test_x (model.py line 12): ValueError: no"


def test_a_syntax_error_is_told_with_its_own_file_and_line() -> None:
    text = (
        "pipelines/flowers/model_test.py:3: in &lt;module&gt;\n    import model\n"
        'E     File "/elsewhere/checkout/pipelines/flowers/model.py", line 7\n'
        "E       def x(:\nE             ^\nE   SyntaxError: invalid syntax"
    )
    found = read_one(failure(text, kind="error"), classname="", name="pipelines.flowers.model_test")
    assert str(found) == "model_test.py (model.py line 7): SyntaxError: invalid syntax"


def test_a_class_and_parameters_belong_to_the_name() -> None:
    found = read_one(
        failure("E   no"), classname="pipelines.flowers.model_test.TestA.TestB", name="test_x[a/b::c]", line="4"
    )
    assert str(found) == "model_test.py::TestA::TestB::test_x[a/b::c] (line 5): no"


def test_a_message_that_begins_on_the_next_line_is_told() -> None:
    text = "pipelines/flowers/model_test.py:9: in test_x\nE   AssertionError: \nE   Not equal to tolerance\nE   more"
    assert read_one(failure(text)).message == "AssertionError: Not equal to tolerance"


def test_without_a_traceback_the_message_is_told() -> None:
    assert str(read_one(failure("", "failed on setup"))) == "model_test.py::test_x: failed on setup"


def test_a_failure_is_one_line_of_limited_length() -> None:
    told = str(read_one(failure("E   one&#13;&#10;E   two" + " long" * 10_000)))
    assert "\n" not in told
    assert len(told) < 400


def test_a_document_type_is_refused_so_that_entities_can_not_grow() -> None:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<!DOCTYPE x [<!ENTITY l0 "ha">{laughs}]><testsuites><testcase name="&l9;"/></testsuites>'
    with pytest.raises(ValueError, match="document type"):
        read_junit(bomb.encode())


@pytest.mark.parametrize("data", [b"", b"no xml", f"{HEAD}{case()}".encode(), b"\xff\xfe\x00<", b"<a/><b/>"])
def test_what_is_no_xml_or_is_cut_short_is_an_error_of_one_line(data: bytes) -> None:
    with pytest.raises(ValueError, match="it is no XML") as told:
        read_junit(data)
    assert "\n" not in str(told.value)


def test_other_xml_holds_no_tests() -> None:
    assert read_junit(b"<failure><error/></failure>").summary() == "there are no tests in the test files"
