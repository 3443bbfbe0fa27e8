package event

// Partition is the partition of a coupon: Java's default partitioner, murmur2 of the key, made positive, modulo the
// number of partitions (org.apache.kafka.clients.producer.internals.BuiltInPartitioner). Clients of librdkafka get the
// same with partitioner=murmur2_random.
func Partition(couponID string, partitions int) int32 {
	return int32(int(murmur2(couponID)&0x7fffffff) % partitions)
}

// murmur2 is org.apache.kafka.common.utils.Utils.murmur2.
func murmur2(key string) uint32 {
	const (
		seed = 0x9747b28c
		m    = 0x5bd1e995
		r    = 24
	)
	h := uint32(seed) ^ uint32(len(key))
	for len(key) >= 4 {
		k := uint32(key[0]) | uint32(key[1])<<8 | uint32(key[2])<<16 | uint32(key[3])<<24
		k *= m
		k ^= k >> r
		k *= m
		h = h*m ^ k
		key = key[4:]
	}
	for i := len(key) - 1; i >= 0; i-- {
		h ^= uint32(key[i]) << (8 * i)
	}
	if len(key) > 0 {
		h *= m
	}
	h ^= h >> 13
	h *= m
	return h ^ h>>15
}
