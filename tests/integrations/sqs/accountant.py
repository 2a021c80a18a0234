"""The accountant, who judges what became of messages: from the journal of the runs, the wire, and the fake's timeline.

He never asks protectwork. What he wants to know of each receipt of a message he takes from what SQS said on the wire:
from when it was invisible, until when at the latest, and whether it was deleted or given back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf

from integrations.celery_worker.journal import Run
from integrations.sqs.wire import Exchange, Wire

from protectwork.testing import FakeAgent


@dataclass(kw_only=True, eq=False)
class Receipt:
    """One receipt of a message.

    Attributes:
        id: The message.
        handle: SQS's name for this receipt.
        at: When SQS had answered.
        held_until: Until when SQS hides it at least.
        hidden_until: Until when SQS hides it at most.
        hidings: When it was extended.
        deleted_at: When its deletion was asked for; inf: never.
        returned_at: When it was given back; inf: never.
    """

    id: str
    handle: str
    at: float
    held_until: float
    hidden_until: float
    hidings: list[float] = field(default_factory=list)
    deleted_at: float = inf
    returned_at: float = inf


class Accounts:
    """The books over one queue.

    Args:
        wire: What went over the wire.
        runs: The runs of handlers.
        agent: The agent of the task that they ran in.
    """

    def __init__(self, wire: Wire, runs: Iterable[Run], agent: FakeAgent) -> None:
        self.runs = list(runs)
        self._agent = agent
        self.receipts: dict[str, Receipt] = {}
        for exchange in sorted(wire.exchanges(), key=lambda each: each.answered or inf):
            if exchange.status == 200:
                self._enter(exchange)

    # -- what he is asked

    def of(self, message_id: str) -> list[Receipt]:
        """The receipts of a message, in their order."""
        return [receipt for receipt in self.receipts.values() if receipt.id == message_id]

    def faults(self, messages: Iterable[str], *, visibility_s: float, handled: bool = True) -> list[str]:
        """What was wrong with the consuming of these messages, after all workers have ended.

        Args:
            messages: Their ids.
            visibility_s: The visibility time-out of the workers.
            handled: Whether all of them were to be handled.
        """
        return [
            *self.unprotected(),
            *self.twice_at_once(),
            *self.deleted_without_being_handled(),
            *self.stranded(visibility_s),
            *(self.unsettled(messages) if handled else ()),
        ]

    def unprotected(self) -> list[str]:
        """The runs in which the task was not protected all the time."""
        return [
            f"unprotected: {run.id} in process {run.pid}, for {_lengths(run, self._agent)}"
            for run in self.runs
            if not self._agent.was_protected(run.start, run.last)
        ]

    def twice_at_once(self) -> list[str]:
        """The messages that were handled twice at once, and the first was not lost by SQS's word."""
        by_id: dict[str, list[Run]] = defaultdict(list)
        for run in sorted(self.runs, key=lambda run: run.start):
            by_id[run.id].append(run)
        return [
            f"twice at once: {one.id}, from {two.start:.3f} to {one.last:.3f}"
            for runs in by_id.values()
            for one, two in pairwise(runs)
            if two.start < one.last and not self._lapsed(one, two.start)
        ]

    def deleted_without_being_handled(self) -> list[str]:
        """The messages that were deleted before a handler had done with this receipt of them."""
        handled = {run.remarks.get("receipt"): run.last for run in self.runs if run.remarks.get("result") == "handled"}
        return [
            f"deleted without being handled: {receipt.id}"
            for receipt in self.receipts.values()
            if receipt.deleted_at < handled.get(receipt.handle, inf)
        ]

    def stranded(self, visibility_s: float) -> list[str]:
        """The messages that nobody worked on, and that were hidden for longer than their time-out all the same."""
        ends = {run.remarks.get("receipt"): run.last for run in self.runs}
        found = []
        for receipt in self.receipts.values():
            idle_since = ends.get(receipt.handle, receipt.at)
            hidden_s = min(receipt.hidden_until, receipt.returned_at) - idle_since
            # What was extended while its handler ended ends up to half a time-out later.
            if receipt.deleted_at == inf and hidden_s > 1.5 * visibility_s:
                found.append(f"stranded: {receipt.id}, for {hidden_s:.2f} s")
        return found

    def not_given_back(self) -> list[str]:
        """The messages that were received, never handled, and not made visible again at once."""
        begun = {run.remarks.get("receipt") for run in self.runs}
        return [
            f"not given back: {receipt.id}"
            for receipt in self.receipts.values()
            if receipt.handle not in begun and receipt.returned_at == inf
        ]

    def unsettled(self, messages: Iterable[str]) -> list[str]:
        """Those that were never handled and deleted."""
        settled = {receipt.id for receipt in self.receipts.values() if receipt.deleted_at < inf}
        return [f"never settled: {message}" for message in messages if message not in settled]

    # -- how he keeps them

    def _lapsed(self, run: Run, moment: float) -> bool:
        """Whether its message was not hidden any more, without having been given back."""
        receipt = self.receipts[run.remarks["receipt"]]
        return receipt.returned_at == inf and receipt.held_until < moment

    def _enter(self, exchange: Exchange) -> None:
        match exchange.operation:
            case "ReceiveMessage":
                self._received(exchange)
            case "ChangeMessageVisibilityBatch":
                for receipt, entry in self._successes(exchange):
                    _hidden(receipt, int(entry["VisibilityTimeout"]), exchange)
            case "DeleteMessageBatch":
                for receipt, _ in self._successes(exchange):
                    receipt.deleted_at = min(receipt.deleted_at, exchange.asked)

    def _received(self, exchange: Exchange) -> None:
        for raw in exchange.answer.get("Messages") or ():
            for_s = int(exchange.request["VisibilityTimeout"])
            self.receipts[raw["ReceiptHandle"]] = Receipt(
                id=raw["MessageId"],
                handle=raw["ReceiptHandle"],
                at=exchange.answered,
                held_until=exchange.asked + for_s,
                hidden_until=exchange.answered + for_s,
            )

    def _successes(self, exchange: Exchange) -> Iterable[tuple[Receipt, Mapping[str, str]]]:
        good = {entry["Id"] for entry in exchange.answer.get("Successful") or ()}
        for entry in exchange.request["Entries"]:
            receipt = self.receipts.get(entry["ReceiptHandle"])
            if receipt and entry["Id"] in good:
                yield receipt, entry


def _hidden(receipt: Receipt, for_s: int, exchange: Exchange) -> None:
    receipt.held_until, receipt.hidden_until = exchange.asked + for_s, exchange.answered + for_s
    if for_s:
        receipt.hidings.append(exchange.asked)
        receipt.returned_at = inf
    else:
        receipt.returned_at = exchange.asked


def _lengths(run: Run, agent: FakeAgent) -> str:
    spans = agent.unprotected_spans(run.start, run.last)
    return ", ".join(f"{span.end - span.start:.3f} s" for span in spans)
