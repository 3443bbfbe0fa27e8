"""The golden records of Firstcome, as cloudevents reads them: python -m unittest, without Kafka."""

import json
import pathlib
import unittest

from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from cloudevents.v1 import kafka as older

GOLDEN = pathlib.Path(__file__).parents[2] / "pkg" / "event" / "testdata"


class TestGolden(unittest.TestCase):
    def test_both_versions_of_cloudevents_read_them(self):
        files = sorted(GOLDEN.glob("v*/coupon.[rg]*/*.json"))
        self.assertGreaterEqual(len(files), 8)
        for file in files:
            with self.subTest(file.relative_to(GOLDEN)):
                record = json.loads(file.read_text())
                headers = {name: value.encode() for name, value in (line.split(": ", 1) for line in record["headers"])}
                key, value = record["key"].encode(), record["value"].encode()
                event = from_binary(KafkaMessage(headers, key, value), JSONFormat())
                before = older.from_binary(older.KafkaMessage(headers, key, value))  # as in cloudevents 1.x
                for data in event.get_data(), before.get_data():
                    self.assertEqual(data, json.loads(record["value"]))
                for attributes in event.get_attributes(), before.get_attributes():
                    for name in "id", "source", "type", "subject", "specversion", "correlationid":
                        self.assertEqual(attributes.get(name), headers.get(f"ce_{name}", b"").decode() or None)


if __name__ == "__main__":
    unittest.main()
