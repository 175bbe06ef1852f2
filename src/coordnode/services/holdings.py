"""What sessions hold, over all services: claims to let go of when a session ends, and the tokens that are live. Pure.

A claim is anything that must not outlive a session: a lock held or awaited, a candidacy, a membership, a task. A token is one grant;
while it is live, transactions and resources may ask for it.
"""

from collections.abc import Iterator
from struct import Struct

import msgspec

from coordnode.ids import SessionId, Token
from coordnode.services.state import TOKEN_MAX, Scalars
from coordnode.services.tables import Table

CLAIMS_ID = 10
TOKENS_ID = 11

CLAIM_CHARGE_BYTES = 120  # what a claim takes in memory beside its name
TOKEN_CHARGE_BYTES = 180

_pack_claims = Struct(">QB").pack
_pack_token = Struct(">Q").pack


class Live(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    space: int  # of the service that granted it
    name: bytes
    session: SessionId


class Holdings:
    def __init__(self, scalars: Scalars) -> None:
        self._scalars = scalars
        self._claims: Table[int] = Table(CLAIMS_ID, int)  # session, space and what is claimed -> 1
        self._tokens: Table[Live] = Table(TOKENS_ID, Live)
        self.containers = (self._claims, self._tokens)

    # --- claims --------------------------------------------------------------------------------------------------------

    def claim(self, session: SessionId, space: int, what: bytes) -> None:
        key = _pack_claims(session, space) + what
        assert self._claims.get(key) is None, f"session {session} claims {what!r} twice"
        self._claims.set(key, 1)
        self._scalars.state_bytes += len(what) + CLAIM_CHARGE_BYTES

    def unclaim(self, session: SessionId, space: int, what: bytes) -> None:
        was_there = self._claims.delete(_pack_claims(session, space) + what)
        assert was_there, f"session {session} does not claim {what!r}"
        self._scalars.state_bytes -= len(what) + CLAIM_CHARGE_BYTES

    def claims(self, session: SessionId, space: int, prefix: bytes = b"") -> list[bytes]:
        """In their own order; those that begin with `prefix`."""
        place = _pack_claims(session, space)
        found: list[bytes] = []
        for key, _ in self._claims.scan(place + prefix, _pack_claims(session, space + 1)):
            if not key.startswith(prefix, len(place)):
                break
            found.append(key[len(place) :])
        return found

    # --- tokens --------------------------------------------------------------------------------------------------------

    def next_number(self) -> Token:
        """A number that no grant ever had or will have."""
        token = self._scalars.token_next
        assert token <= TOKEN_MAX, "the token counter has reached 2**53"
        self._scalars.token_next = Token(token + 1)
        return token

    def grant(self, space: int, name: bytes, session: SessionId) -> Token:
        """A new token, higher than all before it."""
        token = self.next_number()
        self._tokens.set(_pack_token(token), Live(space, name, session))
        self._scalars.state_bytes += len(name) + TOKEN_CHARGE_BYTES
        return token

    def revoke(self, token: Token) -> None:
        live = self.live(token)
        assert live is not None, f"token {token} is not live"
        self._tokens.delete(_pack_token(token))
        self._scalars.state_bytes -= len(live.name) + TOKEN_CHARGE_BYTES

    def live_tokens(self) -> Iterator[tuple[Token, Live]]:
        for key, live in self._tokens.items():
            yield Token(int.from_bytes(key, "big")), live

    def live(self, token: Token) -> Live | None:
        """What the token is held for, by whom; None: it never was, or its grant is over."""
        return self._tokens.get(_pack_token(token)) if 0 < token <= TOKEN_MAX else None
