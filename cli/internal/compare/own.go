package compare

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/segmentio/kafka-go"

	"github.com/firstcome/firstcome/cli/internal/topic"
	"github.com/firstcome/firstcome/pkg/broker"
	"github.com/firstcome/firstcome/pkg/coupontest/embedded"
)

// takeKafka makes the topics of this run.
func (k *keeper) takeKafka(ctx context.Context) (string, error) {
	client, err := broker.New(k.servers.Kafka)
	if err != nil {
		return "", err
	}
	k.closers = append(k.closers, func(context.Context) error { client.Close(); return nil })
	replication, err := topic.Replication(ctx, client)
	if err != nil {
		return "", fmt.Errorf("kafka at %s: %w", k.Kafka, err)
	}
	k.closers = append(k.closers, func(ctx context.Context) error { return dropTopics(ctx, client) })
	if _, err := topic.Ensure(ctx, client, topic.Specs(k.servers.Kafka, partitions, replication)); err != nil {
		return "", fmt.Errorf("make topics of its own (%s*) on Kafka at %s: %w", k.TopicPrefix, k.Kafka, err)
	}
	if k.given.Kafka == "" {
		return embedded.KafkaVersion, nil
	}
	return "Kafka, whose protocol tells no version", nil
}

// dropTopics removes whatever has the prefix of this run: groups and topics.
func dropTopics(ctx context.Context, client *broker.Client) error {
	prefix := client.Config().TopicPrefix
	meta, err := client.Kafka().Metadata(ctx, &kafka.MetadataRequest{})
	if err != nil {
		return fmt.Errorf("delete the topics %s*: %w", prefix, err)
	}
	var topics []string
	for _, t := range meta.Topics {
		if strings.HasPrefix(t.Name, prefix) {
			topics = append(topics, t.Name)
		}
	}
	if len(topics) == 0 {
		return nil
	}
	errs := []error{dropGroups(ctx, client)}
	deleted, err := client.Kafka().DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: topics})
	if err != nil {
		return errors.Join(append(errs, fmt.Errorf("delete the topics %s*: %w", prefix, err))...)
	}
	for name, err := range deleted.Errors {
		if err != nil {
			errs = append(errs, fmt.Errorf("delete topic %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// staying is how long a pipeline that has ended may still be a member of its groups.
const staying = 10 * time.Second

// dropGroups removes the services' groups, once they have left them.
func dropGroups(ctx context.Context, client *broker.Client) error {
	ctx, cancel := context.WithTimeout(ctx, staying)
	defer cancel()
	groups := []string{client.Config().Group(issuerGroup), client.Config().Group("firstcome.ledger")}
	return until(ctx, func() error {
		deleted, err := client.Kafka().DeleteGroups(ctx, &kafka.DeleteGroupsRequest{GroupIDs: groups})
		if err != nil {
			return fmt.Errorf("delete the groups %s*: %w", client.Config().TopicPrefix, err)
		}
		for name, err := range deleted.Errors {
			if err != nil && !errors.Is(err, kafka.GroupIdNotFound) {
				return fmt.Errorf("delete group %s: %w", name, err)
			}
		}
		return nil
	})
}

// takePostgres makes a database of this run.
func (k *keeper) takePostgres(ctx context.Context) (string, error) {
	admin, err := parseAdmin(k.servers.Database)
	if err != nil {
		return "", err
	}
	conn, err := pgx.Connect(ctx, k.servers.Database)
	if err != nil {
		return "", fmt.Errorf("postgres: %w", err)
	}
	defer conn.Close(ctx)
	name := pgx.Identifier{databaseName(k.RedisPrefix)}
	k.closers = append(k.closers, func(ctx context.Context) error { return dropDatabase(ctx, k.servers.Database, name) })
	_, err = conn.Exec(ctx, "CREATE DATABASE "+name.Sanitize())
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused) && refused.Code == "42501":
		return "", fmt.Errorf("make a database of its own on Postgres at %s: %w; the role %s needs CREATEDB", admin.Host, err, conn.Config().User)
	case err != nil:
		return "", fmt.Errorf("make a database of its own on Postgres at %s: %w", admin.Host, err)
	}
	k.Database = databaseURL(*admin, name[0])
	version := ""
	err = conn.QueryRow(ctx, "SELECT split_part(current_setting('server_version'), ' ', 1)").Scan(&version)
	return "PostgreSQL " + version, err
}

func databaseName(run string) string { return strings.ReplaceAll("firstcome_"+run, "-", "_") }

// databaseURL is that of another database of the same server. A name in the query would win over the path.
func databaseURL(server url.URL, name string) string {
	query := server.Query()
	query.Del("dbname")
	query.Del("database")
	server.RawQuery, server.Path, server.RawPath = query.Encode(), "/"+name, ""
	return server.String()
}

func parseAdmin(database string) (*url.URL, error) {
	u, err := url.Parse(database)
	if err != nil || u.Host == "" {
		return nil, errors.New("--postgres is no URL such as postgres://user:password@host/database")
	}
	return u, nil
}

// dropDatabase has a connection of its own: the one that made it may be hours old. Whoever is still connected is cut off.
func dropDatabase(ctx context.Context, admin string, name pgx.Identifier) error {
	conn, err := pgx.Connect(ctx, admin)
	if err == nil {
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, "DROP DATABASE IF EXISTS "+name.Sanitize()+" WITH (FORCE)")
	}
	if err != nil {
		return fmt.Errorf("drop database %s: %w", name[0], err)
	}
	return nil
}
