"""`ca`: the certificates of a fleet, on the operator's machine. Members get theirs from `deploy`."""

import os
import re
import time
from collections.abc import Sequence

from coordctl.authority import making
from coordctl.authority.files import BOTH, OPERATOR, SETTLED, Authority
from coordctl.authority.making import MEMBER_URI, About
from coordctl.inventory.model import Inventory
from coordctl.results.ca import CaIssued, CaMade, CaRenewed, CaRevoked, CaShown, ShownCertificate
from coordnode.client.tls import VARIABLE
from coordnode.errors import BadRequest

DAY_SECONDS = 86_400
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,62}", re.ASCII)


def authority_of(inventory: Inventory) -> Authority:
    return Authority(inventory.beside("ca"))


def become_operator(inventory: Inventory) -> None:
    """This process asks as the client that was made for whoever deploys."""
    authority = authority_of(inventory)
    if inventory.tls and authority.exists():
        os.environ[VARIABLE] = authority.client(OPERATOR, inventory.certificate_days)


def init(inventory: Inventory) -> CaMade:
    authority = authority_of(inventory)
    authority.init(inventory.name)
    return CaMade(cluster=inventory.name, folder=authority.folder)


def issue(inventory: Inventory, name: str, days: int | None) -> CaIssued:
    if NAME.fullmatch(name) is None:
        raise BadRequest(f"a client's name has up to 63 of A-Z, a-z, 0-9 and ._@-, not {name!r}")
    authority = authority_of(inventory)
    folder = authority.client(name, days or inventory.certificate_days, renew=days is not None)
    shown = _one("client", name, making.about(authority.certificate_of("client", name)))
    return CaIssued(cluster=inventory.name, folder=folder, certificate=shown)


def renew(inventory: Inventory, names: Sequence[str]) -> CaRenewed:
    """Of the members and clients that are named, or of all there are."""
    authority = authority_of(inventory)
    known = list(authority.valid())
    unknown = [name for name in names if name not in [one for _, one, _ in known]]
    if unknown:
        raise BadRequest(f"no certificate was made for {unknown[0]}; there are: {', '.join(name for _, name, _ in known) or 'none'}")
    for kind, name, about in known:
        if names and name not in names:
            continue
        if kind == "member":
            authority.member(name, int(about.uri.removeprefix(MEMBER_URI)), inventory.certificate_days, renew=True)
        else:
            authority.client(name, inventory.certificate_days, renew=True)
    fresh = [_one(*each) for each in authority.valid() if not names or each[1] in names]
    return CaRenewed(cluster=inventory.name, certificates=fresh)


def revoke(inventory: Inventory, name: str, reason: str) -> CaRevoked:
    """Members believe the list that `config push` brings them."""
    authority = authority_of(inventory)
    found = [kind for kind, one, _ in authority.issued() if one == name]
    if not found:
        raise BadRequest(f"no certificate was made for {name}, or it was revoked already; coordctl ca show lists those that there are")
    if name == OPERATOR and found == ["client"]:
        raise BadRequest("the operator's certificate brings the list to members: make it anew with `coordctl ca renew operator` first")
    return CaRevoked(cluster=inventory.name, name=name, fingerprint=authority.revoke(found[0], name, reason))


def is_alone(authority: Authority) -> bool:
    """No certificates but members' and the operator's: whoever rotates has every folder here."""
    return all([kind == "member" or name == OPERATOR for kind, name, _ in authority.valid()])


def complete_stage(inventory: Inventory) -> bool:
    """What a run that was stopped left of the stage it was in; whether it left anything."""
    return authority_of(inventory).complete(inventory.certificate_days)


def next_stage(inventory: Inventory) -> str:
    """Brings the authority one stage on, and says which it is in. Everybody must have been brought all of the present one."""
    authority = authority_of(inventory)
    stage = authority.stage()
    if stage == SETTLED:
        authority.believe_next(inventory.name)
    elif stage == BOTH:
        authority.sign_with_next(inventory.certificate_days)
    else:
        authority.forget_old()
    return authority.stage()


def show(inventory: Inventory) -> CaShown:
    authority = authority_of(inventory)
    return CaShown(cluster=inventory.name, folder=authority.folder, certificates=_shown(authority))


def _shown(authority: Authority) -> list[ShownCertificate]:
    return [_one("authority", "-", authority.about()), *(_one(kind, name, about) for kind, name, about in authority.issued())]


def _one(kind: str, name: str, about: About) -> ShownCertificate:
    return ShownCertificate(
        kind=kind,  # type: ignore[arg-type]  # one of the three
        name=name,
        uri=about.uri,
        fingerprint=about.fingerprint,
        ends_unix_s=about.ends_unix_s,
        days_left=int(about.ends_unix_s - time.time()) // DAY_SECONDS,
    )
