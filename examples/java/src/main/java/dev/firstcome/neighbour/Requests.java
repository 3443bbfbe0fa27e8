package dev.firstcome.neighbour;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.cloudevents.CloudEvent;
import io.cloudevents.core.builder.CloudEventBuilder;
import io.cloudevents.kafka.CloudEventSerializer;
import java.net.URI;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

// region publish
/**
 * Appends definitions and claims to the requests log. Each is acknowledged by all in-sync replicas, and is there once: acks=all
 * and enable.idempotence are what a Java producer does by itself, and so is the partition by murmur2 of the key.
 */
final class Requests implements AutoCloseable {
  static final String DEFINED = "firstcome.coupon.defined";
  static final String CLAIMED = "firstcome.claim.requested";

  /** Is told where a record is, once it is in the log. */
  interface Appended {
    void at(int partition, long offset);
  }

  private static final ObjectMapper JSON = new ObjectMapper();

  private final String topic;
  private final KafkaProducer<String, CloudEvent> producer;
  private final AtomicReference<Exception> failed = new AtomicReference<>();

  Requests(String brokers, String topic) {
    this.topic = topic;
    this.producer = new KafkaProducer<>(
        Map.of(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, brokers), new StringSerializer(), new CloudEventSerializer());
  }

  void publish(String type, JsonNode data, String correlationId, Appended appended) throws Exception {
    String coupon = data.get("coupon_id").textValue();
    CloudEvent event = CloudEventBuilder.v1()
        .withId(UUID.randomUUID().toString())
        .withSource(URI.create("/neighbour"))
        .withType(type)
        .withSubject(coupon)
        .withTime(OffsetDateTime.now(ZoneOffset.UTC))
        .withExtension("correlationid", correlationId)
        .withData("application/json", JSON.writeValueAsBytes(data))
        .build();
    producer.send(new ProducerRecord<>(topic, coupon, event), (place, error) -> {
      if (error != null) {
        failed.compareAndSet(null, error);
      } else {
        appended.at(place.partition(), place.offset());
      }
    });
  }

  /** Returns when everything is in the log. */
  void flush() throws Exception {
    producer.flush();
    if (failed.get() != null) {
      throw failed.get();
    }
  }

  @Override
  public void close() {
    producer.close();
  }
}
// endregion
