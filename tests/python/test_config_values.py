"""Single values: what is accepted becomes a value, all else is refused with words to type instead."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from pylb.config import address, answer, balance, rate, scalar, secret, selector, text, wanted

UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}


def read(kind: Any, value: object) -> Any:
    return TypeAdapter(kind).validate_python(value, context={"directory": Path("/etc/pylb")})


def hint(kind: Any, value: object) -> str:
    with pytest.raises(ValidationError) as caught:
        read(kind, value)
    (error,) = caught.value.errors()
    return str(error["ctx"]["hint"])


@settings(deadline=None)
@given(number=st.integers(1, 1000), unit=st.sampled_from(sorted(UNITS)))
def test_a_duration_is_its_number_times_its_unit(number: int, unit: str) -> None:
    assert read(scalar.Duration, f"{number}{unit}") == pytest.approx(number * UNITS[unit])


@settings(deadline=None)
@given(number=st.integers(1, 10**9))
def test_a_duration_without_unit_is_told_how_to_write_itself(number: int) -> None:
    written = hint(scalar.Duration, number).removeprefix("write ").split(" or ")[0]
    assert written.endswith("s")
    assert float(written[:-1]) == pytest.approx(number)


@settings(deadline=None)
@given(value=st.one_of(st.text(), st.floats(), st.integers(), st.booleans(), st.none(), st.lists(st.text())))
@pytest.mark.parametrize(
    "kind",
    [scalar.Duration, scalar.Size, scalar.Share, scalar.Switch, scalar.Whole, scalar.Auto, scalar.OffOrSize,
     scalar.LearnedOrDuration, scalar.OffOrDuration, scalar.Amount, text.StatusRange, address.Bind,
     address.Address, address.DnsName, address.Network, address.Port, address.AdminBind, rate.RateText,
     wanted.WantedValue, wanted.RoutePath, selector.SplitKey, answer.Status, answer.ErrorStatus,
     answer.RedirectStatus, answer.RetryOn, balance.BalanceText, secret.Secret, secret.Keys],
)  # fmt: skip
def test_any_value_is_read_or_refused_in_our_own_words(kind: Any, value: object) -> None:
    try:
        read(kind, value)
    except ValidationError as error:
        (found,) = error.errors()
        assert found["type"] == "pylb"
        assert found["ctx"]["hint"]


@pytest.mark.parametrize(
    ("written", "size"), [("512B", 512), ("64KiB", 65536), ("1.5MiB", 1572864), ("1 GiB", 2**30)]
)
def test_sizes(written: str, size: int) -> None:
    assert read(scalar.Size, written) == size


@pytest.mark.parametrize(
    ("kind", "written", "instead"),
    [
        (scalar.Size, "64KB", "write 64KiB"),
        (scalar.Size, 65536, "write 65536B or 64KiB"),
        (scalar.Share, 50, "write 50%"),
        (scalar.Switch, "yes", "write true"),
        (scalar.Switch, "off", "write false"),
        (address.Network, "10.1.2.3/8", "write 10.0.0.0/8"),
        (text.Host, "Shop.Example:80", "write shop.example"),
        (text.UrlPath, "api/", "write /api/"),
        (address.Bind, 8080, 'write ":8080"'),
        (address.Bind, "localhost:80", "write 127.0.0.1:80"),
        (address.Bind, "::1:80", 'write "[::1]:80"'),
        (address.Address, "http://app.test/x", "write app.test:80"),
        (address.Address, "https://app.test", "write app.test:443"),
        (text.StatusRange, "399-200", "write 200-399"),
        (rate.RateText, 100, "write 100/s"),
        (rate.RateText, "5 / minutes", "write 5/m"),
        (rate.RateText, "0.5/s", "write 30/m"),
        (rate.RateText, "2.5/m", "write 150/h"),
        (text.Method, "post", "write POST"),
        (text.Authority, "https://shop.example/x", "write shop.example"),
        (address.DnsName, "10.0.0.1:80", 'write address: "10.0.0.1:80"'),
        (answer.Target, "shop.example/new", "write https://shop.example/new"),
        (answer.Target, "//shop.example", "write https://shop.example"),
        (answer.Target, "new", "write /new"),
        (answer.Target, "/{hots}", "did you mean {host}?"),
        (answer.RetryOn, "refused-streams", "did you mean refused_stream?"),
    ],
)
def test_the_hint_says_what_to_type(kind: Any, written: object, instead: str) -> None:
    assert instead in hint(kind, written)


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        (scalar.Size, "64KB"),
        (scalar.Size, 65536),
        (scalar.Share, 50),
        (scalar.Switch, "yes"),
        (address.Network, "10.1.2.3/8"),
        (text.Host, "Shop.Example:80"),
        (text.UrlPath, "api/"),
        (address.Bind, "localhost:80"),
        (address.Bind, "::1:80"),
        (address.Address, "http://app.test/x"),
        (text.StatusRange, "399-200"),
        (rate.RateText, 100),
        (rate.RateText, "0.5/s"),
        (rate.RateText, "2.5/m"),
        (rate.RateText, "7/day"),
        (text.Method, "post"),
        (answer.Target, "shop.example/new"),
        (answer.Target, "new"),
    ],
)
def test_what_the_hint_says_is_accepted(kind: Any, written: object) -> None:
    said = hint(kind, written).rsplit("write ", 1)[1].split(" or ")[0].strip('"')
    read(kind, said)


def test_paths_are_taken_from_the_directory_of_the_file() -> None:
    assert read(text.FilePath, "a/b") == "/etc/pylb/a/b"
    assert read(address.Bind, "unix:run.sock") == "unix:/etc/pylb/run.sock"
    assert read(address.Bind, "unix:/run/x.sock") == "unix:/run/x.sock"


def test_a_range_of_statuses_holds_both_its_ends() -> None:
    good = read(text.StatusRange, "200-399")
    assert [status in good for status in (199, 200, 399, 400)] == [False, True, True, False]


@settings(deadline=None)
@given(count=st.integers(1, rate.MOST), unit=st.sampled_from(["s", "m", "h"]))
def test_a_rate_is_its_number_over_its_time(count: int, unit: str) -> None:
    found = read(rate.RateText, f"{count}/{unit}")
    assert found.count == count
    assert found.per_second == pytest.approx(count / UNITS[unit])


@settings(deadline=None)
@given(value=st.text(max_size=40, alphabet="abcdef0123456789 \n").map("Zq".__add__))
@pytest.mark.parametrize("kind", [secret.Secret, secret.Keys])
def test_a_secret_is_never_repeated(kind: Any, value: str) -> None:
    assert value not in said(kind, value)


def said(kind: Any, value: object) -> str:
    """What a value is refused with, or how it is shown."""
    try:
        return repr(read(kind, value))
    except ValidationError as error:
        return str(error.errors(include_input=False))


@pytest.mark.parametrize(
    ("written", "kept"),
    [("/api/", "/api"), ("/api", "/api"), ("/", "/"), ("/a/b/", "/a/b")],
)
def test_a_prefix_has_no_last_slash(written: str, kept: str) -> None:
    assert read(text.Prefix, written) == kept


def test_a_mistake_inside_a_value_names_its_place() -> None:
    with pytest.raises(ValidationError) as caught:
        read(wanted.WantedValue, {"present": "maybe"})
    (error,) = caught.value.errors()
    assert error["ctx"]["at"] == ("present",)
    assert not error["ctx"]["is_key"]
