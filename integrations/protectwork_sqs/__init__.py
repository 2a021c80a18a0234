"""Consumes an SQS queue on ECS, so that no message is lost when tasks are stopped: around your loop, or whole."""

from protectwork_sqs._async_consumer import AsyncSQSConsumer
from protectwork_sqs._consumer import SQSConsumer
from protectwork_sqs._errors import QueueError
from protectwork_sqs._events import MessageLost, MessageReceived, MessageReturned, MessageSettled
from protectwork_sqs._loops import Batch, ProtectedBatches, ProtectedMessages, protected_batches, protected_messages
from protectwork_sqs._message import Lost, Message
from protectwork_sqs._options import ConsumingOptions

__all__ = [
    "AsyncSQSConsumer",
    "Batch",
    "ConsumingOptions",
    "Lost",
    "Message",
    "MessageLost",
    "MessageReceived",
    "MessageReturned",
    "MessageSettled",
    "ProtectedBatches",
    "ProtectedMessages",
    "QueueError",
    "SQSConsumer",
    "protected_batches",
    "protected_messages",
]
