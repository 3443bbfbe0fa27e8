package redisstore

import (
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// reply is what a script gives. One of another shape is an error that says where: what is not text must never pass for what
// is missing.
type reply []any

var errReply = errors.New("the script's reply is none that it gives")

func readReply(cmd *redis.Cmd, elements int) (reply, error) {
	r, err := cmd.Slice()
	if err == nil && len(r) != elements {
		err = fmt.Errorf("%w: %d elements, not %d", errReply, len(r), elements)
	}
	return r, err
}

func (r reply) text(i int) (string, error) {
	s, ok := r[i].(string)
	if !ok {
		return "", fmt.Errorf("%w: element %d is %T, not text", errReply, i, r[i])
	}
	return s, nil
}

// texts are those of a list within.
func (r reply) texts(i int) ([]string, error) {
	list, ok := r[i].([]any)
	if !ok {
		return nil, fmt.Errorf("%w: element %d is %T, not a list", errReply, i, r[i])
	}
	texts := make([]string, len(list))
	for j := range list {
		s, err := reply(list).text(j)
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
		texts[j] = s
	}
	return texts, nil
}
