"""How a transcript says what a raft core did: one short line for each message, write and change."""

from collections.abc import Sequence

from coordnode.ids import Index, MemberId
from coordnode.raft.entry import CONFIG, NOOP, Config, Entry, decode_config
from coordnode.raft.messages import (
    Append,
    AppendReply,
    Chunk,
    ChunkReply,
    ConfirmAsk,
    ConfirmReply,
    Heartbeat,
    HeartbeatReply,
    Message,
    VoteAsk,
    VoteReply,
)
from coordnode.raft.progress import PROBE, REPLICATE, Progress
from coordnode.raft.ready import Write
from coordnode.raft.replication import NO_STATE


def name(member: MemberId | int) -> str:
    return f"n{member}"


def names(members: tuple[MemberId, ...]) -> str:
    return ",".join(name(member) for member in members)


def config_words(config: Config) -> str:
    words = f"voters {names(config.voters)}"
    if config.outgoing:
        words += f" and {names(config.outgoing)}"
    if config.learners:
        words += f" learners {names(config.learners)}"
    return words


def entry_words(entry: Entry) -> str:
    if entry.kind == NOOP:
        what = "-"
    elif entry.kind == CONFIG:
        what = f"({config_words(decode_config(entry.data))})"
    else:
        what = entry.data.decode()
    return f"{entry.index}:t{entry.term} {what}"


def entries_words(entries: Sequence[Entry]) -> str:
    return "[" + ", ".join(entry_words(entry) for entry in entries) + "]"


def _round(number: int) -> str:
    return f" round {number}" if number else ""


def message_words(message: Message) -> str:
    return f"{name(message.source)}->{name(message.target)} t{message.term} {_content(message)}"


def _content(message: Message) -> str:
    match message:
        case VoteAsk():
            kind = "pre-vote?" if message.pre else "vote?"
            asked = " the leader wants it" if message.transfer else ""
            return f"{kind} my log ends at {message.last_index}:t{message.last_term}{asked}"
        case VoteReply():
            answer = "granted" if message.granted else "refused"
            lost = ", I lost entries" if message.lost_entries else ""
            return f"{'pre-vote' if message.pre else 'vote'} {answer}{lost}"
        case Append():
            after = f"after {message.prev_index}:t{message.prev_term}"
            return f"append {after} {entries_words(message.entries)} commit {message.commit}{_round(message.round)}"
        case AppendReply() if message.accepted:
            return f"appended up to {message.match}{_round(message.round)}"
        case AppendReply() if message.hint_index == NO_STATE:
            return "not appended: no state here"
        case AppendReply():
            return f"not appended after {message.match}: try {message.hint_index}:t{message.hint_term}"
        case Heartbeat():
            return f"heartbeat commit {message.commit}{_round(message.round)}"
        case HeartbeatReply():
            return f"heartbeat reply{_round(message.round)}"
        case Chunk():
            return f"snapshot {message.meta.index} slice {message.number}{' (last)' if message.last else ''}"
        case ChunkReply() if message.installed:
            return f"snapshot {message.index} is in place, entries after {message.match} please"
        case ChunkReply():
            return f"snapshot {message.index} slice {message.next_number} please"
        case ConfirmReply() if message.number:
            return f"{message.commit} is committed (answers question {message.number} of boot {message.asked_boot})"
        case ConfirmReply():
            return f"regain everything up to {message.commit} (answers boot {message.asked_boot})"
        case ConfirmAsk() if message.number:
            return f"what is committed? (question {message.number} of boot {message.boot})"
        case _:
            return {"TakeOver": "take over", "ConfirmAsk": f"how far must I come? (boot {message.boot})"}[type(message).__name__]


def write_words(write: Write) -> str:
    parts = []
    if write.hard_state is not None:
        vote = name(write.hard_state.vote) if write.hard_state.vote else "nobody"
        parts.append(f"term {write.hard_state.term} vote {vote}{' entries lost' if write.hard_state.lost_entries else ''}")
    if write.reset_to is not None:
        parts.append(f"log begins after snapshot {write.reset_to.index}")
    if write.truncate_from:
        parts.append(f"undo from {write.truncate_from}")
    if write.entries:
        parts.append(entries_words(write.entries))
    return "; ".join(parts) or "nothing, only waits for earlier writes"


def progress_words(member: MemberId, peer: Progress) -> str:
    if peer.state == PROBE:
        state = "probe"
    elif peer.state == REPLICATE:
        state = f"replicate, {len(peer.inflight)} appends under way"
    else:
        state = f"snapshot, slice {peer.chunk_number}"
    return f"{name(member)}: match {peer.match} next {peer.next_index} {state}"


def span(entries: Sequence[Entry]) -> str:
    return entries_words(entries) if len(entries) <= 4 else f"{entries[0].index}..{Index(entries[-1].index)}"
