"""A system beside Firstcome. It knows Kafka, CloudEvents and docs/events.md, and nothing else of it.

    neighbour.py define COUPON LIMIT         defines a coupon that is given once
    neighbour.py claim PEOPLE COUPON...      claims each coupon for so many people, and prints where in the log each claim is
    neighbour.py consume COUPON [COUNT]      prints what the journal says of a coupon, until it is exhausted or COUNT times

Output is JSON lines. KAFKA_BROKERS says where Kafka is, KAFKA_TOPIC_PREFIX what stands in front of its topics, if anything.
"""

import json
import os
import sys

from cloudevents.core.bindings.kafka import KafkaMessage, from_binary, to_binary
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from confluent_kafka import OFFSET_INVALID, Consumer, KafkaException, Producer, TopicPartition

DEFINED = "firstcome.coupon.defined"
CLAIMED = "firstcome.claim.requested"
GRANTED = "firstcome.coupon.granted"


# region publish
class Requests:
    """Appends definitions and claims to the requests log. Each is acknowledged by all in-sync replicas, and is there once."""

    def __init__(self, brokers, topic):
        self.topic = topic
        self.failed = None
        self.producer = Producer({
            "bootstrap.servers": brokers,
            "enable.idempotence": True,
            "partitioner": "murmur2_random",  # Java's; librdkafka's own default would be a wrong_partition
        })

    def publish(self, kind, data, correlation_id, appended):
        """Sends one record; appended(partition, offset) is called when it is in the log."""
        attributes = {
            "source": "/neighbour",
            "type": kind,
            "subject": data["coupon_id"],
            "datacontenttype": "application/json",
            "correlationid": correlation_id,
        }
        message = to_binary(CloudEvent(attributes, data), JSONFormat())

        def delivered(error, record):
            if error:
                self.failed = self.failed or error
            else:
                appended(record.partition(), record.offset())

        while True:
            try:
                self.producer.produce(self.topic, key=data["coupon_id"], value=message.value,
                                      headers=list(message.headers.items()), on_delivery=delivered)
                break
            except BufferError:  # too many are on their way
                self.producer.poll(1)
        self.producer.poll(0)

    def flush(self):
        """Returns when everything is in the log."""
        left = self.producer.flush(60)
        if left or self.failed:
            raise SystemExit(f"not delivered: {self.failed or f'{left} records, within a minute'}")
# endregion


# region consume
class Journal:
    """Reads the journal in order, as a member of a group, and each record once: late copies are dropped by their source. The
    highest source is kept beside the offset, in the commit's metadata, so that they are dropped after a restart too."""

    def __init__(self, brokers, topic, group):
        self.topic = topic
        self.highest = {}  # source offset by partition
        self.next = {}  # offset by partition
        self.consumer = Consumer({
            "bootstrap.servers": brokers,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        })
        self.consumer.subscribe([topic], on_assign=self._assigned)

    def _assigned(self, consumer, partitions):
        for place in consumer.committed(partitions, timeout=30):
            if place.error:
                raise KafkaException(place.error)
            words = (place.metadata or "").split(" ")
            known = place.offset != OFFSET_INVALID and words[0].startswith("source=")
            self.highest[place.partition] = int(words[0].removeprefix("source=")) if known else -1

    def follow(self, handle):
        """Hands each record to handle(event, record) until that returns True: close the journal then, what was fetched with that
        record is handed over by the next one. What was handled since the last commit comes again after a crash."""
        enough = False
        while not enough:
            for record in self.consumer.consume(500, timeout=1):
                if record.error():
                    if record.error().fatal():
                        raise KafkaException(record.error())
                    print(record.error(), file=sys.stderr)  # librdkafka tries again
                    continue
                enough = self._take(record, handle)
                if enough:
                    break
            self._commit()

    def _take(self, record, handle):
        partition, enough = record.partition(), False
        event = from_binary(KafkaMessage(dict(record.headers()), record.key(), record.value()), JSONFormat())
        if event.get_type() in (DEFINED, GRANTED):  # there may be others one day
            source = event.get_data()["source"]["offset"]
            if source > self.highest[partition]:
                enough = handle(event, record)
                self.highest[partition] = source
        self.next[partition] = record.offset() + 1
        return enough

    def _commit(self):
        places = [TopicPartition(self.topic, p, offset, metadata=f"source={self.highest[p]}" if self.highest[p] >= 0 else "")
                  for p, offset in self.next.items()]
        if places:
            self.consumer.commit(offsets=places, asynchronous=False)
        self.next.clear()

    def close(self):
        self.consumer.close()
# endregion


def show(line):
    print(json.dumps(line, ensure_ascii=False), flush=True)


def define(requests, coupon, limit):
    data = {"coupon_id": coupon, "limit": int(limit), "window": "none", "time_zone": "Asia/Seoul", "opens_at": "2026-01-01T09:00:00+09:00"}
    requests.publish(DEFINED, data, f"{coupon}/definition", lambda partition, offset: show({"coupon_id": coupon, "partition": partition, "offset": offset}))
    requests.flush()


def claim(requests, people, *coupons):
    for coupon in coupons:
        for n in range(int(people)):
            data = {"coupon_id": coupon, "user_id": f"손님-{n}"}
            requests.publish(CLAIMED, data, f"{coupon}/{n}", lambda partition, offset, data=data: show({**data, "partition": partition, "offset": offset}))
    requests.flush()


def consume(journal, coupon, count=0):
    seen = 0

    def handle(event, record):
        nonlocal seen
        data = event.get_data()
        if data["coupon_id"] != coupon:
            return False
        attributes = {name: value.isoformat() if name == "time" else value for name, value in event.get_attributes().items()}
        show({"partition": record.partition(), "offset": record.offset(), "timestamp": record.timestamp()[1], "attributes": attributes, "data": data})
        seen += 1
        return data.get("sequence") == data["limit"] or seen == int(count)

    journal.follow(handle)
    journal.close()


def main(command, *arguments):
    brokers = os.environ["KAFKA_BROKERS"]
    prefix = os.environ.get("KAFKA_TOPIC_PREFIX", "")
    requests = prefix + "coupon.requests"
    if command == "define":
        define(Requests(brokers, requests), *arguments)
    elif command == "claim":
        claim(Requests(brokers, requests), *arguments)
    elif command == "consume":
        consume(Journal(brokers, prefix + "coupon.grants", f"{prefix}neighbour.{arguments[0]}"), *arguments)
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
