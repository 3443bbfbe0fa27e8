"""A system beside Firstcome. It knows the topics, confluent-kafka and cloudevents, and nothing else of it.

    neighbour.py produce BROKERS TOPIC [PARTITIONER]   takes events as JSON lines, prints where each of them went
    neighbour.py consume BROKERS TOPIC COUNT           prints the first COUNT events as JSON lines
"""

import json
import sys
import time

from cloudevents.core.bindings.kafka import KafkaMessage, from_binary, to_binary
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from cloudevents.v1 import kafka as older
from confluent_kafka import Consumer, Producer

PATIENCE = 60  # seconds


def produce(brokers, topic, partitioner=None):
    config = {"bootstrap.servers": brokers, "enable.idempotence": True}
    if partitioner:
        config["partitioner"] = partitioner
    producer = Producer(config)
    places = []

    def delivered(error, message):
        if error:
            sys.exit(f"not delivered: {error}")
        places.append((message.partition(), message.offset()))

    for line in sys.stdin:
        wanted = json.loads(line)
        attributes = {"source": "/neighbour", "datacontenttype": "application/json", **wanted["attributes"]}
        attributes["partitionkey"] = wanted["data"]["coupon_id"]
        message = to_binary(CloudEvent(attributes, wanted["data"]), JSONFormat())
        producer.produce(topic, key=message.key, value=message.value, headers=list(message.headers.items()), on_delivery=delivered)
        if producer.flush(PATIENCE):  # one by one: the order is part of the test
            sys.exit("not delivered in time")
        partition, offset = places[-1]
        print(json.dumps({"partition": partition, "offset": offset}), flush=True)


def consume(brokers, topic, count):
    consumer = Consumer({
        "bootstrap.servers": brokers,
        "group.id": f"{topic}.neighbour.{time.time_ns()}",
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    })
    consumer.subscribe([topic])
    deadline = time.monotonic() + PATIENCE
    left = int(count)
    while left:
        if time.monotonic() > deadline:
            sys.exit(f"{left} events are missing")
        record = consumer.poll(1)
        if record is None:
            continue
        if record.error():
            if record.error().fatal():
                sys.exit(str(record.error()))
            continue
        print(json.dumps(described(record)), flush=True)
        left -= 1
    consumer.close()


def described(record):
    headers = dict(record.headers())
    event = from_binary(KafkaMessage(headers, record.key(), record.value()), JSONFormat())
    before = older.from_binary(older.KafkaMessage(headers, record.key(), record.value()))  # as in cloudevents 1.x
    if before.get_data() != event.get_data() or before["id"] != event.get_id():
        sys.exit("two versions of cloudevents read two different events")
    return {
        "partition": record.partition(),
        "offset": record.offset(),
        "timestamp": record.timestamp()[1],
        "attributes": {name: value.isoformat() if name == "time" else value for name, value in event.get_attributes().items()},
        "data": event.get_data(),
    }


if __name__ == "__main__":
    {"produce": produce, "consume": consume}[sys.argv[1]](*sys.argv[2:])
