package event_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/segmentio/kafka-go"

	"github.com/firstcome/firstcome/pkg/event"
)

// The hashes are those of Kafka's own UtilsTest.testMurmur2; toPositive and modulo are added.
func TestPartition_Java(t *testing.T) {
	for key, hash := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		for _, partitions := range []int{1, 12, 97, 4096, 1 << 30} {
			if got, want := event.Partition(key, partitions), (hash&0x7fffffff)%int32(partitions); got != want {
				t.Errorf("%s of %d: got %d, want %d", key, partitions, got, want)
			}
		}
	}
}

func TestPartition_AgreesWithKafkaGo(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, partitions := range []int{1, 3, 12, 4096} {
		every := make([]int, partitions)
		for i := range every {
			every[i] = i
		}
		for i := range 2000 {
			key := fmt.Sprintf("%.*s", random.IntN(40), fmt.Sprint(random.Uint64(), random.Uint64(), "-", i))
			want := kafka.Murmur2Balancer{Consistent: true}.Balance(kafka.Message{Key: []byte(key)}, every...)
			if got := event.Partition(key, partitions); int(got) != want {
				t.Fatalf("%q of %d: got %d, want %d", key, partitions, got, want)
			}
		}
	}
}
