package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/listoffsets"
)

// Bounds are the log's start (the first offset that is still there) and its
// end (the next offset to be written).
func (c *Client) Bounds(ctx context.Context, topic string, partition int32) (start, end int64, err error) {
	p := int(partition)
	res, err := c.kafka.ListOffsets(ctx, &kafka.ListOffsetsRequest{
		Topics: map[string][]kafka.OffsetRequest{topic: {kafka.FirstOffsetOf(p), kafka.LastOffsetOf(p)}},
	})
	if err != nil {
		return 0, 0, fmt.Errorf("bounds of partition %d of topic %s: %w", partition, topic, err)
	}
	for _, o := range res.Topics[topic] {
		if o.Partition != p {
			continue
		}
		if o.Error != nil {
			return 0, 0, fmt.Errorf("bounds of partition %d of topic %s: %w", partition, topic, o.Error)
		}
		return o.FirstOffset, o.LastOffset, nil
	}
	return 0, 0, fmt.Errorf("bounds of partition %d of topic %s: %w", partition, topic, kafka.UnknownTopicOrPartition)
}

// OffsetAt is the offset of the first record whose time is t or later; the
// log's end where there is none yet. Times of records need not be in order: a
// record after that offset may be older than t, none before it is younger.
func (c *Client) OffsetAt(ctx context.Context, topic string, partition int32, t time.Time) (int64, error) {
	// The end first: whatever is written after it, is not passed over.
	start, end, err := c.Bounds(ctx, topic, partition)
	if err != nil {
		return 0, err
	}
	if t.UnixMilli() <= 0 { // what is below has other meanings to brokers
		return start, nil
	}
	res, err := c.kafka.ListOffsets(ctx, &kafka.ListOffsetsRequest{
		Topics: map[string][]kafka.OffsetRequest{topic: {kafka.TimeOffsetOf(int(partition), t)}},
	})
	if err != nil {
		return 0, fmt.Errorf("offset of partition %d of topic %s at %v: %w", partition, topic, t, err)
	}
	for _, o := range res.Topics[topic] {
		if o.Error != nil {
			return 0, fmt.Errorf("offset of partition %d of topic %s at %v: %w", partition, topic, t, o.Error)
		}
		for offset := range o.Offsets {
			if offset >= 0 { // some brokers say -1 for "none"
				return offset, nil
			}
		}
	}
	return end, nil
}

// Ends are the ends (the next offsets to be written) of all partitions of a
// topic, by partition: one connection and one request to each leader.
func (c *Client) Ends(ctx context.Context, topic string) (map[int32]int64, error) {
	const latest = -1
	partitions, err := c.metadata(ctx, topic)
	if err != nil {
		return nil, err
	}
	byLeader := make(map[string][]listoffsets.RequestPartition)
	for _, p := range partitions {
		if p.Leader.Host == "" {
			return nil, fmt.Errorf("partition %d of topic %s: %w", p.ID, topic, kafka.LeaderNotAvailable)
		}
		leader := address(p.Leader)
		byLeader[leader] = append(byLeader[leader], listoffsets.RequestPartition{
			Partition: int32(p.ID), CurrentLeaderEpoch: -1, Timestamp: latest,
		})
	}
	ends := make(map[int32]int64, len(partitions))
	for leader, asked := range byLeader {
		if err := c.endsAt(ctx, leader, topic, asked, ends); err != nil {
			return nil, fmt.Errorf("ends of topic %s: %w", topic, err)
		}
	}
	if len(ends) != len(partitions) {
		return nil, fmt.Errorf("ends of topic %s: %w", topic, kafka.UnknownTopicOrPartition)
	}
	return ends, nil
}

// endsAt speaks to the leader itself: kafka-go's client would send one request
// a partition, each on a connection of its own.
func (c *Client) endsAt(ctx context.Context, leader, topic string, asked []listoffsets.RequestPartition, ends map[int32]int64) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	conn, err := c.Dial(ctx, leader)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	pc := protocol.NewConn(conn, clientID)
	if err := negotiate(pc); err != nil {
		return err
	}
	m, err := pc.RoundTrip(&listoffsets.Request{
		ReplicaID: -1,
		Topics:    []listoffsets.RequestTopic{{Topic: topic, Partitions: asked}},
	})
	if err != nil {
		return err
	}
	for _, t := range m.(*listoffsets.Response).Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 {
				return fmt.Errorf("partition %d: %w", p.Partition, kafka.Error(p.ErrorCode))
			}
			ends[p.Partition] = p.Offset
		}
	}
	return nil
}

// Offset is what a group has committed: the next offset to be read, and the
// text that was kept with it.
type Offset struct {
	Offset   int64
	Metadata string
}

// Committed is what a group has committed for a partition; false where there
// is nothing.
func (c *Client) Committed(ctx context.Context, group, topic string, partition int32) (Offset, bool, error) {
	res, err := c.kafka.OffsetFetch(ctx, &kafka.OffsetFetchRequest{
		GroupID: group,
		Topics:  map[string][]int{topic: {int(partition)}},
	})
	if err == nil {
		err = res.Error
	}
	if errors.Is(err, kafka.GroupIdNotFound) {
		return Offset{}, false, nil
	}
	if err != nil {
		return Offset{}, false, fmt.Errorf("offset of group %s: %w", group, err)
	}
	for _, p := range res.Topics[topic] {
		if p.Partition != int(partition) {
			continue
		}
		if p.Error != nil {
			return Offset{}, false, fmt.Errorf("offset of group %s: %w", group, p.Error)
		}
		return Offset{Offset: p.CommittedOffset, Metadata: p.Metadata}, p.CommittedOffset >= 0, nil
	}
	return Offset{}, false, nil
}

// Commit is an offset to be committed for a group. With a Generation and a
// MemberID it is fenced: the broker refuses it (ErrFenced) once the group has
// moved on. Without them (Generation -1, MemberID empty) it is for tools, and
// accepted only while the group has no members.
type Commit struct {
	Group      string
	Generation int32
	MemberID   string
	Topic      string
	Partition  int32
	Offset
}

// ErrFenced means that a commit came from a member that the group no longer
// counts on; nothing was committed.
var ErrFenced = errors.New("no longer a member of the group")

// Commit commits o.Offset (the next offset to be read) with its metadata.
func (c *Client) Commit(ctx context.Context, o Commit) error {
	res, err := c.kafka.OffsetCommit(ctx, &kafka.OffsetCommitRequest{
		GroupID:      o.Group,
		GenerationID: int(o.Generation),
		MemberID:     o.MemberID,
		Topics: map[string][]kafka.OffsetCommit{o.Topic: {{
			Partition: int(o.Partition), Offset: o.Offset.Offset, Metadata: o.Metadata,
		}}},
	})
	if err != nil {
		return fmt.Errorf("committing for group %s: %w", o.Group, err)
	}
	for _, p := range res.Topics[o.Topic] {
		switch {
		case p.Partition != int(o.Partition):
		case p.Error == nil:
			return nil
		case errors.Is(p.Error, kafka.IllegalGeneration), errors.Is(p.Error, kafka.UnknownMemberId),
			errors.Is(p.Error, kafka.RebalanceInProgress), errors.Is(p.Error, kafka.FencedInstanceID):
			return fmt.Errorf("committing for group %s: %w: %w", o.Group, ErrFenced, p.Error)
		default:
			return fmt.Errorf("committing for group %s: %w", o.Group, p.Error)
		}
	}
	return fmt.Errorf("committing for group %s: %w", o.Group, kafka.Unknown)
}
