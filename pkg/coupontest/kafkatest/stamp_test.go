package kafkatest

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// stamp makes kfake put its own time on the records of topics that ask for it.
// It only reports message.timestamp.type, but it does stamp batches that say
// they are to be stamped, which no real broker would take from a client.
func stamp(cluster *kfake.Cluster) {
	table := crc32.MakeTable(crc32.Castagnoli)
	cluster.ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
		for _, topic := range request.(*kmsg.ProduceRequest).Topics {
			for _, p := range topic.Partitions {
				if b := p.Records; len(b) > 61 {
					b[22] |= 0x08
					binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], table))
				}
			}
		}
		return nil, nil, false
	})
}
