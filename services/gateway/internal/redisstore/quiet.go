package redisstore

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// The driver writes plain text to standard error, among the JSON lines of the service. What it has to say comes back as
// errors of the calls too, so it is kept quiet. That is a setting of the whole process, and can be made only before any
// client is.
func init() { redis.SetLogger(quiet{}) }

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}
