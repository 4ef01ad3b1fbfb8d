"""Ranges over http: every way in which a server can fail, and what is said of it."""

import pickle

import numpy as np
import pytest
from common.hub import HubDouble, at_random
from common.networks import impatient, quick
from parentage.checkpoint.network.http_place import Address, Fixed, HttpPlace
from parentage.support import ReadError

SIZE = 100_000


@pytest.fixture
def double():
    double = HubDouble()
    yield double
    double.close()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(np.random.default_rng(3).bytes(SIZE))
    return path


def place(double, file, network=None, size=SIZE):
    """Return a file at the data server, whose address is signed for ever."""
    address = f"{double.data}/digest?path={file}&Signature=SECRET-9e15-word"
    return HttpPlace("file.bin", Fixed(Address(address)), network or quick(), size)


def fetched(place, start=0, end=SIZE):
    """Return what a place fetches."""
    into = bytearray(end - start)
    place.fetch(start, end, memoryview(into))
    return bytes(into)


def once(fault, count=1):
    """Fail so many requests for data, and serve the others."""
    left = [count]

    def first(asked):
        left[0] -= asked.kind == "data"
        return fault if left[0] >= 0 else None

    return first


@pytest.mark.parametrize("span", [(0, SIZE), (0, 1), (SIZE - 1, SIZE), (777, 50_000)])
def test_a_range_has_the_bytes_of_the_file(double, file, span):
    found = place(double, file)
    assert fetched(found, *span) == file.read_bytes()[slice(*span)]
    assert double.counts.bytes["data"] == span[1] - span[0]


def test_a_length_that_is_not_known_is_asked_for(double, file):
    found = place(double, file, size=None)
    assert found.bytes == SIZE
    assert fetched(found, 0, SIZE) == file.read_bytes()


BORNE = [
    "status:500", "status:502", "status:503 Retry-After=0.05", "status:429 Retry-After=0.05",
    'status:429 RateLimit="resolvers";r=0;t=0', "status:408", "reset", "hang-up", "short",
    "broken", "part", "stall:1", "stop:1",
]  # fmt: skip


@pytest.mark.parametrize("fault", BORNE)
def test_what_fails_for_a_while_is_borne_and_goes_on_where_it_stopped(double, file, fault):
    double.fault = once(fault, 3)
    assert fetched(place(double, file)) == file.read_bytes()
    # What has come is not asked for again.
    assert double.counts.bytes["data"] <= SIZE + 3 * 4096 or fault.startswith(("broken", "stop"))


REFUSED = {
    "html": "a web page",
    "status:404": "answers 404",
    "status:400": "answers 400",
    "status:416": "has no byte",
    "changed-later": "changed while it was read",
    "longer": "now has 100,001",
    "moved": "the server sends 1-",
    "no-range": "does not say which bytes",
    "odd-range": "does not say which bytes",
    "redirect:file:///etc/passwd": "which is refused",
    "status:429 Retry-After=9999": "can not serve it now",
}


@pytest.mark.parametrize(("fault", "said"), REFUSED.items(), ids=REFUSED)
def test_what_is_wrong_for_good_is_said_and_not_tried_again(double, file, fault, said):
    found = place(double, file)
    fetched(found, 0, 10)
    double.fault = lambda _asked: fault.removesuffix("-later")
    with pytest.raises(ReadError, match=said) as raised:
        fetched(found, 0, 50_000)
    assert "SECRET" not in str(raised.value)
    assert double.counts.requests["data"] == 2


def test_a_server_that_ignores_ranges_is_refused_before_it_sends_the_file(double, tmp_path):
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(1 << 32)
    double.supports_ranges = False
    found = place(double, path, size=1 << 32)
    with pytest.raises(ReadError, match="ignores Range"):
        fetched(found, 0, 1000)
    # What the system holds on its way, and no more.
    assert double.counts.bytes["data"] < 64 << 20


def test_a_small_file_may_come_whole(double, file):
    double.supports_ranges = False
    assert fetched(place(double, file)) == file.read_bytes()


