package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/apiversions"
	"github.com/segmentio/kafka-go/protocol/saslauthenticate"
	"github.com/segmentio/kafka-go/protocol/saslhandshake"
	"github.com/segmentio/kafka-go/sasl"
)

// dialTimeout bounds a connection from its first packet to the end of the
// authentication.
const dialTimeout = 5 * time.Second

var errConnect = errors.New("connecting")

// Dial connects to the broker at addr (host:port) and has TLS and SASL done
// when it returns: the next bytes on the connection are a request's. Every
// connection of this package, pooled or not, is made here, so that none is
// without a time limit: kafka-go's own has none while it authenticates.
func (c *Client) Dial(ctx context.Context, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	dial := c.cfg.Dial
	if dial == nil {
		dial = dialTCP
	}
	conn, err := dial(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errConnect, err)
	}
	// The deadline also ends a handshake whose context was cancelled.
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	secured, err := c.secure(ctx, conn, addr)
	if !stop() || err != nil {
		conn.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("%w: broker %s: %w", errConnect, addr, err)
	}
	return secured, nil
}

func dialTCP(ctx context.Context, addr string) (net.Conn, error) {
	return (&net.Dialer{KeepAlive: 30 * time.Second}).DialContext(ctx, "tcp", addr)
}

func (c *Client) secure(ctx context.Context, conn net.Conn, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if c.tls != nil {
		config := c.tls.Clone()
		config.ServerName = host
		encrypted := tls.Client(conn, config)
		if err := encrypted.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		conn = encrypted
	}
	if c.sasl != nil {
		pc := protocol.NewConn(conn, clientID)
		if err := negotiate(pc); err != nil {
			return nil, err
		}
		if err := authenticate(ctx, pc, c.sasl); err != nil {
			// Some brokers hang up on a wrong password without a word, so the
			// end of the connection must not hide what it was about.
			return nil, fmt.Errorf("authenticating %s by %s: %w", c.cfg.SASLUsername, c.cfg.SASLMechanism, err)
		}
	}
	return conn, nil
}

// negotiate learns which versions the broker speaks.
func negotiate(pc *protocol.Conn) error {
	m, err := pc.RoundTrip(new(apiversions.Request))
	if err != nil {
		return err
	}
	res := m.(*apiversions.Response)
	if res.ErrorCode != 0 {
		return kafka.Error(res.ErrorCode)
	}
	versions := make(map[protocol.ApiKey]int16, len(res.ApiKeys))
	for _, r := range res.ApiKeys {
		key := protocol.ApiKey(r.ApiKey)
		versions[key] = key.SelectVersion(r.MinVersion, r.MaxVersion)
	}
	pc.SetVersions(versions)
	return nil
}

func authenticate(ctx context.Context, pc *protocol.Conn, mechanism sasl.Mechanism) error {
	m, err := pc.RoundTrip(&saslhandshake.Request{Mechanism: mechanism.Name()})
	if err != nil {
		return err
	}
	if res := m.(*saslhandshake.Response); res.ErrorCode != 0 {
		return fmt.Errorf("%w (the broker offers %v)", kafka.Error(res.ErrorCode), res.Mechanisms)
	}
	session, state, err := mechanism.Start(ctx)
	for done := false; err == nil && !done; {
		var challenge []byte
		if challenge, err = exchange(pc, state); err == nil {
			done, state, err = session.Next(ctx, challenge)
		}
	}
	return err
}

func exchange(pc *protocol.Conn, state []byte) ([]byte, error) {
	m, err := pc.RoundTrip(&saslauthenticate.Request{AuthBytes: state})
	if err != nil {
		return nil, err
	}
	res := m.(*saslauthenticate.Response)
	if res.ErrorCode != 0 {
		return nil, fmt.Errorf("%w (%s)", kafka.Error(res.ErrorCode), res.ErrorMessage)
	}
	return res.AuthBytes, nil
}
