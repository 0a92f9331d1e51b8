"""What counts as private data here: one line an entity, with the words a person reads."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entity:
    """One kind of private data.

    structured: an identifier with a form of its own, as against a name or a place, which only a sentence tells.
    default: looked for unless the user chooses otherwise.
    """

    key: str
    label: str
    structured: bool = True
    default: bool = True


_ALL = (
    Entity("PERSON", "Person", structured=False),
    Entity("LOCATION", "Place", structured=False, default=False),
    Entity("ADDRESS", "Postal address", structured=False),
    Entity("BIRTH_DATE", "Date of birth"),
    Entity("EMAIL", "E-mail"),
    Entity("PHONE", "Phone"),
    Entity("URL", "Web address of a person"),
    Entity("IP_ADDRESS", "IP address"),
    Entity("MAC_ADDRESS", "Network card"),
    Entity("CREDIT_CARD", "Payment card"),
    Entity("IBAN", "IBAN"),
    Entity("BIC", "Bank code (BIC)"),
    Entity("BANK_ACCOUNT", "Bank account"),
    Entity("CRYPTO", "Crypto wallet"),
    Entity("PASSPORT", "Passport"),
    Entity("DRIVER_LICENCE", "Driving licence"),
    Entity("LICENCE_PLATE", "Licence plate"),
    Entity("RECORD_NUMBER", "Record or member number"),
    Entity("US_SSN", "US Social Security number"),
    Entity("US_ITIN", "US taxpayer number (ITIN)"),
    Entity("US_NPI", "US provider number (NPI)"),
    Entity("US_DEA", "US prescriber number (DEA)"),
    Entity("US_MBI", "US Medicare number (MBI)"),
    Entity("UK_NHS", "UK NHS number"),
    Entity("UK_NINO", "UK National Insurance number"),
    Entity("DE_TAX_ID", "German tax number"),
    Entity("DE_ID_CARD", "German identity card"),
    Entity("DE_HEALTH_INSURANCE", "German health insurance number"),
    Entity("DE_SOCIAL_SECURITY", "German pension insurance number"),
    Entity("ES_NIF", "Spanish DNI or NIF"),
    Entity("ES_NIE", "Spanish NIE"),
    Entity("SE_PERSONNUMMER", "Swedish personal number"),
    Entity("SE_ORGNR", "Swedish organisation number"),
)
ENTITIES: dict[str, Entity] = {entity.key: entity for entity in _ALL}
DEFAULT = tuple(entity.key for entity in _ALL if entity.default)
LANGUAGES = ("en", "de", "es", "sv")


def label(key: str) -> str:
    """The words for an entity; a key that is not known (a rule of the user's own) is its own label."""
    found = ENTITIES.get(key)
    return found.label if found else key.replace("_", " ").capitalize()
