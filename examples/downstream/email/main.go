// Command email writes to everybody who got a coupon.
//
// It keeps no store: the group's offset says how far it has come. A crash repeats what was sent in the last second, under
// the same Message-ID, by which a mail that came twice is known as one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/consumer"
	"github.com/firstcome/firstcome/pkg/event"
	"github.com/firstcome/firstcome/pkg/producer"
)

var (
	host     = flag.String("host", "localhost", "SMTP server; it has to speak STARTTLS")
	port     = flag.Int("port", 587, "of the SMTP server")
	from     = flag.String("from", "", "address of the sender")
	domain   = flag.String("domain", "", "where the users' mailboxes are: see addressOf")
	attempts = flag.Int("attempts", 20, "at a mail that the server can't take just now, before it is a dead letter")
	wait     = flag.Duration("wait", time.Second, "after the first of them; it doubles, up to a minute")
)

// addressOf is yours to write: ask whoever knows your users. Here the user's id is the name of a mailbox.
func addressOf(_ context.Context, userID string) (string, error) {
	return userID + "@" + *domain, nil
}

func main() {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	if err := mail.NewMsg().From(*from); err != nil {
		return fmt.Errorf("-from: %w", err)
	}
	if *domain == "" {
		return errors.New("-domain: missing")
	}
	server, err := mail.NewClient(*host, mail.WithPort(*port), mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover),
		mail.WithUsername(os.Getenv("SMTP_USERNAME")), mail.WithPassword(os.Getenv("SMTP_PASSWORD")))
	if err != nil {
		return err
	}
	client, err := broker.New(broker.Config{
		Brokers:     strings.Split(os.Getenv("KAFKA_BROKERS"), ","),
		TopicPrefix: os.Getenv("KAFKA_TOPIC_PREFIX"),
	})
	if err != nil {
		return err
	}
	defer client.Close()
	letters, err := producer.New(producer.Config{Client: client, Topic: client.Config().Topic("email.dead-letters")})
	if err != nil {
		return err
	}
	defer closeSoon(ctx, letters)
	return consumer.Run(ctx, consumer.Config{
		Client:      client,
		GroupID:     client.Config().Group("email"),
		DeadLetters: letters,
		Retry:       consumer.Retry{Attempts: *attempts, Min: *wait, Max: max(*wait, time.Minute), Then: consumer.DeadLetter},
	}, consumer.Each{Granted: func(ctx context.Context, g event.CouponGranted, _ event.Meta) error {
		return send(ctx, server, g)
	}})
}

// closeSoon waits for the dead letters that are under way, and not for ever where Kafka is away.
func closeSoon(ctx context.Context, letters *producer.Producer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := letters.Close(ctx); err != nil {
		log.Print(err)
	}
}

// send returns once the mail server has taken the mail.
func send(ctx context.Context, server *mail.Client, g event.CouponGranted) error {
	to, err := addressOf(ctx, g.UserID)
	if err != nil {
		return err
	}
	m, err := write(g, to)
	if err != nil {
		return err
	}
	if err = server.DialAndSendWithContext(ctx, m); err == nil || m.IsDelivered() {
		return nil
	}
	return told(err)
}

// write makes the same mail each time: what is in it comes from the grant alone.
func write(g event.CouponGranted, to string) (*mail.Msg, error) {
	m := mail.NewMsg()
	if err := m.From(*from); err != nil {
		return nil, err
	}
	if m.To(to) != nil {
		return nil, &consumer.RejectError{Reason: event.ReasonHandlerFailed, Detail: "the person has no address that can be written to"}
	}
	sender := m.GetFrom()[0].Address
	m.SetMessageIDWithValue(g.GrantID + sender[strings.LastIndexByte(sender, '@'):])
	m.SetDateWithValue(g.RequestedAt)
	m.Subject("You have coupon " + g.CouponID)
	m.SetBodyString(mail.TypeTextPlain, fmt.Sprintf("You were number %d of %d to ask for coupon %s: it is yours.\n", g.Sequence, g.Limit, g.CouponID))
	return m, nil
}

// told says what a failure means. None of these has the person's address in it: they are logged.
func told(err error) error {
	var refused *mail.SendError
	switch {
	case !errors.As(err, &refused) || refused.Reason == mail.ErrSMTPMailFrom: // no server, or it takes nothing from us: pause
		return fmt.Errorf("%w: %w", consumer.ErrUnhealthy, err)
	case refused.ErrorCode() >= 500: // this address or this mail, for good
		return &consumer.RejectError{Reason: event.ReasonHandlerFailed, Detail: fmt.Sprintf("the mail server refuses it with %d", refused.ErrorCode())}
	default: // not now: see Retry
		return fmt.Errorf("the mail server does not take it: %v (%d)", refused.Reason, refused.ErrorCode())
	}
}
