"""Our own routes: their exchanges go as written; the process incarnations whatever its facts
are."""

from node.api.admin.health import native
from node.api.contract import Call, Facts, Reply
from tests.dialects.exchanges import HERE, LIMITS, played_file


def test_goes_as_written() -> None:
    path = HERE / "native.txt"
    assert played_file(path) == path.read_text()


def test_livez_asks_no_other_node() -> None:
    def no_facts() -> Facts:
        raise AssertionError("a process that cannot say how it is still lives")

    livez = next(route.handler for route in native().routes if route.pattern == "/livez")
    said = livez(Call("GET", {}, {}, {}, b"", no_facts, LIMITS))
    assert isinstance(said, Reply)
    assert said.status == 200
