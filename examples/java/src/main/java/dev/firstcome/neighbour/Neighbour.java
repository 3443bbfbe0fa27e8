package dev.firstcome.neighbour;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.cloudevents.CloudEvent;
import java.io.IOException;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.function.BiPredicate;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/**
 * A system beside Firstcome. It knows Kafka, CloudEvents and docs/events.md, and nothing else of it.
 *
 * <pre>
 *   define COUPON LIMIT         defines a coupon that is given once
 *   claim PEOPLE COUPON...      claims each coupon for so many people, and prints where in the log each claim is
 *   consume COUPON [COUNT]      prints what the journal says of a coupon, until it is exhausted or COUNT times
 * </pre>
 *
 * Output is JSON lines. KAFKA_BROKERS says where Kafka is, KAFKA_TOPIC_PREFIX what stands in front of its topics, if anything.
 */
public final class Neighbour {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

  private Neighbour() {}

  public static void main(String[] args) throws Exception {
    if (args.length < 2) {
      System.err.println("define COUPON LIMIT | claim PEOPLE COUPON... | consume COUPON [COUNT]");
      System.exit(2);
    }
    String brokers = System.getenv("KAFKA_BROKERS");
    String prefix = System.getenv().getOrDefault("KAFKA_TOPIC_PREFIX", "");
    List<String> rest = Arrays.asList(args).subList(1, args.length);
    switch (args[0]) {
      case "define" -> {
        try (Requests requests = new Requests(brokers, prefix + "coupon.requests")) {
          define(requests, rest.get(0), Long.parseLong(rest.get(1)));
        }
      }
      case "claim" -> {
        try (Requests requests = new Requests(brokers, prefix + "coupon.requests")) {
          claim(requests, Integer.parseInt(rest.get(0)), rest.subList(1, rest.size()));
        }
      }
      case "consume" -> {
        try (Journal journal = new Journal(brokers, prefix + "coupon.grants", prefix + "neighbour." + rest.get(0))) {
          consume(journal, rest.get(0), rest.size() > 1 ? Long.parseLong(rest.get(1)) : 0);
        }
      }
      default -> throw new IllegalArgumentException(args[0]);
    }
  }

  private static void define(Requests requests, String coupon, long limit) throws Exception {
    ObjectNode data = JSON.createObjectNode()
        .put("coupon_id", coupon).put("limit", limit).put("window", "none")
        .put("time_zone", "Asia/Seoul").put("opens_at", "2026-01-01T09:00:00+09:00");
    requests.publish(Requests.DEFINED, data, coupon + "/definition", (partition, offset) ->
        show(JSON.createObjectNode().put("coupon_id", coupon).put("partition", partition).put("offset", offset)));
    requests.flush();
  }

  private static void claim(Requests requests, int people, List<String> coupons) throws Exception {
    for (String coupon : coupons) {
      for (int n = 0; n < people; n++) {
        ObjectNode data = JSON.createObjectNode().put("coupon_id", coupon).put("user_id", "손님-" + n);
        requests.publish(Requests.CLAIMED, data, coupon + "/" + n, (partition, offset) ->
            show(data.deepCopy().put("partition", partition).put("offset", offset)));
      }
    }
    requests.flush();
  }

  private static void consume(Journal journal, String coupon, long count) {
    journal.follow(new BiPredicate<ConsumerRecord<String, CloudEvent>, JsonNode>() {
      private long seen;

      @Override
      public boolean test(ConsumerRecord<String, CloudEvent> record, JsonNode data) {
        if (!data.get("coupon_id").textValue().equals(coupon)) {
          return false;
        }
        ObjectNode line = JSON.createObjectNode()
            .put("partition", record.partition()).put("offset", record.offset()).put("timestamp", record.timestamp());
        ObjectNode attributes = line.putObject("attributes");
        CloudEvent event = record.value();
        event.getAttributeNames().forEach(name -> attributes.put(name, event.getAttribute(name).toString()));
        event.getExtensionNames().forEach(name -> attributes.put(name, event.getExtension(name).toString()));
        show(line.set("data", data));
        seen++;
        return data.has("sequence") && data.get("sequence").equals(data.get("limit")) || seen == count;
      }
    });
  }

  private static void show(JsonNode line) {
    try {
      OUT.println(JSON.writeValueAsString(line));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
