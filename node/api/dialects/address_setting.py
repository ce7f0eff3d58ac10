"""ADDRESS: what two contracts call SOCKET_ADDRESS."""

from node.addresses import AN_ADDRESS, canonical
from node.api.entry import Given, Texts
from node.setting_types import Kind, Setting

ADDRESS = Setting(
    "ADDRESS",
    Kind(canonical, AN_ADDRESS),
    "",
    "",
    "the same, as keys_view and admin_view call it (where SOCKET_ADDRESS is not given)",
    stands_for="SOCKET_ADDRESS",
    places=True,
)


def is_given(given: Given) -> bool:
    """Whether the settings give the node's address by this name alone."""
    return bool(given["ADDRESS"]) and not given["SOCKET_ADDRESS"]


def as_socket_address(given: Given) -> Texts:
    """Return SOCKET_ADDRESS, if it is not given; an error in it names ADDRESS."""
    if not is_given(given):
        return {}
    ADDRESS.read(given["ADDRESS"])
    return {"SOCKET_ADDRESS": given["ADDRESS"]}