def test_a_server_that_always_fails_is_given_up(double, file):
    double.fault = lambda _asked: "status:503"
    with pytest.raises(ReadError, match="can not serve it now"):
        fetched(place(double, file, impatient(3)))
    assert double.counts.requests["data"] == 3


def test_no_network_is_said(file):
    gone = HubDouble()
    gone.close()
    with pytest.raises(ReadError, match="is there a network"):
        fetched(place(gone, file, impatient(2)))
    address = Address("http://nowhere.invalid/a?Signature=SECRET")
    with pytest.raises(ReadError, match="is there a network") as raised:
        HttpPlace("a", Fixed(address), impatient(2))
    assert "SECRET" not in str(raised.value)


def test_redirects_are_followed_and_credentials_stay_where_they_belong(double, file):
    target = f"{double.data}/digest?path={file}&Signature=SECRET-9e15-word"
    double.fault = lambda asked: f"redirect:{target}" if asked.kind == "resolve" else None
    address = Address(f"{double.endpoint}/a", {"Authorization": "Bearer word"})
    found = HttpPlace("a", Fixed(address), quick(), SIZE)
    assert fetched(found) == file.read_bytes()
    assert double.tokens == ["Bearer word", None]


def test_redirects_do_not_go_on_for_ever(double):
    double.fault = lambda _asked: f"redirect:{double.endpoint}/again"
    with pytest.raises(ReadError, match="more than 5 redirects"):
        fetched(HttpPlace("a", Fixed(Address(f"{double.endpoint}/a")), quick(), SIZE))


def test_an_address_that_is_refused_is_asked_for_again_once(double, file):
    asked = []

    class Signing:
        def address(self, _network, refused=None):
            asked.append(refused)
            since = "0" if refused is None and len(asked) == 1 else "9e15"
            return Address(f"{double.data}/d?path={file}&Signature=SECRET-{since}-{len(asked)}")

    double.valid_since = 1.0
    found = HttpPlace("a", Signing(), quick(), SIZE)
    assert fetched(found) == file.read_bytes()
    assert [each is None for each in asked] == [True, False]
    double.valid_since = 1e16
    with pytest.raises(ReadError, match="refuses it"):
        fetched(found)


def test_no_more_is_received_than_was_promised(double, file):
    network = quick(max_bytes=SIZE // 2)
    found = place(double, file, network)
    fetched(found, 0, SIZE // 2)
    with pytest.raises(ReadError, match="more than the 50,000"):
        fetched(found, 0, 1)
    assert double.counts.bytes["data"] == SIZE // 2


def test_a_fifth_of_all_requests_may_fail_at_random(double, file):
    faults = ("status:503", "status:500", "reset", "hang-up", "short", "broken", "part")
    double.fault = at_random(1, 0.2, faults, ("data",))
    content, network = file.read_bytes(), quick()
    found = place(double, file, network)
    for start in range(0, SIZE, 5000):
        assert fetched(found, start, start + 5000) == content[start : start + 5000]


def test_what_it_is_known_by_is_its_etag_and_its_place(double, file):
    found = place(double, file)
    assert found.identity == ""
    fetched(found, 0, 1)
    assert found.etag in found.identity
    double.etags[str(file)] = 'W/"weak"'
    weak = place(double, file)
    fetched(weak, 0, 1)
    assert weak.identity == ""


def test_it_travels_without_what_it_has_open(double, file):
    found = place(double, file)
    fetched(found, 0, 1)
    again = pickle.loads(pickle.dumps(found))
    assert (again.name, again.bytes) == ("file.bin", SIZE)
    assert fetched(again, 5, 9) == file.read_bytes()[5:9]


def test_user_and_password_are_shown_and_not_said():
    address = Address.of("https://me:a%20b@host/a?b")
    assert address.url == "https://host/a?b"
    assert address.headers == {"Authorization": "Basic bWU6YSBi"}
    assert "host" not in repr(address)
    assert Address.of("https://host/a").headers == {}
