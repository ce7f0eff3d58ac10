"""What is in an image, as a CycloneDX document: the packages of Debian and of Python.

The one idea: the same image gives the same document, its number and its time included, so that two
can be compared.  Pure: the listings come from the caller.
"""

import uuid
from collections.abc import Iterable, Iterator
from datetime import datetime

from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

# Each prints a line for a package: the name, the version, and for Debian's the architecture.
DEBIAN_LISTING = ["dpkg-query", "--show", "--showformat", "${Package} ${Version} ${Architecture}\n"]
PYTHON_LISTING = [
    "python3",
    "-c",
    "from importlib.metadata import distributions\n"
    "for each in distributions(): print(each.metadata['Name'], each.version)",
]
RELEASE_FILE = ["cat", "/etc/os-release"]
INDENT = 1


def document(
    image: str, image_id: str, made: datetime, debian: str, python: str, release: str
) -> str:
    """Return the document of the image, as JSON."""
    whole = Component(
        name=image.partition("@")[0].rpartition(":")[0] or image,
        version=image_id,
        type=ComponentType.CONTAINER,
        bom_ref="image",
    )
    parts = [*_debian(debian, _codename(release)), *_python(python)]
    bom = Bom(
        components=parts,
        serial_number=uuid.uuid5(uuid.NAMESPACE_OID, image_id),
        metadata=BomMetaData(component=whole, timestamp=made),
    )
    bom.register_dependency(whole, parts)
    return JsonV1Dot6(bom).output_as_string(indent=INDENT)


def _codename(release: str) -> str:
    """Return the name of the release, such as bookworm."""
    lines = (line.partition("=") for line in release.splitlines())
    named = {name: text.strip('"') for name, _, text in lines}
    return named.get("VERSION_CODENAME", "")


def _debian(listing: str, codename: str) -> Iterator[Component]:
    for name, version, architecture in _words(listing):
        about = {"arch": architecture, "distro": codename}
        yield _part(PackageURL("deb", "debian", name, version, about), ComponentType.LIBRARY)


def _python(listing: str) -> Iterator[Component]:
    for name, version in _words(listing):
        yield _part(PackageURL("pypi", None, name, version), ComponentType.LIBRARY)


def _words(listing: str) -> Iterable[list[str]]:
    """Return the words of each line, each line once and in their order."""
    return [line.split() for line in sorted(set(listing.splitlines())) if line.strip()]


def _part(url: PackageURL, kind: ComponentType) -> Component:
    return Component(
        name=url.name, version=url.version, type=kind, purl=url, bom_ref=url.to_string()
    )
