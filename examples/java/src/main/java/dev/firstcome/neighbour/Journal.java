package dev.firstcome.neighbour;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.cloudevents.CloudEvent;
import io.cloudevents.kafka.CloudEventDeserializer;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BiPredicate;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

// region consume
/**
 * Reads the journal in order, as a member of a group, and each record once: late copies are dropped by their source. The highest
 * source is kept beside the offset, in the commit's metadata, so that they are dropped after a restart too.
 */
final class Journal implements AutoCloseable, ConsumerRebalanceListener {
  private static final Set<String> TYPES = Set.of("firstcome.coupon.defined", "firstcome.coupon.granted");
  private static final String HIGHEST = "source=";
  private static final long NONE = -1;
  private static final ObjectMapper JSON = new ObjectMapper();

  private final KafkaConsumer<String, CloudEvent> consumer;
  private final Map<TopicPartition, Long> highest = new HashMap<>(); // source offset
  private final Map<TopicPartition, OffsetAndMetadata> handled = new HashMap<>(); // since the last commit

  Journal(String brokers, String topic, String group) {
    consumer = new KafkaConsumer<>(
        Map.of(
            ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, brokers,
            ConsumerConfig.GROUP_ID_CONFIG, group,
            ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest",
            ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, false),
        new StringDeserializer(), new CloudEventDeserializer());
    consumer.subscribe(List.of(topic), this);
  }

  @Override
  public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
    consumer.committed(new HashSet<>(partitions)).forEach((partition, committed) ->
        highest.put(partition, committed == null ? NONE : highestOf(committed.metadata())));
  }

  @Override
  public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
    // What was handled is committed before the next poll, and only a poll takes partitions away.
  }

  /** A word "source=17"; what stands after a space is for later versions. */
  private static long highestOf(String metadata) {
    String word = metadata.split(" ", 2)[0];
    return word.startsWith(HIGHEST) ? Long.parseLong(word.substring(HIGHEST.length())) : NONE;
  }

  /**
   * Hands each record to handle until that returns true: close the journal then, what was fetched with that record is handed
   * over by the next one. What was handled since the last commit comes again after a crash.
   */
  void follow(BiPredicate<ConsumerRecord<String, CloudEvent>, JsonNode> handle) {
    boolean enough = false;
    while (!enough) {
      for (ConsumerRecord<String, CloudEvent> record : consumer.poll(Duration.ofSeconds(1))) {
        enough = take(record, handle);
        if (enough) {
          break;
        }
      }
      consumer.commitSync(handled);
      handled.clear();
    }
  }

  private boolean take(ConsumerRecord<String, CloudEvent> record, BiPredicate<ConsumerRecord<String, CloudEvent>, JsonNode> handle) {
    TopicPartition partition = new TopicPartition(record.topic(), record.partition());
    boolean enough = false;
    if (TYPES.contains(record.value().getType())) { // there may be others one day
      JsonNode data = parse(record.value());
      long source = data.get("source").get("offset").longValue();
      if (source > highest.get(partition)) {
        enough = handle.test(record, data);
        highest.put(partition, source);
      }
    }
    long known = highest.get(partition);
    handled.put(partition, new OffsetAndMetadata(record.offset() + 1, known == NONE ? "" : HIGHEST + known));
    return enough;
  }

  private static JsonNode parse(CloudEvent event) {
    try {
      return JSON.readTree(event.getData().toBytes());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Override
  public void close() {
    consumer.close();
  }
}
// endregion
