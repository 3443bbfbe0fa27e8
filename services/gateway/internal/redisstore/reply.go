package redisstore

import (
	"errors"
	"fmt"

	"github.com/firstcome/firstcome/internal/fcfs"
	"github.com/firstcome/firstcome/internal/redislayout"
)

// reply is what one call of desk.lua gives. One of another shape is an error that says where: what is not text must never
// pass for what is missing, since "missing" is an answer to people.
type reply []any

var errReply = errors.New("redis: the reply is none that the script gives")

func (r reply) text(i int) (string, error) {
	if i >= len(r) {
		return "", fmt.Errorf("%w: %d elements", errReply, len(r))
	}
	s, ok := r[i].(string)
	if !ok {
		return "", fmt.Errorf("%w: element %d is %T, not text", errReply, i, r[i])
	}
	return s, nil
}

func (r reply) list(i int) (reply, error) {
	if i >= len(r) {
		return nil, fmt.Errorf("%w: %d elements", errReply, len(r))
	}
	list, ok := r[i].([]any)
	if !ok {
		return nil, fmt.Errorf("%w: element %d is %T, not a list", errReply, i, r[i])
	}
	return list, nil
}

func (r reply) progress(i int) (redislayout.Progress, error) {
	value, err := r.text(i)
	if err != nil {
		return redislayout.Progress{}, fmt.Errorf("progress: %w", err)
	}
	return parseProgress(value)
}

// entry reads "sequence:offset"; "" is nobody's.
func (r reply) entry(i int) (*fcfs.Entry, error) {
	value, err := r.text(i)
	if err != nil || value == "" {
		return nil, err
	}
	e, err := redislayout.ParseEntry(value)
	if err != nil {
		return nil, err
	}
	return (*fcfs.Entry)(&e), nil
}

func (r reply) remembered(i int, partition int32) (*redislayout.Remembered, error) {
	value, err := r.text(i)
	if err != nil {
		return nil, err
	}
	found, err := redislayout.ParseRemembered(value)
	if err == nil && found.Pending == "" && found.Ticket.Partition != partition {
		err = fmt.Errorf("%w: %s, remembered in partition %d", errReply, value, partition)
	}
	return &found, err
}

// fields turns the answer of HGETALL into a map.
func (r reply) fields() (map[string]string, error) {
	if len(r)%2 != 0 {
		return nil, fmt.Errorf("%w: a field without its value", errReply)
	}
	m := make(map[string]string, len(r)/2)
	for i := 0; i < len(r); i += 2 {
		name, err := r.text(i)
		if err == nil {
			m[name], err = r.text(i + 1)
		}
		if err != nil {
			return nil, err
		}
	}
	return m, nil
}
